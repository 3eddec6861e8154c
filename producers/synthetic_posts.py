"""Generated social posts of six platforms: a stable population, daily rhythm, surges, and the faults of real streams.

`events(...)` is a pure iterator: the same arguments give the same bytes. The people are the same on every run; the seed
decides what they say, and with the hour of the day also which topics surge when. Nothing in the texts is copied.
"""

from __future__ import annotations

import csv
import heapq
import itertools
import math
import random
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import orjson
from faker import Faker

from producers._post_texts import TOPICS, Texts
from settings import ROOT

Fields = dict[str, Any]
Kind = Literal["post", "correction", "late", "odd", "copy", "malformed"]

NOMINAL_RATE = 50.0  # records/s
USERS = 20_000
OUT_OF_ORDER_MS = 4_999
# Pictures say something without words: no model can score these posts.
UNCAPTIONED_TYPES, UNCAPTIONED_SHARE = ("image", "story"), 0.04
LATE_SECONDS = (1_800.0, 5_400.0)
CORRECTED_AFTER_SECONDS = (1.0, 15.0)  # of the post's own time
INFLUENCER_FOLLOWERS = 50_000
VIRAL_REACTIONS = 1_000
VIRAL_VIEWS_PER_FOLLOWER = 3
MOST_VIEWS = 2_000_000_000


class SyntheticPost(NamedTuple):
    """A record: when it is told (Unix seconds), its key (the user), and the bytes that Kafka gets.

    `kind` is post, correction (a later version of a post), late, odd (usable but for one field), copy (byte for byte
    the record before it) or malformed. `detail` is the kind of MALFORMED_KINDS or ODD_KINDS, and a copy's original's
    kind.
    """

    time: float
    key: bytes
    value: bytes
    kind: Kind
    detail: str = ""


class City(NamedTuple):
    name: str
    country: str
    language: str
    latitude: float
    longitude: float


def cities() -> list[City]:
    """The cities of connectors/cities.csv; those with more users come first."""
    with (ROOT / "connectors" / "cities.csv").open(encoding="utf-8", newline="") as file:
        return [
            City(row["name"], row["country"], row["language"], float(row["latitude"]), float(row["longitude"]))
            for row in csv.DictReader(file)
        ]


def _spread(percent: Mapping[str, int]) -> tuple[str, ...]:
    """A hundred names in these shares, so that a draw is one look-up."""
    names = tuple(name for name, share in percent.items() for _ in range(share))
    if len(names) != 100:
        raise ValueError(f"The shares {percent} add up to {len(names)}, not to 100.")
    return names


class Platform(NamedTuple):
    """`views` per follower and `likes` per view are medians; `hashtags` is the most that a post has."""

    post_types: tuple[str, ...]
    content_types: tuple[str, ...]
    views: float
    likes: float
    hashtags: int


PLATFORMS = {
    "Twitter": Platform(
        _spread({"text": 52, "image": 22, "link": 14, "video": 9, "poll": 3}),
        _spread({"opinion": 28, "news": 22, "humor": 18, "personal": 14, "entertainment": 9, "promotional": 5,
                 "educational": 4}),
        0.15, 0.025, 2,
    ),
    "Instagram": Platform(
        _spread({"image": 48, "video": 27, "story": 21, "live": 4}),
        _spread({"personal": 34, "entertainment": 24, "promotional": 20, "humor": 12, "educational": 6, "opinion": 4}),
        0.30, 0.06, 4,
    ),
    "Facebook": Platform(
        _spread({"text": 30, "image": 32, "link": 16, "video": 16, "poll": 2, "live": 4}),
        _spread({"personal": 32, "news": 18, "entertainment": 16, "opinion": 14, "promotional": 12, "humor": 8}),
        0.12, 0.03, 1,
    ),
    "LinkedIn": Platform(
        _spread({"text": 44, "link": 26, "image": 16, "video": 8, "poll": 6}),
        _spread({"educational": 32, "promotional": 24, "opinion": 18, "news": 16, "personal": 10}),
        0.20, 0.02, 3,
    ),
    "TikTok": Platform(
        _spread({"video": 88, "live": 8, "story": 4}),
        _spread({"entertainment": 40, "humor": 30, "personal": 14, "educational": 8, "promotional": 6, "opinion": 2}),
        0.45, 0.08, 3,
    ),
    "YouTube": Platform(
        _spread({"video": 84, "live": 11, "poll": 5}),
        _spread({"entertainment": 36, "educational": 30, "opinion": 12, "news": 10, "humor": 8, "promotional": 4}),
        0.25, 0.04, 2,
    ),
}  # fmt: skip
_PLATFORM_SHARES = _spread({"Twitter": 30, "Instagram": 22, "Facebook": 18, "TikTok": 14, "YouTube": 8, "LinkedIn": 8})
_POST_TYPE_VIEWS = {"text": 1.0, "image": 1.2, "video": 1.6, "link": 0.6, "poll": 0.9, "story": 0.8, "live": 1.4}
# Factor of the views; shares and comments per like.
_CONTENT = {
    "educational": (0.9, 0.14, 0.06),
    "entertainment": (1.3, 0.10, 0.08),
    "news": (1.2, 0.25, 0.15),
    "promotional": (0.5, 0.04, 0.03),
    "personal": (1.0, 0.03, 0.12),
    "humor": (1.5, 0.22, 0.07),
    "opinion": (1.0, 0.12, 0.30),
}
# Posts by the hour of local solar time, midnight first; the evening is busiest.
_RHYTHM = (
    0.45, 0.28, 0.18, 0.13, 0.12, 0.16, 0.30, 0.55, 0.75, 0.80, 0.80, 0.85,
    1.00, 0.95, 0.85, 0.82, 0.88, 1.00, 1.20, 1.40, 1.50, 1.40, 1.10, 0.75,
)  # fmt: skip
_FAKER_LOCALES = {
    "en": "en_US", "es": "es_MX", "pt": "pt_BR", "fr": "fr_FR", "de": "de_DE", "it": "it_IT", "id": "id_ID",
    "tr": "tr_TR", "ja": "ja_JP", "hi": "hi_IN", "ko": "ko_KR", "ar": "en_GB", "zh": "zh_CN",
}  # fmt: skip
_FAKER_NAMES = 500  # of each language; further users of a name have a number behind it


