"""From instaloader's profiles and posts to ours, whether it asked Instagram for them or they come from its files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any, TypeVar

from instaloader.exceptions import InstaloaderException

from producers._instagram_records import Picture, Post, Profile
from producers._usernames import username

Value = TypeVar("Value")


class NotInFile(InstaloaderException):  # type: ignore[misc]
    """What a file does not hold and nobody is to be asked for."""


def known(value: Callable[[], Value]) -> Value | None:
    """The value, or None where neither the answer nor the file holds it."""
    try:
        return value()
    except (KeyError, NotInFile, TypeError):  # TypeError: a null where instaloader expects an object
        return None


def count(found: object) -> int | None:
    """A count; None where it is hidden (-1), not known, or more than the tables hold."""
    return found if type(found) is int and 0 <= found < 2**63 else None


def profile_of(profile: Any) -> Profile:
    """Ours of an `instaloader.Profile`. Raises InputError for a name that is none."""
    private = bool(known(lambda: profile.is_private))
    return Profile(
        username(profile.username),
        "private" if private else "ok",
        number_of_posts=count(known(lambda: profile.mediacount)),
        followers_count=count(known(lambda: profile.followers)),
        following_count=count(known(lambda: profile.followees)),
        bio=known(lambda: profile.biography),
        external_url=known(lambda: profile.external_url) or None,
        is_private=private,
        is_verified=known(lambda: bool(profile.is_verified)),
    )


def post_of(post: Any, owner: str, pictures: tuple[Picture, ...]) -> Post:
    """Ours of an `instaloader.Post`. Raises what instaloader raises for one without a code or a time."""
    return Post(
        owner,
        str(post.shortcode),
        post.caption,
        count(known(lambda: post.likes)),
        count(known(lambda: post.comments)),
        post.date_utc.replace(tzinfo=UTC),
        pictures,
    )
