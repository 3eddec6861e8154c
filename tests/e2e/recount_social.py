"""The social indices, counted once more by pandas from the records of the file: what the end-to-end tests expect.

Written from the comments of connectors/social_*.sql and the rules of issue 5, not from the jobs. `versions` reads the
records of `social_media`; `documents` gives of each index what it should hold, by the columns of its key.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from models.runtime import Scorer, load
from settings import ROOT, settings
from udfs.classifiers import HEADS, score

Document = dict[str, Any]

PLATFORMS = ("Twitter", "Instagram", "Facebook", "LinkedIn", "TikTok", "YouTube")
REQUIRED = ("post_id", "user_id", "platform", "timestamp")
TYPES: dict[str, type | tuple[type, ...]] = {
    "username": str, "post_type": str, "content_type": str, "topic": str, "hashtags": list, "sentiment": str,
    "location": str, "likes": int, "shares": int, "comments": int, "views": int, "engagement_rate": (int, float),
    "followers": int, "is_verified": bool, "is_influencer": bool, "is_viral": bool, "language": str, "text": str,
}  # fmt: skip
VALUES = {
    "post_type": ("text", "image", "video", "link", "poll", "story", "live"),
    "content_type": ("educational", "entertainment", "news", "promotional", "personal", "humor", "opinion"),
    "sentiment": ("positive", "neutral", "negative"),
}
COUNTS = ("likes", "shares", "comments", "views", "followers")
SCORES = {
    "sentiment": "sentiment_label", "sentiment_mean": "sentiment_mean", "toxicity": "toxicity_toxic",
    "cyberbullying": "cyberbullying_label", "cyberbullying_score": "cyberbullying_score",
    "bullying": "cyberbullying_bullying", "language": "language", "trained_language": "trained_language",
    "model_version": "model_version", "unscored_reason": "unscored_reason",
}  # fmt: skip

MINUTE, FIVE, TEN, HOUR = (pd.Timedelta(minutes=minutes) for minutes in (1, 5, 10, 60))
TOP = 50
KEYS = {
    "social_metrics": ["window_start", "window_end", "platform", "topic", "sentiment", "content_type", "post_type"],
    "social_hashtags": ["window_start", "window_end", "rank"],
    "social_locations": ["window_start", "window_end", "location"],
    "social_users": ["window_start", "window_end", "user_id"],
    "social_influencers": ["window_start", "window_end", "rank"],
    "social_alerts": ["window_start", "window_end", "dimension", "name", "metric"],
    "social_agreement": ["window_start", "window_end", "stated_sentiment", "sentiment"],
}


def problem(value: bytes, arrived: datetime) -> str | None:
    """Why a record cannot be used, as the reason of its dead letter; None for one that can."""
    if not value:
        return "empty_value"
    if len(value) > settings().max_record_bytes:
        return "oversized"
    try:
        record = json.loads(value.decode())
    except UnicodeDecodeError:
        return "invalid_utf8"
    except json.JSONDecodeError:
        return "not_json"
    if not isinstance(record, dict):
        return "not_an_object"
    for field in REQUIRED:
        if field not in record:
            return "missing_field"
        if record[field] is None:
            return "null_field"
        if not isinstance(record[field], str):
            return "wrong_type"
    try:
        posted_at = datetime.fromisoformat(record["timestamp"])
    except ValueError:
        return "wrong_type"
    if record["platform"] not in PLATFORMS:
        return "unknown_platform"
    if not all(1 <= len(record[field]) <= 128 for field in ("post_id", "user_id")):
        return "out_of_range"
    return "future_event_time" if posted_at > arrived + timedelta(minutes=5) else None


def checked(record: Mapping[str, Any]) -> Document:
    """The record with null for each optional field that breaks its rule, and their names as `odd_fields`."""
    fields: Document = {field: record[field] for field in REQUIRED}
    odd = []
    for field, kind in TYPES.items():
        value = record.get(field)
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if field in VALUES:
            fits = fits and value in VALUES[field]
        if field in COUNTS:
            least = fields["likes"] or 0 if field == "views" else 0
            fits = fits and isinstance(value, int) and least <= value <= 10**12
        if value is not None and not fits:
            odd.append(field)
        fields[field] = value if fits else None
    return fields | {"odd_fields": odd or None}


def versions(values: Iterable[bytes], viral_engagements: Sequence[int] | None = None) -> pd.DataFrame:
    """The usable records, each a row with the columns of `social_posts`, scored; `posted_at` is a time.

    `viral_engagements`: the setting of that name for each record, where it is not that of this process for all.
    """
    frame = pd.DataFrame([checked(json.loads(value)) for value in values]).astype(
        dict.fromkeys(COUNTS, "Int64") | {"is_verified": "boolean"}
    )
    frame = frame.rename(columns={"sentiment": "stated_sentiment", "language": "stated_language"})
    frame["posted_at"] = pd.to_datetime(frame.pop("timestamp"), utc=True, format="ISO8601")
    reactions = frame["likes"] + frame["shares"] + frame["comments"]
    frame["engagement_rate"] = reactions.astype("Float64") / frame["views"].replace(0, pd.NA).astype("Float64")
    frame["is_influencer"] = frame["followers"] >= 50_000
    enough = settings().viral_engagements if viral_engagements is None else viral_engagements
    seen_by_many = frame["views"] >= settings().viral_views_per_follower * frame["followers"].fillna(0)
    frame["is_viral"] = (reactions >= enough).fillna(False) & seen_by_many.fillna(False)
    texts = frame["text"].drop_duplicates()
    heads = ("cyberbullying", "toxicity", "sentiment")
    scores = score(texts, Scorer([load(name) for name in heads]), [HEADS[name] for name in heads]).set_index(texts)
    for column, name in SCORES.items():
        frame[column] = frame["text"].map(scores[name]).astype(object)
    toxicity = frame["toxicity"].astype("Float64")
    frame["is_toxic"] = toxicity >= settings().toxic_from
    return frame


def latest(frame: pd.DataFrame) -> dict[str, Document]:
    """`social_posts`: each post's last version, by its id."""
    posts = frame.drop_duplicates("post_id", keep="last")
    return {document["post_id"]: document for document in plain(posts)}


