"""Synthetic people on Instagram: whom a name stands for, what they post and when; nobody and nothing is copied.

Everything about a person follows from the seed and the name. Posts stand on a grid of absolute time, so a run of
tomorrow tells the posts of yesterday with the ids, captions and pictures of yesterday's run, and newer ones.
"""

from __future__ import annotations

import base64
import hashlib
import heapq
import itertools
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Literal

from producers._instagram_captions import CHARACTERS, FRIENDS, PLACES, TIMES
from producers._instagram_pictures import picture
from producers._instagram_records import Picture, Post, Profile

# The characters of the demo's people are given; those of any other name are drawn.
DEMO_CHARACTERS = {
    "demo_sunny_sue": "cheerful",
    "demo_grumpy_gus": "grumpy",  # harsh words, weapons, alcohol and drugs
    "demo_private_pia": "quiet",  # a private profile: no posts
    "demo_textonly_tom": "hiker",  # captions, but no pictures
    "demo_wordy_wilma": "wordy",  # words that only look like keywords
}
DEMO_USERS = tuple(DEMO_CHARACTERS)
PRIVATE, WITHOUT_PICTURES = "demo_private_pia", "demo_textonly_tom"
MISSING_PREFIX = "missing_"

DRAWN = ("cheerful", "hiker", "cook", "party", "hunter", "campaigner", "bully", "quiet")
PRIVATE_SHARE = 0.08
POSTS_A_YEAR = (30, 80)
YEAR_SECONDS = 365 * 86_400
VIDEO_SHARE, REUSED_PICTURE_SHARE, REUSED_PICTURES = 0.1, 0.12, 3


@dataclass(frozen=True)
class Person:
    """Whom a name stands for; `interval` is the mean time between two posts, in seconds."""

    seed: int
    username: str
    character: str
    status: Literal["ok", "private", "missing"]
    has_pictures: bool
    joined: datetime
    interval: float
    followers: int
    following: int
    verified: bool

    def profile(self, now: datetime, more_posts: int = 0) -> Profile:
        """The profile as it is shown at that time; `more_posts` are those that do not stand on the grid."""
        if self.status == "missing":
            return Profile(self.username, "missing")
        return Profile(
            self.username,
            self.status,
            number_of_posts=sum(1 for _ in self._times(self.joined, now)) + more_posts,
            followers_count=self.followers,
            following_count=self.following,
            bio=CHARACTERS[self.character].bio,
            external_url=f"https://{self.username.strip('_').replace('_', '-')}.example/" if self.verified else None,
            is_private=self.status == "private",
            is_verified=self.verified,
        )

    def posts(self, since: datetime, until: datetime) -> Iterator[Post]:
        """What everybody can see of their posts of this time (`until` not included), oldest first."""
        if self.status == "ok":
            for number, posted_at in self._times(since, until):
                yield self.post(f"{number}", posted_at)

    def _times(self, since: datetime, until: datetime) -> Iterator[tuple[int, datetime]]:
        """The posts of the grid, by number: one an interval, somewhere in its middle."""
        first = max(0, math.floor((since - self.joined).total_seconds() / self.interval))
        for number in itertools.count(first):
            share = random.Random(f"{self.seed} {self.username} time {number}").uniform(0.1, 0.9)
            posted_at = self.joined + timedelta(seconds=round((number + share) * self.interval))
            if posted_at >= until:
                return
            if posted_at >= since:
                yield number, posted_at

    def post(self, name: str, posted_at: datetime) -> Post:
        """The post of this name, always the same but for its time."""
        draw = random.Random(f"{self.seed} {self.username} post {name}")
        digest = hashlib.sha256(f"{self.seed} {self.username} {name}".encode()).digest()
        likes = int(self.followers * min(0.6, 0.08 * draw.lognormvariate(0, 0.6)))
        pictures: tuple[Picture, ...] = ()
        if self.has_pictures:
            kind: Literal["image", "video"] = "video" if draw.random() < VIDEO_SHARE else "image"
            scene = CHARACTERS[self.character].scene
            shown = [
                f"{name} {each}" for each in range(draw.choice((1, 1, 1, 1, 1, 1, 2, 3)) if kind == "image" else 1)
            ]
            if draw.random() < REUSED_PICTURE_SHARE:
                shown = [f"again {draw.randrange(REUSED_PICTURES)}"]
            pictures = tuple(
                Picture(kind, partial(picture, scene, f"{self.seed} {self.username} {each}")) for each in shown
            )
        return Post(
            self.username,
            base64.urlsafe_b64encode(digest[:8]).decode().rstrip("="),
            self._caption(draw),
            likes,
            int(likes * draw.uniform(0.005, 0.08)),
            posted_at,
            pictures,
        )

    def _caption(self, draw: random.Random) -> str | None:
        character = CHARACTERS[self.character]
        if draw.random() < character.empty_share:
            return draw.choice((None, ""))
        others = character.others and draw.random() < character.other_share
        text = draw.choice(character.others if others else character.sentences).format(
            place=draw.choice(PLACES),
            time=draw.choice(TIMES),
            thing=draw.choice(character.things),
            friend=draw.choice(FRIENDS),
        )
        text = text[0].upper() + text[1:]
        if draw.random() < 0.6:
            text += f" {draw.choice(character.emoji)}"
        tags = draw.sample(character.hashtags, draw.randint(0, min(3, len(character.hashtags))))
        return " ".join([text, *(f"#{tag}" for tag in tags)])


