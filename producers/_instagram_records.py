"""What is gathered of a person on Instagram, and the records that tell it: the topics' one shape for every source."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import orjson

from producers._pictures import PictureStore, UnknownFormat

PROFILES, POSTS, IMAGES = "user_basic_info", "user_posts_description", "user_post_images"

_HASHTAG = re.compile(r"#(\w{1,150})")
# As Instagram's names; after a letter or digit it is an e-mail address.
_MENTION = re.compile(r"(?<![\w.@])@([A-Za-z0-9_](?:[A-Za-z0-9_.]{0,28}[A-Za-z0-9_])?)")


class Profile(NamedTuple):
    """A person; what is not known is None. Of a missing one, all but the name is."""

    username: str
    status: Literal["ok", "private", "missing"]
    number_of_posts: int | None = None
    followers_count: int | None = None
    following_count: int | None = None
    bio: str | None = None
    external_url: str | None = None
    is_private: bool | None = None
    is_verified: bool | None = None


MOST_PICTURE_BYTES = 20 * 1024 * 1024


class NoPicture(Exception):
    """A picture that cannot be had; the message says why. Its post is told without it."""


class Picture(NamedTuple):
    """A picture of a post, or the cover of a video; `load` fetches its bytes, or raises NoPicture."""

    media_type: Literal["image", "video"]
    load: Callable[[], bytes]


class Post(NamedTuple):
    """A post; `post_id` is its shortcode, and `posted_at` has a time zone."""

    username: str
    post_id: str
    caption: str | None
    likes: int | None
    comments: int | None
    posted_at: datetime
    pictures: tuple[Picture, ...] = ()


class Record(NamedTuple):
    """What Kafka gets; `time` is when the post was posted, or the profile seen, as ISO 8601."""

    topic: str
    key: bytes
    value: bytes
    time: str


def records(
    found: Iterable[Profile | Post], pictures: PictureStore | None, say: Callable[[str], None]
) -> Iterator[Record]:
    """One record a profile, one a post and one for each of its pictures, which are stored before they are told.

    Without a store, pictures are left alone. One that cannot be had is said and left out.
    """
    for each in found:
        key = each.username.encode()
        taken_at = iso(datetime.now(UTC))
        if isinstance(each, Profile):
            yield Record(PROFILES, key, _json(each._asdict() | {"taken_at": taken_at}), taken_at)
            continue
        timestamp = iso(each.posted_at)
        caption = None if each.caption is None else unicodedata.normalize("NFC", each.caption)
        description: dict[str, object] = {
            "username": each.username,
            "post_id": each.post_id,
            "caption": caption,
            "hashtags": hashtags(caption or ""),
            "mentions": mentions(caption or ""),
            "likes": each.likes,
            "comments": each.comments,
            "timestamp": timestamp,
            "taken_at": taken_at,
        }
        yield Record(POSTS, key, _json(description), timestamp)
        if pictures is None:
            continue
        for picture in each.pictures:
            try:
                stored = pictures.put(picture.load())
            except (NoPicture, UnknownFormat) as error:
                say(f"A picture of post {each.post_id} of {each.username} is left out: {error}.")
                continue
            image = {
                "username": each.username,
                "post_id": each.post_id,
                "bucket": stored.bucket,
                "s3_path": stored.key,
                "content_hash": stored.content_hash,
                "media_type": picture.media_type,
                "timestamp": timestamp,
                "taken_at": taken_at,
            }
            yield Record(IMAGES, key, orjson.dumps(image), timestamp)


def hashtags(caption: str) -> list[str]:
    """Each hashtag once, in the order of the text, in lower case and without its #."""
    return list(dict.fromkeys(_HASHTAG.findall(caption.lower())))


def mentions(caption: str) -> list[str]:
    """Each name mentioned once, in the order of the text, in lower case and without its @."""
    return list(dict.fromkeys(name.lower() for name in _MENTION.findall(caption)))


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with seconds and a Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(fields: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(fields)
    except TypeError:  # half of a surrogate pair, as a JSON file may hold it
        text = json.dumps(fields, ensure_ascii=False)
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