def documents(on_time: pd.DataFrame) -> dict[str, dict[tuple[Any, ...], Document]]:
    """The other indices, of the versions that were in time, in order: index -> key -> document."""
    posts = posts_by_minute(on_time)
    users = social_users(posts)
    frames = {
        "social_metrics": social_metrics(posts),
        "social_hashtags": social_hashtags(posts),
        "social_locations": social_locations(posts),
        "social_users": users,
        "social_influencers": social_influencers(users),
        "social_alerts": social_alerts(posts, settings().alert_minutes, settings().alert_width),
        "social_agreement": social_agreement(posts),
    }
    return {index: by_key(index, plain(frame)) for index, frame in frames.items()}


def by_key(index: str, rows: Sequence[Document]) -> dict[tuple[Any, ...], Document]:
    """Documents by the columns of their key. Raises AssertionError when two have the same."""
    keyed = {tuple(row[column] for column in KEYS[index]): row for row in rows}
    assert len(keyed) == len(rows), f"{index} has two documents of one key"
    return keyed


def posts_by_minute(on_time: pd.DataFrame) -> pd.DataFrame:
    """Each post once, in the latest version of its minute; what is unknown is 0 or 'unknown'."""
    posts = on_time.assign(minute=on_time["posted_at"].dt.floor("min"))
    posts = posts.drop_duplicates(["minute", "post_id"], keep="last")
    posts = posts.fillna(
        dict.fromkeys(("likes", "shares", "comments", "views"), 0)
        | dict.fromkeys(("topic", "content_type", "post_type"), "unknown")
    )
    posts["engagements"] = posts["likes"] + posts["shares"] + posts["comments"]
    posts["is_bullying"] = posts["cyberbullying"].notna() & (posts["cyberbullying"] != "not_cyberbullying")
    return posts