def person(username: str, seed: int) -> Person:
    """Whom a name stands for: always the same for the same seed.

    A name that begins with `missing_` is of nobody; some others have a private profile. The five of DEMO_USERS have
    the characters that are given above.
    """
    draw = random.Random(f"{seed} person {username}")
    demo = username in DEMO_CHARACTERS
    character = draw.choice(DRAWN)
    private = draw.random() < PRIVATE_SHARE
    followers = int(draw.lognormvariate(math.log(600), 1.2)) + 20
    return Person(
        seed,
        username,
        DEMO_CHARACTERS.get(username, character),
        "missing" if username.startswith(MISSING_PREFIX)
        else "private" if username == PRIVATE or (private and not demo)
        else "ok",
        has_pictures=username != WITHOUT_PICTURES,
        joined=datetime(2015, 1, 1, tzinfo=UTC) + timedelta(days=draw.randrange(8 * 365)),
        interval=YEAR_SECONDS / draw.uniform(*POSTS_A_YEAR),
        followers=followers,
        following=int(followers * draw.uniform(0.3, 1.6)) + 10,
        verified=draw.random() < min(0.5, followers / 20_000),
    )  # fmt: skip


def told(
    people: Sequence[Person], since: datetime, until: datetime, max_posts: int | None = None
) -> Iterator[Profile | Post]:
    """The profiles, then the posts of all of them, oldest first: of each the newest `max_posts`."""
    for each in people:
        yield each.profile(until)
    posts = [list(each.posts(since, until))[-(max_posts or 0) :] for each in people]
    yield from heapq.merge(*posts, key=lambda post: post.posted_at)


def new_posts(
    people: Sequence[Person],
    per_minute: float,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Profile | Post]:
    """A post of somebody at a steady rate of all people together, each at its time, with the profile's new count.

    Without an end; empty where nobody posts in public. The times are multiples of the interval since 1970, and a post
    follows from its time: two producers tell the same.
    """
    posting = [each for each in people if each.status == "ok"]
    if not posting:
        return
    more: Counter[str] = Counter()
    interval = 60 / per_minute
    for slot in itertools.count(math.floor(clock() / interval) + 1):
        if (ahead := slot * interval - clock()) > 0:
            sleep(ahead)
        name = f"new {slot} {per_minute:g}"
        posted_at = datetime.fromtimestamp(int(slot * interval), UTC)
        who = random.Random(f"{posting[0].seed} {name}").choice(posting)
        more[who.username] += 1
        yield who.post(name, posted_at)
        yield who.profile(posted_at, more[who.username])