def _log_normal(sigma: float) -> tuple[float, ...]:
    """4096 quantiles of the log-normal distribution of median 1."""
    normal = NormalDist(sigma=sigma)
    return tuple(math.exp(normal.inv_cdf((index + 0.5) / 4096)) for index in range(4096))


_WIDE = _log_normal(1.0)
_NARROW = _log_normal(0.5)


@dataclass(slots=True)
class User:
    """Who posts: always on one platform, mostly from home, in a language and about topics of their own."""

    user_id: str
    key: bytes
    username: str
    platform: str
    city: int
    language: str
    topics: tuple[str, ...]
    followers: int
    verified: bool


@cache
def _usernames() -> dict[str, list[str]]:
    """Usernames by language, with some twice."""
    names = {}
    for language, locale in _FAKER_LOCALES.items():
        faker = Faker(locale)
        faker.seed_instance(1)
        names[language] = [faker.user_name() for _ in range(_FAKER_NAMES)]
    return names


def population(count: int = USERS) -> list[User]:
    """The people, always the same for the same `count`.

    Followers are the quantiles of a Pareto distribution (minimum 60, exponent 0.8): half have fewer than 150, a few
    in ten thousand more than a million. Cities have users as 1 / (rank + 4).
    """
    draw = random.Random("population")
    homes = cities()
    shares = list(itertools.accumulate(1 / (rank + 4) for rank in range(len(homes))))
    ranks = list(range(count))
    draw.shuffle(ranks)
    usernames = _usernames()
    names = list(TOPICS)
    people = []
    taken: set[str] = set()
    for number, rank in enumerate(ranks):
        city = bisect(shares, draw.random() * shares[-1], hi=len(homes) - 1)
        local = homes[city].language
        username = usernames[local][int(draw.random() * _FAKER_NAMES)]
        if username in taken:
            username = f"{username}{number}"
        taken.add(username)
        followers = int(60 * ((rank + 0.5) / count) ** (-1 / 0.8))
        people.append(
            User(
                user_id=f"u{number:06d}",
                key=f"u{number:06d}".encode(),
                username=username,
                platform=_PLATFORM_SHARES[int(draw.random() * 100)],
                city=city,
                language=local if draw.random() < 0.85 else "en",
                topics=tuple(draw.sample(names, 3)),
                followers=followers,
                verified=draw.random() < (0.85 if followers > 100_000 else 0.2 if followers > 10_000 else 0.01),
            )
        )
    return people


class Surge(NamedTuple):
    """A topic that many suddenly speak of: its share of all posts rises to `peak` after `rise` seconds and fades."""

    start: float
    rise: float
    peak: float
    topic: str
    hashtag: str
    city: int
    mood: str

    def share(self, time: float) -> float:
        x = (time - self.start) / self.rise
        return self.peak * x * math.exp(1 - x) if 0 < x < 8 else 0.0