def windows(posts: pd.DataFrame, length: pd.Timedelta) -> pd.DataFrame:
    """The posts with the tumbling window of this length that each falls into."""
    start = posts["posted_at"].dt.floor(length)
    return posts.assign(window_start=start, window_end=start + length)


def social_metrics(posts: pd.DataFrame) -> pd.DataFrame:
    marked = windows(posts, MINUTE).assign(
        sentiment=posts["sentiment"].fillna("unscored"),
        verified_user=posts["user_id"].where(posts["is_verified"].fillna(False)),
        influencer=posts["user_id"].where(posts["is_influencer"].fillna(False)),
        is_unscored=posts["is_toxic"].isna(),
    )
    return marked.groupby(KEYS["social_metrics"], as_index=False).agg(
        posts=("post_id", "size"),
        likes=("likes", "sum"),
        shares=("shares", "sum"),
        comments=("comments", "sum"),
        views=("views", "sum"),
        engagements=("engagements", "sum"),
        mean_engagement_rate=("engagement_rate", "mean"),
        viral_posts=("is_viral", "sum"),
        verified_users=("verified_user", "nunique"),
        influencer_users=("influencer", "nunique"),
        toxic_posts=("is_toxic", "sum"),
        bullying_posts=("is_bullying", "sum"),
        unscored_posts=("is_unscored", "sum"),
    )


def social_hashtags(posts: pd.DataFrame) -> pd.DataFrame:
    """Of equally many posts, the hashtag that comes first in the alphabet has the better rank."""
    uses = windows(posts, FIVE).explode("hashtags").rename(columns={"hashtags": "hashtag"}).dropna(subset="hashtag")
    uses["hashtag"] = uses["hashtag"].str.strip().str.lstrip("#").str.lower()
    uses = uses[uses["hashtag"] != ""]
    counts = uses.groupby(["window_start", "window_end", "hashtag"], as_index=False).agg(posts=("post_id", "nunique"))
    before = counts[["window_end", "hashtag", "posts"]].rename(
        columns={"window_end": "window_start", "posts": "previous_posts"}
    )
    counts = counts.merge(before, how="left", on=["window_start", "hashtag"])
    counts["previous_posts"] = counts["previous_posts"].fillna(0).astype(int)
    counts["trend"] = counts["posts"] - counts["previous_posts"]
    return ranked(counts, "posts", "hashtag")


def social_locations(posts: pd.DataFrame) -> pd.DataFrame:
    with (ROOT / "connectors" / "cities.csv").open(encoding="utf-8", newline="") as file:
        cities = {city["name"]: city for city in csv.DictReader(file)}
    counts = (
        windows(posts, FIVE)
        .groupby(KEYS["social_locations"], as_index=False)
        .agg(
            posts=("post_id", "size"),
            likes=("likes", "sum"),
            engagements=("engagements", "sum"),
            toxic_posts=("is_toxic", "sum"),
        )
    )
    known = [cities.get(location) for location in counts["location"]]
    counts["country"] = [city and city["country"] for city in known]
    counts["coordinates"] = [
        city and {"lat": float(city["latitude"]), "lon": float(city["longitude"])} for city in known
    ]
    return counts


def social_users(posts: pd.DataFrame) -> pd.DataFrame:
    """`engagement_rate` of a user: engagements per view. `toxic_share`: of the scored posts.

    The profile is that of the latest post that tells the followers, of the latest where none does.
    """
    starts = posts["posted_at"].dt.floor("10min")
    hours = pd.concat(
        posts.assign(window_start=starts - number * TEN, window_end=starts - number * TEN + HOUR) for number in range(6)
    )
    hours["tells_followers"] = hours["followers"].notna()
    hours = hours.sort_values(["tells_followers", "posted_at", "post_id"])
    key = KEYS["social_users"]
    counts = hours.groupby(key, as_index=False).agg(
        posts=("post_id", "size"),
        reach=("views", "sum"),
        engagements=("engagements", "sum"),
        toxic_posts=("is_toxic", "sum"),
        scored=("is_toxic", "count"),
    )
    counts["engagement_rate"] = per(counts["engagements"], counts["reach"])
    counts["toxic_share"] = per(counts["toxic_posts"], counts.pop("scored"))
    profile = ["username", "platform", "followers", "is_verified", "is_influencer"]
    return counts.merge(hours.drop_duplicates(key, keep="last")[key + profile], on=key)


