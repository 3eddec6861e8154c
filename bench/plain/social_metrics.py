"""jobs/social_metrics.py by hand: counts of posts in windows of a minute, of five, and of an hour per user.

It leaves out: alerts.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.plain._loop import Event, Windows, Writer, iso, seconds_of

LATE_SECONDS = 20
TOP = 50
GROUPS = ("platform", "topic", "sentiment", "content_type", "post_type")
SUMS = ("likes", "shares", "comments", "views")


def _of_hour() -> dict[str, Any]:
    return {"posts": 0, "reach": 0, "engagements": 0, "toxic_posts": 0, "profile": ("", {})}


class Loop:
    """The work, event by event."""

    topics = ("scored_posts",)
    time = "posted_at"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._posts = Windows(dict, 60)
        self._hashtags = Windows(set, 300)
        self._locations = Windows(Counter, 300)
        self._agreement = Windows(Counter, 300)
        self._users = Windows(_of_hour, 3600, 600)
        self._uses_before: dict[str, set[str]] = {}

    def take(self, topic: str, event: Event, now: float) -> None:
        # A post's last version is the one that counts, which is known when its minute closes.
        for post in self._posts.of(seconds_of(event["posted_at"]), event["post_id"]):
            post.clear()
            post.update(event)
        self._write(now - LATE_SECONDS)

    def _write(self, now: float) -> None:
        for start, end, posts in self._posts.closed(now):
            groups: dict[tuple[str, ...], Counter[str]] = {}
            for post in posts.values():
                key = tuple(post.get(name) or "unknown" for name in GROUPS)
                self._count(post, groups.setdefault(key, Counter()))
            for key, counts in groups.items():
                rate = counts.pop("rates") / counts["posts"]
                document = dict(zip(GROUPS, key, strict=True)) | {
                    **counts, "window_start": iso(start), "window_end": iso(end),
                    "mean_engagement_rate": rate,
                }  # fmt: skip
                self._writer.index("social_metrics", f"{'_'.join(key)}_{start}", document)
        self._write_of_five_minutes(now)
        for start, end, users in self._users.closed(now):
            for user, counts in users.items():
                document = counts | counts.pop("profile")[1] | {
                    "user_id": user, "window_start": iso(start), "window_end": iso(end),
                    "engagement_rate": counts["engagements"] / counts["reach"] if counts["reach"] else None,
                    "toxic_share": counts["toxic_posts"] / counts["posts"],
                }  # fmt: skip
                self._writer.index("social_users", f"{user}_{start}", document)

    def _count(self, post: Event, counts: Counter[str]) -> None:
        at, toxic = seconds_of(post["posted_at"]), bool(post.get("is_toxic"))
        engagements = sum(post.get(name) or 0 for name in ("likes", "shares", "comments"))
        counts["posts"] += 1
        for name in SUMS:
            counts[name] += post.get(name) or 0
        counts["engagements"] += engagements
        counts["rates"] += post.get("engagement_rate") or 0
        counts["viral_posts"] += bool(post.get("is_viral"))
        counts["toxic_posts"] += toxic
        for tag in post.get("hashtags") or ():
            for uses in self._hashtags.of(at, tag.strip().lstrip("#").lower()):
                uses.add(post["post_id"])
        if post.get("location"):
            for of_place in self._locations.of(at, post["location"]):
                of_place.update(posts=1, likes=post.get("likes") or 0, engagements=engagements, toxic_posts=toxic)
        for of_pair in self._agreement.of(at, (post.get("stated_sentiment"), post.get("sentiment"))):
            of_pair["posts"] += 1
        profile = {
            name: post.get(name) for name in ("username", "platform", "followers", "is_verified", "is_influencer")
        }
        for of_hour in self._users.of(at, post["user_id"]):
            of_hour["posts"] += 1
            of_hour["reach"] += post.get("views") or 0
            of_hour["engagements"] += engagements
            of_hour["toxic_posts"] += toxic
            of_hour["profile"] = max(of_hour["profile"], (post["posted_at"], profile), key=lambda one: one[0])

    def _write_of_five_minutes(self, now: float) -> None:
        for start, end, tags in self._hashtags.closed(now):
            ranked = sorted(tags.items(), key=lambda one: (-len(one[1]), one[0]))[:TOP]
            for rank, (tag, uses) in enumerate(ranked, 1):
                before = len(self._uses_before.get(tag, ()))
                document = {
                    "window_start": iso(start), "window_end": iso(end), "rank": rank, "hashtag": tag,
                    "posts": len(uses), "previous_posts": before, "trend": len(uses) - before,
                }  # fmt: skip
                self._writer.index("social_hashtags", f"{tag}_{start}", document)
            self._uses_before = tags
        for start, end, places in self._locations.closed(now):
            for place, counts in places.items():
                document = {**counts, "location": place, "window_start": iso(start), "window_end": iso(end)}
                self._writer.index("social_locations", f"{place}_{start}", document)
        for start, end, pairs in self._agreement.closed(now):
            for (stated, found), counts in pairs.items():
                document = {
                    "window_start": iso(start), "window_end": iso(end), "stated_sentiment": stated,
                    "sentiment": found, "agrees": stated == found, "posts": counts["posts"],
                }  # fmt: skip
                self._writer.index("social_agreement", f"{stated}_{found}_{start}", document)
