"""producers/instagram.py --source live, against a small Instagram of our own.

instaloader knows Instagram by its host names, so its requests are sent to the server of the test instead. The server
answers in the shapes that instaloader 4.16 reads; the real Instagram was never asked.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from producers.instagram import main
from settings import settings

Json = dict[str, Any]
JPEG = b"\xff\xd8\xff\xe0 picture "
DAY = 86_400
FIRST_DAY = 1_750_000_000
PAGE_LENGTH = 3
IDS = {"anna": "7", "pia": "8"}
POST, MORE_POSTS, PROFILE, POSTS_LOGGED_IN = (
    "27128499623469141",
    "28904005159232689",
    "27937681195819736",
    "29104886249145907",
)


class Request(NamedTuple):
    what: str  # the path, or `doc_id` and what it is asked about
    cookies: str


class Instagram:
    """People with their posts, newest first, as (code, day); what was asked; and what it refuses."""

    def __init__(self) -> None:
        self.people: dict[str, list[tuple[str, int]]] = {
            "anna": [(f"A{day}", day) for day in range(7, 0, -1)],
            "pia": [],
        }
        self.private = {"pia"}
        self.requests: list[Request] = []
        self.refuse: Callable[[Request], tuple[int, Json | str, Json] | None] = lambda request: None

    def answer(self, what: str, form: Json, cookies: str) -> tuple[int, Json | str | bytes, Json]:
        variables = json.loads(form["variables"][0]) if "variables" in form else {}
        doc_id = form.get("doc_id", [""])[0]
        about = variables.get("shortcode") or variables.get("after") or variables.get("username") or variables.get("id")
        request = Request(f"{doc_id} {about}" if doc_id else what, cookies)
        self.requests.append(request)
        if refused := self.refuse(request):
            return refused
        if what.startswith("/p/"):
            return 200, JPEG + what.encode(), {}
        if what == "/":
            tokens = '["DTSGInitialData",[],{"token":"d"}] ["LSD",[],{"token":"l"}] "IG_USER_EIMU":"17"'
            return 200, f"<html>{tokens}</html>", {"Set-Cookie": "csrftoken=c; Path=/"}
        if doc_id == POST:
            found = next(post for posts in self.people.values() for post in posts if post[0] == about)
            return 200, {"data": {"xdt_api__v1__media__shortcode__web_info": {"items": [self.media(*found)]}}}, {}
        if doc_id in (MORE_POSTS, POSTS_LOGGED_IN):
            begin = int(variables.get("after") or 0)
            name = variables.get("username", "anna")
            page = self.page(name, begin, full=doc_id == POSTS_LOGGED_IN)
            if doc_id == MORE_POSTS:
                return 200, {"data": {"node": {"polaris_ordered_timeline_connection": page}}}, {}
            return 200, {"data": {"xdt_api__v1__feed__user_timeline_graphql_connection": page}}, {}
        if doc_id == PROFILE:
            return (
                200,
                {
                    "status": "ok",
                    "data": {"user": self.profile(next(name for name, each in IDS.items() if each == about))},
                },
                {},
            )
        name = what.strip("/")
        user = self.profile(name) if name in self.people else None
        embedded = [{"__bbox": {"result": {"data": {"xig_user_by_username": user}}}}]
        if user:
            posts = {"id": f"page-{name}", "pk": IDS[name], "is_private": name in self.private}
            posts["polaris_ordered_timeline_connection"] = self.page(name, 0)
            embedded.append({"__bbox": {"result": {"data": {"xig_user_by_username": posts}}}})
        script = f'<script type="application/json" data-sjs>{json.dumps({"require": embedded})}</script>'
        return (200, f"<html>{script}</html>", {}) if user else (404, f"<html>{script}</html>", {})

    def profile(self, name: str) -> Json:
        return {"pk": IDS[name], "id": f"page-{name}", "username": name, "is_private": name in self.private,
                "is_verified": False,
                "biography": "hello", "external_url": None, "follower_count": 9, "following_count": 8,
                "media_count": len(self.people[name])}  # fmt: skip

    def page(self, name: str, begin: int, full: bool = False) -> Json:
        posts = self.people[name][begin : begin + PAGE_LENGTH]
        end = begin + PAGE_LENGTH
        nodes = [self.media(*post) if full else {"code": post[0]} for post in posts]
        return {"edges": [{"node": node} for node in nodes],
                "page_info": {"has_next_page": end < len(self.people[name]), "end_cursor": str(end)}}  # fmt: skip

    def media(self, code: str, day: int) -> Json:
        picture = {"candidates": [{"url": f"https://scontent.cdninstagram.com/p/{code}.jpg"}]}
        return {"code": code, "pk": "1", "media_type": 2 if code == "A2" else 1, "taken_at": FIRST_DAY + day * DAY,
                "caption": {"text": f"Post {code} #Tag"}, "like_count": 3, "comment_count": 2, "has_liked": False,
                "image_versions2": picture, "user": {"pk": "7", "username": "anna", "is_private": False,
                "full_name": "", "profile_pic_url": ""}}  # fmt: skip

    def asked(self, doc_id: str = "") -> list[str]:
        return [each.what.removeprefix(f"{doc_id} ") for each in self.requests if each.what.startswith(doc_id)]


@pytest.fixture
def instagram(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Instagram]:
    """Our Instagram, to which all requests go; nobody really sleeps."""
    people = Instagram()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
            status, body, headers = people.answer(urlsplit(self.path).path, form, self.headers.get("Cookie", ""))
            content = (
                body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
            )
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    send = requests.adapters.HTTPAdapter.send

    def to_us(adapter: requests.adapters.HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> Any:
        parts = urlsplit(request.url or "")
        assert parts.hostname in ("www.instagram.com", "i.instagram.com", "scontent.cdninstagram.com")
        request.url = f"http://127.0.0.1:{server.server_port}{parts.path}"
        return send(adapter, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", to_us)
    monkeypatch.setenv("CROWDPULSE_STATE_DIR", str(tmp_path / "state"))
    settings.cache_clear()
    yield people
    server.shutdown()
    server.server_close()
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    return pauses


class Told(NamedTuple):
    exit_code: int
    profiles: list[Json]
    posts: list[Json]
    images: list[Json]

    @property
    def codes(self) -> list[str]:
        return [each["post_id"] for each in self.posts]


def gather(tmp_path: Path, *arguments: str) -> Told:
    file = tmp_path / "told.jsonl"
    pictures = [] if "--no-pictures" in arguments else ["--pictures", str(tmp_path / "pictures")]
    code = main(["--source", "live", "--output", str(file), *pictures, *arguments])
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    topics = ("user_basic_info", "user_posts_description", "user_post_images")
    return Told(code, *([each["value"] for each in records if each["topic"] == topic] for topic in topics))


def test_public_private_and_missing_people_are_told_at_a_pace_and_the_next_run_tells_what_is_new(
    instagram: Instagram, slept: list[float], tmp_path: Path
) -> None:
    users = ["--user", "Anna", "pia", "nobody_here", "--pace", "7"]
    first = gather(tmp_path, *users)
    asked = len(instagram.requests)

    assert first.exit_code == 0
    assert [(each["username"], each["status"], each["number_of_posts"]) for each in first.profiles] == [
        ("anna", "ok", 7), ("pia", "private", 0), ("nobody_here", "missing", None),
    ]  # fmt: skip
    assert (first.profiles[0]["followers_count"], first.profiles[0]["following_count"]) == (9, 8)
    assert first.codes == ["A7", "A6", "A5", "A4", "A3", "A2", "A1"]
    assert first.posts[0]["hashtags"] == ["tag"]
    assert (first.posts[0]["likes"], first.posts[0]["comments"]) == (3, 2)
    assert [each["media_type"] for each in first.images] == ["image"] * 5 + ["video", "image"]
    stored = (tmp_path / "pictures" / first.images[0]["s3_path"]).read_bytes()
    assert stored == JPEG + b"/p/A7.jpg"
    assert slept.count(7.0) >= asked - 1  # but for the first, which fetches a cookie

    instagram.people["anna"].insert(0, ("A9", 9))
    instagram.people["anna"].insert(0, ("A0", 0))  # an old one, pinned at the top
    second = gather(tmp_path, *users)
    assert (second.exit_code, second.codes) == (0, ["A9"])
    assert second.profiles[0]["number_of_posts"] == 9

    again = gather(tmp_path, *users, "--no-resume")
    assert again.codes == ["A0", "A9", *first.codes]
    some = gather(tmp_path, *users, "--max-posts", "2")
    assert some.codes == ["A0", "A9"]
    dates = gather(tmp_path, *users, "--since", "2025-06-17", "--until", "2025-06-19")
    assert [each["timestamp"][:10] for each in dates.posts] == ["2025-06-19", "2025-06-18", "2025-06-17"]


def test_stopped_by_429_it_asks_no_more_and_the_next_run_goes_on_there(
    instagram: Instagram, slept: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instagram.refuse = lambda request: (
        (429, {"message": "wait", "secret": "t0ken"}, {}) if "A4" in request.what else None
    )
    first = gather(tmp_path, "--user", "anna", "ben")
    said = capsys.readouterr().err

    assert (first.exit_code, first.codes) == (1, ["A7", "A6", "A5"])
    assert "A4" in instagram.requests[-1].what  # nothing after it, not ben either
    assert "429" in said
    assert "the next run goes on from there" in said
    assert "t0ken" not in said
    assert "Traceback" not in said

    instagram.refuse = lambda request: None
    instagram.requests.clear()
    second = gather(tmp_path, "--user", "anna")
    assert second.exit_code == 0
    assert sorted({*first.codes, *second.codes}) == [f"A{day}" for day in range(1, 8)]
    assert {"A7", "A6"}.isdisjoint(instagram.asked(POST))  # only the last may be asked for again
    assert gather(tmp_path, "--user", "anna").codes == []


def test_stopped_by_a_signal_it_goes_on_there_the_next_time(
    instagram: Instagram, slept: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instagram.refuse = lambda request: os.kill(os.getpid(), signal.SIGTERM) if "A4" in request.what else None
    first = gather(tmp_path, "--user", "anna")
    assert (first.exit_code, first.codes) == (0, ["A7", "A6", "A5"])
    assert "Stopped." in capsys.readouterr().err

    instagram.refuse = lambda request: None
    assert gather(tmp_path, "--user", "anna").codes == ["A4", "A3", "A2", "A1"]


def test_a_page_without_such_a_profile_is_of_a_missing_one(
    instagram: Instagram, slept: list[float], tmp_path: Path
) -> None:
    data = {"__bbox": {"result": {"data": {"xig_user_by_username": None}}}}
    page = f'<script type="application/json">{json.dumps(data)}</script>'
    instagram.refuse = lambda request: (200, page, {})

    assert [each["status"] for each in gather(tmp_path, "--user", "anna").profiles] == ["missing"]


def test_a_picture_that_is_not_there_is_left_out_and_a_refusal_of_it_stops(
    instagram: Instagram, slept: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = {"/p/A7.jpg": 404, "/p/A6.jpg": 403, "/p/A4.jpg": 429}
    instagram.refuse = lambda request: (refused[request.what], "no", {}) if request.what in refused else None
    first = gather(tmp_path, "--user", "anna")
    said = capsys.readouterr().err

    assert first.exit_code == 1
    assert first.codes == ["A7", "A6", "A5", "A4"]
    assert [each["post_id"] for each in first.images] == ["A5"]
    assert said.count("is left out") == 2
    assert "429" in said

    refused.clear()
    second = gather(tmp_path, "--user", "anna")
    assert [each["post_id"] for each in second.images] == ["A4", "A3", "A2", "A1"]


def test_a_post_that_has_gone_meanwhile_is_passed_over(
    instagram: Instagram, slept: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = {"data": {"xdt_api__v1__media__shortcode__web_info": None}}
    instagram.refuse = lambda request: (200, gone, {}) if request.what == f"{POST} A5" else None

    assert gather(tmp_path, "--user", "anna").codes == ["A7", "A6", "A4", "A3", "A2", "A1"]
    assert "A post could not be read and is passed over" in capsys.readouterr().err

    instagram.refuse = lambda request: (200, gone, {}) if request.what.startswith(POST) else None
    assert gather(tmp_path, "--user", "anna", "--no-resume").exit_code == 1  # all of them: it is not the posts
    assert "that instaloader does not know" in capsys.readouterr().err


LOGIN_PAGE = {"Location": "https://www.instagram.com/accounts/login/?next=/anna/"}


@pytest.mark.parametrize(
    ("status", "body", "headers", "sentence"),
    [
        (401, {"message": "wait a few minutes"}, {}, "Instagram answered 401: it does not show this without a login"),
        (403, "forbidden", {}, "Instagram answered 403"),
        (429, "slow down", {}, "Instagram answered 429: too many requests"),
        (302, "", LOGIN_PAGE, "Instagram wants a login"),
        (200, "<html>please log in</html>", {}, "Instagram wants a login"),
        (500, "oops", {}, "Instagram answered 500: it is in trouble"),
        (418, "tea", {}, "Instagram gave an answer 418 that instaloader does not know"),
    ],
)
@pytest.mark.parametrize("logged_in", [False, True])
def test_a_refusal_is_explained_with_exit_code_1_after_one_request(
    status: int, body: Json | str, headers: Json, sentence: str, logged_in: bool, instagram: Instagram,
    slept: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    instagram.refuse = lambda request: (status, body, headers)
    login = ["--session-file", str(session(tmp_path / "session-me"))] if logged_in else []

    assert gather(tmp_path, "--user", "anna", "ben", *login).exit_code == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert "It was about anna." in said
    assert said.count("\n") == 1
    assert len(instagram.requests) == 1


def session(file: Path, cookies: object = None) -> Path:
    cookies = cookies or {"sessionid": "s3cret", "csrftoken": "t0ken", "ds_user_id": "17"}
    file.write_bytes(pickle.dumps(cookies))
    return file


def test_a_login_comes_from_a_session_file_and_its_cookies_are_never_told(
    instagram: Instagram, slept: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    login = ["--session-file", str(session(tmp_path / "session-me"))]
    instagram.people["pia"] = [("P1", 1)]  # which the session's owner may see, but not everybody
    found = gather(tmp_path, "--user", "anna", "pia", *login)

    assert found.exit_code == 0
    assert [each["status"] for each in found.profiles] == ["ok", "private"]
    assert found.codes == ["A7", "A6", "A5", "A4", "A3", "A2", "A1"]
    assert len(found.images) == 7
    assert any("s3cret" in each.cookies for each in instagram.requests)
    assert not any("s3cret" in each.cookies for each in instagram.requests if each.what.startswith("/p/"))

    checkpoint = {"message": "checkpoint_required", "checkpoint_url": "https://x/?t0ken", "status": "fail"}
    instagram.refuse = lambda request: (400, checkpoint, {}) if request.what.startswith(POSTS_LOGGED_IN) else None
    assert gather(tmp_path, "--user", "anna", "--no-resume", *login).exit_code == 1
    said = capsys.readouterr().err
    assert "wants to see a person (checkpoint)" in said

    instagram.people["anna"].insert(0, ("A9", 9))
    instagram.refuse = lambda request: (429, "no", {}) if request.what == f"{POSTS_LOGGED_IN} 3" else None
    stopped = gather(tmp_path, "--user", "anna", "--no-resume", *login)
    instagram.refuse = lambda request: None
    rest = gather(tmp_path, "--user", "anna", *login)
    assert (stopped.exit_code, stopped.codes) == (1, ["A9", "A7", "A6"])
    assert rest.codes == ["A6", "A5", "A4", "A3", "A2", "A1"]

    written = b"".join(each.read_bytes() for each in (tmp_path / "state").rglob("*") if each.is_file())
    told = (tmp_path / "told.jsonl").read_bytes()
    for secret in ("s3cret", "t0ken"):
        assert secret not in said
        assert secret.encode() not in written + told


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("made-by-a-hostile-session",)


@pytest.mark.parametrize(
    ("name", "content", "arguments", "sentence"),
    [
        ("session-me", pickle.dumps(Hostile()), [], "is no session file of a login"),
        ("session-me", b"sessionid=1", [], "is no session file of a login"),
        ("session-me", b"", [], "is no session file of a login"),
        ("session-me", pickle.dumps({"csrftoken": "t0ken", "sessionid": ""}), [], "is no session file of a login"),
        ("session-me", None, [], "cannot be read"),
        ("cookies", b"", [], "Say so with --login NAME"),
        ("session-../me", None, [], "Say so with --login NAME"),
        ("cookies", b"", ["--login", "me you"], "'me you' is no Instagram username"),
    ],
)
def test_a_wrong_session_file_is_refused_before_anything_is_asked(
    name: str, content: bytes | None, arguments: list[str], sentence: str, instagram: Instagram, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)

    assert gather(tmp_path, "--user", "anna", "--session-file", str(tmp_path / name), *arguments).exit_code == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "t0ken" not in said
    assert instagram.requests == []
    assert not (tmp_path / "made-by-a-hostile-session").exists()


def test_without_a_network_it_says_so(
    instagram: Instagram, slept: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fail(*_arguments: object, **_options: object) -> None:
        raise requests.exceptions.ConnectionError("no route")

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", fail)
    assert gather(tmp_path, "--user", "anna").exit_code == 1
    assert "Instagram cannot be reached (ConnectionError)" in capsys.readouterr().err


def test_a_broken_state_is_said_and_a_shorter_round_does_not_hide_a_longer_one(
    instagram: Instagram, slept: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = tmp_path / "states"
    keep = ["--user", "anna", "--state", str(states), "--no-pictures"]
    assert gather(tmp_path, *keep, "--since", "2025-06-20").codes == ["A7", "A6", "A5"]
    assert gather(tmp_path, *keep, "--since", "2025-06-21").codes == []
    assert gather(tmp_path, *keep).codes == ["A7", "A6", "A5", "A4", "A3", "A2", "A1"]

    (states / "anna.json").write_text("{", encoding="utf-8")
    assert gather(tmp_path, *keep).exit_code == 2
    assert "delete it, or use --no-resume" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address",
    [
        "http://scontent.cdninstagram.com/p/A7.jpg",
        "https://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1:9200/_search",
        "https://evil.test/p/A7.jpg#.cdninstagram.com",
        "https://cdninstagram.com.evil.test/p/A7.jpg",
        "https://.fbcdn.net@evil.test/p/A7.jpg",
        "file:///etc/passwd",
    ],
)
def test_a_picture_is_fetched_from_instagram_alone(
    address: str, instagram: Instagram, slept: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media = instagram.media
    instagram.media = lambda code, day: media(code, day) | {"image_versions2": {"candidates": [{"url": address}]}}  # type: ignore[method-assign]

    code = main(["--source", "live", "--user", "anna", "--state", str(tmp_path / "states"),
                 "--output", str(tmp_path / "out.jsonl"), "--pictures", str(tmp_path / "pictures")])  # fmt: skip

    assert code == 0
    assert "not one of Instagram's" in capsys.readouterr().err
    assert not (tmp_path / "pictures").exists()
    assert not [each for each in instagram.requests if each.what.startswith(("/p/", "/latest", "/_search"))]