def social_influencers(users: pd.DataFrame) -> pd.DataFrame:
    """Of equally many engagements, the smaller user_id has the better rank."""
    influencers = users[users["is_influencer"].fillna(False)].drop(columns="is_influencer")
    return ranked(influencers, "engagements", "user_id")


def social_alerts(posts: pd.DataFrame, minutes: int, width: float) -> pd.DataFrame:
    """The rule stands in jobs/social_metrics.py: Shewhart's c and p charts over the minutes before that had posts."""
    alerts = []
    for dimension in ("platform", "topic"):
        series = (
            windows(posts, MINUTE)
            .groupby([dimension, "window_start", "window_end"], as_index=False)
            .agg(posts=("post_id", "size"), toxic_posts=("is_toxic", "sum"), scored_posts=("is_toxic", "count"))
            .astype(dict.fromkeys(("posts", "toxic_posts", "scored_posts"), float))
        )
        series["share"] = (series["toxic_posts"] / series["scored_posts"]).fillna(0)
        for name, own in series.groupby(dimension):
            before = own[["posts", "toxic_posts", "scored_posts", "share"]].shift().rolling(minutes, min_periods=10)
            mean, deviation, total = before.mean(), before.std(ddof=0), before.sum()
            toxic = (total["toxic_posts"] + 1) / (total["scored_posts"] + 2)
            chance = {
                "posts": np.sqrt(mean["posts"]),
                "share": np.sqrt(toxic * (1 - toxic) / own["scored_posts"].where(own["scored_posts"] > 0)),
            }
            for metric, column in (("posts", "posts"), ("toxic_share", "share")):
                band = own.assign(
                    dimension=dimension,
                    name=name,
                    metric=metric,
                    value=own[column],
                    usual=mean[column],
                    deviation=np.maximum(deviation[column], chance[column]),
                    minutes=before["posts"].count(),
                )
                alerts.append(band[(band["value"] - band["usual"]).abs() > width * band["deviation"]])
    found = pd.concat(alerts).drop(columns=["platform", "topic", "share"])
    found["direction"] = np.where(found["value"] > found["usual"], "above", "below")
    found["lower"] = found["usual"] - width * found["deviation"]
    found["upper"] = found["usual"] + width * found["deviation"]
    return found.astype(dict.fromkeys(("posts", "toxic_posts", "scored_posts", "minutes"), int))


def social_agreement(posts: pd.DataFrame) -> pd.DataFrame:
    counts = windows(posts, FIVE).groupby(KEYS["social_agreement"], as_index=False).agg(posts=("post_id", "size"))
    return counts.assign(agrees=counts["stated_sentiment"] == counts["sentiment"])


def ranked(counts: pd.DataFrame, by: str, then: str) -> pd.DataFrame:
    """The first rows of each window by falling `by`, with their `rank` from 1 on."""
    ordered = counts.sort_values([by, then], ascending=[False, True])
    ordered["rank"] = ordered.groupby("window_start").cumcount() + 1
    return ordered[ordered["rank"] <= TOP]


def per(counts: pd.Series, of: pd.Series) -> pd.Series:
    """The quotient, null where it is of nothing."""
    return counts.astype("Float64") / of.astype("Float64").replace(0, pd.NA)


def plain(frame: pd.DataFrame) -> list[Document]:
    """The rows as Elasticsearch gives documents: times as ISO 8601 in UTC, null for what is missing."""
    columns = {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            column = column.map(iso)
        columns[name] = [None if is_missing(value) else value for value in column.astype(object)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def iso(time: datetime) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def is_missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