SURGE_EVERY_SECONDS = 1_200


def surge(seed: int, number: int, homes: list[City]) -> Surge:
    """The surge that begins within the `number`-th 20 minutes since 1970."""
    draw = random.Random(f"{seed} surge {number}")
    name = draw.choice(list(TOPICS))
    mood = draw.choice(("positive", "negative"))
    city = draw.randrange(len(homes))
    word = draw.choice(TOPICS[name].good if mood == "positive" else TOPICS[name].bad)
    return Surge(
        start=number * SURGE_EVERY_SECONDS + draw.uniform(0, SURGE_EVERY_SECONDS),
        rise=draw.uniform(60, 240),
        peak=draw.uniform(0.15, 0.4),
        topic=name,
        hashtag=homes[city].name.replace(" ", "") + word,
        city=city,
        mood=mood,
    )


class _Moment(NamedTuple):
    """Ten seconds: the cities with their shares added up, and the surges with theirs."""

    cities: list[float]
    surges: list[tuple[float, Surge]]


class _Story:
    """Draws one post after the other."""

    def __init__(self, seed: int, start: datetime, users: int, abusive: float) -> None:
        self.draw = random.Random(seed).random
        self._seed = seed
        self._abusive = abusive
        self._texts = Texts()
        self._cities = cities()
        self._people = population(users)
        self._homes: dict[int, list[User]] = {}
        activity = random.Random("activity")
        # Who has many followers tends to post often: `post` takes the first of a city most often.
        for user in sorted(self._people, key=lambda each: -each.followers * activity.lognormvariate(0, 1.5)):
            self._homes.setdefault(user.city, []).append(user)
        self._inhabited = sorted(self._homes)
        # Two runs tell of different posts: the ids come from the seed and the start.
        self._prefix = f"{random.Random(f'{seed} {start.isoformat()}').getrandbits(40):010x}"
        self._numbers = itertools.count()
        self._topics = list(TOPICS)
        self._surge = lru_cache(maxsize=64)(lambda number: surge(seed, number, self._cities))
        self._moment = lru_cache(maxsize=1024)(self._moment_of)

    def _moment_of(self, number: int) -> _Moment:
        time = number * 10.0
        weights = []
        for city in self._inhabited:
            hour = (time / 3600 + self._cities[city].longitude / 15) % 24
            low, part = int(hour), hour % 1
            rhythm = _RHYTHM[low] * (1 - part) + _RHYTHM[(low + 1) % 24] * part
            weights.append(len(self._homes[city]) * rhythm)
        slot = int(time // SURGE_EVERY_SECONDS)
        surges = []
        total = 0.0
        for each in map(self._surge, range(slot - 2, slot + 1)):
            if share := each.share(time):
                total += share
                surges.append((total, each))
        return _Moment(list(itertools.accumulate(weights)), surges)

    def post(self, time_ms: int) -> tuple[User, Fields]:
        """A post of this time (Unix milliseconds) and who wrote it."""
        draw = self.draw
        moment = self._moment(time_ms // 10_000)
        wave = None
        if moment.surges:
            chance = draw()
            wave = next((each for total, each in moment.surges if chance < total), None)
        if wave and wave.city in self._homes and draw() < 0.4:
            home = wave.city
        else:
            home = self._inhabited[bisect(moment.cities, draw() * moment.cities[-1], hi=len(moment.cities) - 1)]
        people = self._homes[home]
        user = people[int(draw() ** 2 * len(people))]  # some write often, many seldom
        platform = PLATFORMS[user.platform]
        post_type = platform.post_types[int(draw() * 100)]
        content_type = platform.content_types[int(draw() * 100)]
        if wave:
            name = wave.topic
        elif draw() < 0.8:
            name = user.topics[int(draw() * 3)]
        else:
            name = self._topics[int(draw() * len(self._topics))]
        topic = TOPICS[name]

        if wave and draw() < 0.75:
            sentiment = wave.mood
        else:
            chance = draw()
            sentiment = (
                "positive"
                if chance < topic.positive_share
                else "negative"
                if chance < topic.positive_share + topic.negative_share
                else "neutral"
            )
        if content_type == "promotional" and sentiment == "negative":
            sentiment = "positive"

        first = int(draw() ** 2 * len(topic.hashtags))  # some hashtags are everywhere
        hashtags = [
            topic.hashtags[(first + each) % len(topic.hashtags)]
            for each in range(int(draw() * (platform.hashtags + 1)))
        ]
        if wave:
            hashtags.insert(0, wave.hashtag)
        language = user.language
        abusive = draw() < (self._abusive * 4 if wave and wave.mood == "negative" else self._abusive)
        mention = ""
        if abusive or draw() < 0.12:
            mention = self._people[int(draw() * len(self._people))].username
        if abusive:
            sentiment, language = "negative", "en"
            text = self._texts.abuse(draw, hashtags=hashtags, mention=mention)
        elif post_type in UNCAPTIONED_TYPES and draw() < UNCAPTIONED_SHARE:
            text = ""
        else:
            text = self._texts.text(
                draw,
                language=language,
                topic=name,
                sentiment=sentiment,
                content_type=content_type,
                hashtags=hashtags,
                mention=mention,
            )

        followers = user.followers
        content_views, shares_per_like, comments_per_like = _CONTENT[content_type]
        seen = (
            (followers * platform.views + 6) * content_views * _POST_TYPE_VIEWS[post_type] * _WIDE[int(draw() * 4096)]
        )
        if draw() < (0.06 if wave else 0.0008):
            seen = seen * (10 + 90 * draw() ** 2) + 30_000 * _WIDE[int(draw() * 4096)]
            user.followers += min(int(seen), MOST_VIEWS) // 1000  # from the next post on
        views = min(int(seen), MOST_VIEWS)
        likes = int(views * min(platform.likes * _NARROW[int(draw() * 4096)], 0.5))
        fields: Fields = {
            "post_id": f"{self._prefix}-{next(self._numbers):07x}",
            "user_id": user.user_id,
            "username": user.username,
            "platform": user.platform,
            "timestamp": iso(time_ms),
            "post_type": post_type,
            "content_type": content_type,
            "topic": name,
            "hashtags": hashtags,
            "sentiment": sentiment,
            "location": self._cities[home].name,
            "likes": likes,
            "shares": int(likes * min(shares_per_like * _NARROW[int(draw() * 4096)], 0.5)),
            "comments": int(likes * min(comments_per_like * _NARROW[int(draw() * 4096)], 0.5)),
            "views": views,
            "engagement_rate": None,
            "followers": followers,
            "is_verified": user.verified,
            "is_influencer": followers >= INFLUENCER_FOLLOWERS,
            "is_viral": False,
            "language": language,
            "text": text,
        }
        _measure(fields)
        return user, fields

    def corrected(self, fields: Fields) -> Fields:
        """The same post some seconds later: every count is higher."""
        growth = 1 + 0.5 * self.draw()
        later = fields | {
            "likes": int(fields["likes"] * growth) + 1,
            "shares": int(fields["shares"] * growth) + 1,
            "comments": int(fields["comments"] * growth) + 1,
            "views": int(fields["views"] * growth) + 4,
        }
        _measure(later)
        return later


def _measure(fields: Fields) -> None:
    """Set what follows from the counts: engagement_rate and is_viral."""
    reactions = fields["likes"] + fields["shares"] + fields["comments"]
    views = fields["views"]
    fields["engagement_rate"] = reactions / views if views else None
    fields["is_viral"] = reactions >= VIRAL_REACTIONS and views >= VIRAL_VIEWS_PER_FOLLOWER * fields["followers"]


def iso(time_ms: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC: `2026-01-31T12:00:00.123Z`."""
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{milliseconds:03d}Z"


def _without(fields: Fields, name: str) -> Fields:
    return {key: value for key, value in fields.items() if key != name}


# The kinds of records that no job can use, in the order in which they come: fields, bytes too many, a future time.
_MALFORMED: dict[str, Callable[[Fields, int, str], bytes]] = {
    "not_json": lambda fields, size, future: b"<html>503 Service Unavailable</html>",
    "truncated": lambda fields, size, future: orjson.dumps(fields)[:-20].decode(errors="ignore").encode(),
    "empty": lambda fields, size, future: b"",
    "invalid_utf8": lambda fields, size, future: orjson.dumps(fields)[:-1] + b',"x":"\xff\xfe"}',
    "array": lambda fields, size, future: orjson.dumps([fields]),
    "oversized": lambda fields, size, future: orjson.dumps(fields | {"text": "x" * size}),
    "missing_post_id": lambda fields, size, future: orjson.dumps(_without(fields, "post_id")),
    "null_user_id": lambda fields, size, future: orjson.dumps(fields | {"user_id": None}),
    "wrong_type": lambda fields, size, future: orjson.dumps(fields | {"platform": 7}),
    "unknown_platform": lambda fields, size, future: orjson.dumps(fields | {"platform": "Fotolog"}),
    "empty_post_id": lambda fields, size, future: orjson.dumps(fields | {"post_id": ""}),
    "nonsense_time": lambda fields, size, future: orjson.dumps(fields | {"timestamp": "2026-13-45T99:99:99Z"}),
    "future": lambda fields, size, future: orjson.dumps(fields | {"timestamp": future}),
}
MALFORMED_KINDS = tuple(_MALFORMED)

# Posts of which one field cannot be used, in the order in which they come.
_ODD: dict[str, Callable[[Fields], Fields]] = {
    "negative_likes": lambda fields: {"likes": -1 - fields["likes"]},
    "views_below_likes": lambda fields: {"likes": fields["likes"] + 2, "views": fields["likes"] + 1},
    "unknown_post_type": lambda fields: {"post_type": "hologram"},
    "location_number": lambda fields: {"location": 7},
    "followers_string": lambda fields: {"followers": "many"},
}
ODD_KINDS = tuple(_ODD)


def events(
    *,
    seed: int = 1,
    start: datetime,
    rate: float = NOMINAL_RATE,
    limit: int | None = None,
    users: int = USERS,
    late: float = 0.0,
    duplicates: float = 0.0,
    malformed: float = 0.0,
    odd: float = 0.001,
    corrections: float = 0.05,
    abusive: float = 0.02,
    oversized_bytes: int = 524_288,
    now: datetime | None = None,
    clock: Callable[[], float] | None = None,
) -> Iterator[SyntheticPost]:
    """Records in the order in which they are told, `rate` a second from `start` on: `limit` of them or without end.

    A post's own time is up to 5 s before it is told; a late one's 30 to 90 minutes. `late` and `odd` are shares of the
    posts, `corrections` the chance of a told version to be told again within 15 s of the post's own time, `duplicates`
    the share of these records that are followed by a copy, `abusive` the usual share of abusive texts (four times that
    in a surge of bad mood). `malformed` is the share of records that no job can use, of MALFORMED_KINDS in rotation:
    these come on top and are not counted. One of the kind `oversized` is longer than `oversized_bytes`, one of the kind
    `future` a day after both its telling and `now` (default: `start`). `users` is 1 or more. `clock` gives Unix
    seconds at which records are told, instead of `start` and `rate`; then the times follow it, and with it the bytes.
    """
    story = _Story(seed, start, users, abusive)
    draw = story.draw
    began = start.timestamp()
    future_ms = int((now or start).timestamp() * 1000)
    odd_kinds = itertools.cycle(_ODD.items())
    malformed_kinds = itertools.cycle(_MALFORMED.items())
    pending: list[tuple[float, int, User, Fields, int]] = []  # corrections by the time at which they are told
    numbers = itertools.count()
    good = broken = 0
    told = began
    while True:
        slot = clock() if clock else began + good / rate
        detail = ""
        kind: Kind = "post"
        if pending and pending[0][0] <= slot:
            told, _, user, fields, time_ms = heapq.heappop(pending)
            kind = "correction"
        else:
            told = max(told, slot)
            time_ms = int(told * 1000) - int(draw() * OUT_OF_ORDER_MS)
            chance = draw()
            if chance < late:
                kind = "late"
                time_ms = int((told - LATE_SECONDS[0] - draw() * (LATE_SECONDS[1] - LATE_SECONDS[0])) * 1000)
            elif chance < late + odd:
                kind = "odd"
            user, fields = story.post(time_ms)
        if kind == "odd":
            detail, change = next(odd_kinds)
            fields |= change(fields)
        elif kind != "late" and draw() < corrections:
            earliest = max(told + 0.1, time_ms / 1000 + CORRECTED_AFTER_SECONDS[0])
            latest = time_ms / 1000 + CORRECTED_AFTER_SECONDS[1]
            if earliest < latest:
                due = earliest + draw() * (latest - earliest)
                heapq.heappush(pending, (due, next(numbers), user, story.corrected(fields), time_ms))
        post = SyntheticPost(told, user.key, orjson.dumps(fields), kind, detail)
        copies = (
            (post, post._replace(kind="copy", detail=kind)) if draw() < duplicates and good + 1 != limit else (post,)
        )
        yield from copies
        good += len(copies)
        while broken < int(good * malformed + 1e-9):
            broken += 1
            detail, make = next(malformed_kinds)
            # It has an id of its own: taken for good, it would be a post too many.
            spoiled = fields | {"post_id": f"malformed-{fields['post_id']}-{broken}"}
            value = make(spoiled, oversized_bytes, iso(max(future_ms, int(told * 1000)) + 86_400_000))
            yield SyntheticPost(told, user.key, value, "malformed", detail)
        if good == limit:
            return
