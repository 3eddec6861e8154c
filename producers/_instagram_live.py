"""Instagram itself, by instaloader: only what is public, politely, and once Instagram refuses, not again.

How far each person was gathered is kept in a file of their own, so that the next run goes on there.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import instaloader
import requests
from instaloader.exceptions import (
    AbortDownloadException,
    BadResponseException,
    InstaloaderException,
    InvalidArgumentException,
    LoginRequiredException,
    PostChangedException,
    ProfileNotExistsException,
    QueryReturnedForbiddenException,
    QueryReturnedNotFoundException,
)

from producers._command_line import InputError, Unavailable
from producers._instagram_records import MOST_PICTURE_BYTES, NoPicture, Picture, Post, Profile
from producers._instaloader import post_of, profile_of
from producers._usernames import username
from settings import settings

PINNED = 3  # so many posts at the top of a profile may be older than those below
MOST_ODD = 3  # posts in a row that cannot be read: then it is not the posts
# Whatever an answer says: from nowhere else is a picture fetched, least of all from within our own network.
PICTURE_HOSTS = (".cdninstagram.com", ".fbcdn.net")
KEPT = "What was gathered is kept; the next run goes on from there."


def folder_of_states() -> Path:
    """Where it is kept how far each person was gathered; a file holds their newest posts, too (`jobs.forget`)."""
    return settings().state_dir / "instagram" / (settings().prefix.rstrip(".") or "default")


def state_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


@dataclass
class State:
    """How far a person was gathered, for these options.

    `gathered` is the time of the newest post of the last complete round, `newest` that of the one under way (Unix
    seconds), of which `told` posts were told and `frozen` is the rest of instaloader's iterator.
    """

    since: float | None
    until: float | None
    max_posts: int
    gathered: float | None = None
    newest: float | None = None
    told: int = 0
    frozen: dict[str, Any] | None = None

    def covers(self, since: float | None, until: float | None, max_posts: int) -> bool:
        """Whether what was gathered is what is wanted now, or more."""
        from_then_on = self.since is None or (since is not None and since >= self.since)
        return from_then_on and self.until == until and self.max_posts == max_posts


class _Pace(instaloader.RateController):  # type: ignore[misc]
    """instaloader's own limits, and a pause before each request besides."""

    def __init__(self, context: instaloader.InstaloaderContext, seconds: float) -> None:
        super().__init__(context)
        self._seconds = seconds

    def wait_before_query(self, query_type: str) -> None:
        time.sleep(self._seconds)
        super().wait_before_query(query_type)


class _Context(instaloader.InstaloaderContext):  # type: ignore[misc]
    """Says nothing itself, and tells a profile that is not there from a page that is withheld."""

    def get_page_data(self, path: str) -> list[dict[str, Any]]:
        page: list[dict[str, Any]] = super().get_page_data(path)
        if not page:
            raise LoginRequiredException("The page holds no data.")
        return page

    def error(self, msg: str, repeat_at_end: bool = True) -> None:
        """What matters is raised, too."""


