"""What instaloader has stored in folders: its `.json` and `.json.xz` files of profiles and posts, pictures beside them.

    instaloader --no-videos --no-compress-json some_name       stores such a folder

No network: what a file does not hold is not known.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import instaloader
from instaloader.exceptions import InstaloaderException

from producers._command_line import InputError
from producers._instagram_records import MOST_PICTURE_BYTES, NoPicture, Picture, Post, Profile
from producers._instaloader import NotInFile, count, known, post_of, profile_of
from producers._usernames import username

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MOST_JSON_BYTES = 64 * 1024 * 1024  # of an unpacked file
SAID = 5  # files that are passed over, by name; the others are counted
# What instaloader raises for a file that is none of its own, or a broken one.
BROKEN = (
    InstaloaderException, InputError, OSError, EOFError, lzma.LZMAError, ValueError, KeyError, IndexError, TypeError,
    AttributeError, AssertionError, OverflowError, RecursionError,
)  # fmt: skip


class _Offline(instaloader.InstaloaderContext):  # type: ignore[misc]
    """Asks nobody."""

    def get_json(self, *_args: object, **_options: object) -> NoReturn:
        raise NotInFile("the file does not hold it")

    graphql_query = doc_id_graphql_query = get_iphone_json = get_page_data = get_json


def recorded(
    folders: Sequence[Path],
    names: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    max_posts: int,
    say: Callable[[str], None],
) -> Iterator[Profile | Post]:
    """The profiles, then the posts of `names` (none: of everybody), oldest first; of each the newest `max_posts`.

    Posts of a private profile are left out. Files of other kinds and broken ones are said and passed over. Raises
    InputError for a folder that is not there.
    """
    context = _Offline(quiet=True, iphone_support=False)
    profiles: dict[str, Profile] = {}
    posts: dict[tuple[str, str], Post] = {}
    passed_over = 0
    for file in _files(folders):
        try:
            structure = _structure(file)
            found = instaloader.load_structure(context, structure)
            if isinstance(found, instaloader.Profile):
                profile = profile_of(found)
                if profile.number_of_posts is None:  # instaloader leaves the list of posts out, and its length with it
                    node = structure["node"]
                    profile = profile._replace(
                        number_of_posts=count(node.get("media_count", node.get("all_media_count")))
                    )
                profiles[profile.username] = profile
            elif isinstance(found, instaloader.Post):
                owner = username(found.owner_username)
                posts[owner, found.shortcode] = post_of(found, owner, tuple(_pictures(file, found)))
            else:
                raise ValueError(f"it is of a {type(found).__name__}, neither of a profile nor of a post")
        except BROKEN as error:
            passed_over += 1
            if passed_over <= SAID:
                say(f"{file} is passed over: {_reason(error)}.")
    if passed_over > SAID:
        say(f"{passed_over} files were passed over, those above among them.")
    for name in names:
        if name not in profiles:
            say(f"There is no profile of {name} in {', '.join(map(str, folders))}.")
    told = names or sorted(profiles)
    yield from (profiles[name] for name in told if name in profiles)
    kept = []
    for name in names or sorted({owner for owner, _ in posts}):
        theirs = sorted((post for (owner, _), post in posts.items() if owner == name), key=lambda post: post.posted_at)
        if theirs and name in profiles and profiles[name].is_private:
            say(f"The profile of {name} is private: {len(theirs)} posts are left out.")
            continue
        wanted = [
            post for post in theirs if (not since or post.posted_at >= since) and (not until or post.posted_at < until)
        ]
        kept += wanted[-max_posts:] if max_posts else wanted
    yield from sorted(kept, key=lambda post: post.posted_at)


def _files(folders: Sequence[Path]) -> list[Path]:
    """The JSON files, each folder's oldest first, so that the newest of a profile is taken."""
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"There is no folder {folder}: --source recorded reads what instaloader has stored in one."
            )
        files = [file for file in folder.rglob("*") if file.name.endswith((".json", ".json.xz")) and file.is_file()]
        found += sorted(files, key=lambda file: (file.stat().st_mtime, file))
    return found


def _structure(file: Path) -> Any:
    raw = file.read_bytes()
    if file.suffix == ".xz":
        unpacking = lzma.LZMADecompressor()
        raw = unpacking.decompress(raw, MOST_JSON_BYTES)
        if not unpacking.eof:
            raise ValueError(f"it is cut off, or unpacks to more than {MOST_JSON_BYTES:,} bytes")
    return json.loads(raw)


def _pictures(file: Path, post: Any) -> Iterator[Picture]:
    """The pictures beside the file of a post: of its name, or of its name with `_1`, `_2` … behind it."""
    name = file.name.removesuffix(".xz").removesuffix(".json")
    videos = known(post.get_is_videos) or [False]
    numbered = [(name, videos[0]), *((f"{name}_{number}", video) for number, video in enumerate(videos, start=1))]
    for stem, video in numbered:
        for suffix in PICTURE_SUFFIXES:
            if (beside := file.with_name(stem + suffix)).is_file():
                yield Picture("video" if video else "image", partial(_bytes, beside))


def _bytes(file: Path) -> bytes:
    try:
        if file.stat().st_size > MOST_PICTURE_BYTES:
            raise NoPicture(f"{file} is longer than {MOST_PICTURE_BYTES:,} bytes")
        return file.read_bytes()
    except OSError as error:
        raise NoPicture(f"{file} cannot be read ({error.strerror})") from None


def _reason(error: Exception) -> str:
    if isinstance(error, (InstaloaderException, InputError)) or type(error) is ValueError:
        return str(error)[:200].rstrip(".")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"it is no file of instaloader's, or a broken one ({type(error).__name__})"