class _Cookies(pickle.Unpickler):
    """instaloader stores a session as a pickled dictionary of texts; nothing else is taken from a file."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a session")


class Live:
    """People as Instagram shows them now."""

    def __init__(
        self,
        *,
        session_file: Path | None,
        login: str | None,
        pace_seconds: float,
        states: Path,
        resume: bool,
        with_pictures: bool,
        say: Callable[[str], None],
    ) -> None:
        """Raises InputError for a session file that is none."""
        self._context = _Context(
            sleep=pace_seconds > 0,
            quiet=True,
            max_connection_attempts=1,  # to ask again at once is what gets one locked out
            request_timeout=30.0,
            rate_controller=partial(_Pace, seconds=pace_seconds),
            iphone_support=False,
        )
        self._pace_seconds = pace_seconds
        self._states = states
        self._resume = resume
        self._with_pictures = with_pictures
        self._say = say
        self._under_way: tuple[str, State, instaloader.NodeIterator[instaloader.Post]] | None = None
        self._complete: dict[str, State | None] = {}
        if session_file:
            self._context.load_session(*_session(session_file, login))
        elif login:
            raise InputError("--login says whose session --session-file is: give both.")

    def found(
        self, names: Sequence[str], since: datetime | None, until: datetime | None, max_posts: int
    ) -> Iterator[Profile | Post]:
        """Each person's profile, then their posts that the last run has not told, newest first.

        A private or missing profile is told as such, without posts. Raises Unavailable when Instagram refuses or does
        not answer; then the others are not asked for.
        """
        for name in names:
            try:
                yield from self._person(name, since, until, max_posts)
            except (InstaloaderException, AbortDownloadException, requests.RequestException) as error:
                raise Unavailable(f"{_explained(error)} It was about {name}. {KEPT}") from None
            except (KeyError, TypeError, IndexError, ValueError, AssertionError) as error:
                raise Unavailable(
                    f"Instagram's answer about {name} is not what instaloader expects ({type(error).__name__}):"
                    f" a newer instaloader may know it. {KEPT}"
                ) from None

    def store(self) -> None:
        """Keep how far we are. To be called when all that was told is safe. Raises InputError if it cannot be kept."""
        for name, state in self._complete.items():
            self._keep(name, state)
        self._complete.clear()
        if self._under_way:
            name, state, iterator = self._under_way
            # Without its first post, which instaloader would ask for again to know what it knew.
            state.frozen = iterator.freeze()._replace(first_node=None)._asdict()
            self._keep(name, state)

    def _person(
        self, name: str, since: datetime | None, until: datetime | None, max_posts: int
    ) -> Iterator[Profile | Post]:
        try:
            profile = instaloader.Profile.from_username(self._context, name)
            ours = profile_of(profile)._replace(username=name)
        except ProfileNotExistsException:
            yield Profile(name, "missing")
            self._complete[name] = None
            return
        yield ours
        if ours.is_private:  # also where the session's owner may see more: only what is public is gathered
            self._complete[name] = None
            return
        wanted = (since.timestamp() if since else None, until.timestamp() if until else None, max_posts)
        state = self._state(name)
        if not state or not state.covers(*wanted):
            state = State(*wanted)
        iterator = profile.get_posts()
        if state.frozen:
            try:
                iterator.thaw(instaloader.FrozenNodeIterator(**state.frozen))
            except (InvalidArgumentException, TypeError):
                state.newest, state.told = None, 0
        self._under_way = (name, state, iterator)
        for post in self._posts(iterator):
            posted_at = post.date_utc.replace(tzinfo=UTC).timestamp()
            state.newest = max(state.newest or 0, posted_at)
            if (since and posted_at < since.timestamp()) or posted_at <= (state.gathered or 0):
                if iterator.total_index > PINNED:
                    break
                continue
            if until and posted_at >= until.timestamp():
                continue
            if max_posts and state.told >= max_posts:
                break
            yield post_of(post, name, tuple(self._pictures(post)) if self._with_pictures else ())
            state.told += 1
        self._under_way = None
        gathered = max(filter(None, (state.gathered, state.newest)), default=None)
        self._complete[name] = State(*wanted, gathered=gathered)

    def _posts(self, iterator: instaloader.NodeIterator[instaloader.Post]) -> Iterator[instaloader.Post]:
        """The posts; one that has gone since the list was made is said and passed over."""
        odd = 0
        while True:
            try:
                post = next(iterator)
            except StopIteration:
                return
            except (BadResponseException, PostChangedException, QueryReturnedNotFoundException) as error:
                odd += 1
                if odd == MOST_ODD:
                    raise
                self._say(f"A post could not be read and is passed over ({type(error).__name__}).")
                continue
            odd = 0
            yield post

    def _pictures(self, post: instaloader.Post) -> Iterator[Picture]:
        if post.typename == "GraphSidecar":
            for node in post.get_sidecar_nodes():
                yield Picture("video" if node.is_video else "image", partial(self._picture, node.display_url))
        else:
            yield Picture("video" if post.is_video else "image", partial(self._picture, post.url))

    def _picture(self, address: str) -> bytes:
        """The bytes of a picture. Raises NoPicture for one that is not there, Unavailable if Instagram refuses."""
        parts = urlsplit(address)
        if parts.scheme != "https" or not (parts.hostname or "").endswith(PICTURE_HOSTS):
            raise NoPicture("its address is not one of Instagram's")
        time.sleep(self._pace_seconds)
        try:
            with self._context.get_raw(address) as response:
                content: bytes = response.raw.read(MOST_PICTURE_BYTES + 1)
        except (QueryReturnedForbiddenException, QueryReturnedNotFoundException) as error:
            # An address is signed and expires; 403 of a picture's host is no refusal of us.
            raise NoPicture(f"its address does not hold ({type(error).__name__})") from None
        except (InstaloaderException, requests.RequestException, OSError) as error:
            raise Unavailable(f"{_explained(error)} {KEPT}") from None
        if len(content) > MOST_PICTURE_BYTES:
            raise NoPicture(f"it is longer than {MOST_PICTURE_BYTES:,} bytes")
        return content

    def _state(self, name: str) -> State | None:
        file = state_file(self._states, name)
        if not self._resume:
            return None
        if name in self._complete:
            return self._complete[name]
        try:
            return State(**json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"How far {name} was gathered cannot be read from {file} ({type(error).__name__}): delete it, or use"
                " --no-resume."
            ) from None

    def _keep(self, name: str, state: State | None) -> None:
        file = state_file(self._states, name)
        try:
            if state is None:
                file.unlink(missing_ok=True)
                return
            file.parent.mkdir(parents=True, exist_ok=True)
            new = file.with_suffix(f".{os.getpid()}.tmp")
            new.touch(mode=0o600)
            new.write_text(json.dumps(asdict(state)), encoding="utf-8")
            new.replace(file)
        except OSError as error:
            raise InputError(f"{file} cannot be written ({error.strerror}): give another --state folder.") from None


def _session(file: Path, login: str | None) -> tuple[str, dict[str, str]]:
    """Whose session it is, and its cookies. Raises InputError."""
    if not login:
        if not file.name.startswith("session-"):
            raise InputError(f"Whose session is {file}? Say so with --login NAME.")
        login = username(file.name.removeprefix("session-"))
    try:
        with file.open("rb") as opened:
            cookies = _Cookies(opened).load()
    except OSError as error:
        raise InputError(f"The session file {file} cannot be read: {error.strerror}.") from None
    except Exception:  # noqa: BLE001 (a broken pickle raises nearly anything)
        cookies = None
    if not isinstance(cookies, dict) or not all(cookies.get(name) for name in ("sessionid", "csrftoken")):
        raise InputError(
            f"{file} is no session file of a login. `instaloader --login {login}` asks for the password and makes one."
        )
    return login, cookies


def _explained(error: Exception) -> str:
    """Why Instagram stopped us, and what to do. The answer itself is not repeated: it may hold tokens."""
    text = str(error)
    code = re.search(r"\b([45]\d\d) ", text)
    status = int(code[1]) if code else 0
    if status == 429:
        return (
            "Instagram answered 429: too many requests. Wait some hours, do not use the account elsewhere meanwhile,"
            " and give a longer --pace."
        )
    if any(word in text for word in ("checkpoint", "challenge", "feedback_required")):
        return (
            "Instagram wants to see a person (checkpoint): open it in a browser with this account and do what it asks,"
            " then make a new session file."
        )
    if status in (401, 403) or isinstance(error, LoginRequiredException) or "login page" in text:
        answered = f"answered {status}" if status else "wants a login"
        return (
            f"Instagram {answered}: it does not show this without a login, or the session has ended. Make a new session"
            " file with `instaloader --login NAME`, or wait some hours."
        )
    if status >= 500:
        return f"Instagram answered {status}: it is in trouble. Try again later."
    cause = error.__cause__ or error
    if isinstance(cause, (requests.RequestException, OSError)):
        return f"Instagram cannot be reached ({type(cause).__name__}): is there a network, and does it need a proxy?"
    answered = f" {status}" if status else ""
    return f"Instagram gave an answer{answered} that instaloader does not know ({type(error).__name__})."
