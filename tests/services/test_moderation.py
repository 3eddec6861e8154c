"""The service as it runs: processes of it on the real Kafka; the decisions are written here, as the job would."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from settings import ROOT
from stack import kafka
from tests.moderation_service import ABUSE, SECONDS, Job, Json, Service, free_port

KEYS = "site:sitesitesite,anna:annaannaanna:moderator,busy:busybusybusy"


@pytest.fixture(scope="module")
def job(running_stack: None) -> Iterator[Job]:
    prefix = f"test-{uuid.uuid4().hex[:8]}."
    kafka.create_topics(prefix)
    writer = Job(prefix)
    yield writer
    writer.producer.close()
    kafka.delete_topics(prefix)


@pytest.fixture(scope="module")
def service(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Without keys, and with a rate that no test reaches."""
    running = Service(job.prefix, tmp_path_factory.mktemp("open"), {"CROWDPULSE_MODERATION_RATE_LIMIT": "100000"})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def guarded(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With keys."""
    limits = {"CROWDPULSE_MODERATION_RATE_LIMIT": "200", "CROWDPULSE_MODERATION_MAX_BODY_BYTES": "10000"}
    environment = {"CROWDPULSE_MODERATION_API_KEYS": KEYS, **limits}
    running = Service(job.prefix, tmp_path_factory.mktemp("guarded"), environment)
    yield running
    said = running.stop()
    assert not any(key in said for key in ("sitesite", "annaanna", "busybusy")), "a key was logged"
    assert "Traceback" not in said, said
    assert "without completing handshake" not in said, said


pytestmark = pytest.mark.stack
SITE, ANNA = {"X-API-Key": "sitesitesite"}, {"Authorization": "Bearer annaannaanna"}
TEXT = {"text": "Have a nice day"}
VERDICT = {"message_id": "nobody-wrote-this", "verdict": "uphold"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "/v1/classify", {}, TEXT, 401),
        ("POST", "/v1/classify", {"X-API-Key": "sitesitesitf"}, TEXT, 401),
        ("POST", "/v1/classify", {"X-API-Key": "sitesitesite:moderator"}, TEXT, 401),
        ("POST", "/v1/classify", {"X-API-Key": "schlüssel"}, TEXT, 401),
        ("POST", "/v1/classify", {"Authorization": "Basic c2l0ZTpzaXRlc2l0ZXNpdGU="}, TEXT, 401),
        ("POST", "/v1/classify", {"Cookie": "crowdpulse_session=9999999999.00.anna"}, TEXT, 401),
        ("POST", "/v1/classify", SITE, TEXT, 200),
        ("POST", "/v1/classify", ANNA, TEXT, 200),
        ("POST", "/v1/classify", SITE | {"Origin": "http://evil.example"}, TEXT, 403),
        ("GET", "/v1/models", {}, None, 401),
        ("GET", "/v1/models", SITE, None, 200),
        ("GET", "/v1/anything", {}, None, 401),
        ("GET", "/v1/anything", SITE, None, 404),
        ("GET", "/v1/queue", {}, None, 401),
        ("GET", "/v1/queue", SITE, None, 403),
        ("GET", "/v1/queue", ANNA, None, 200),
        ("GET", "/v1/users/bob", SITE, None, 403),
        ("GET", "/v1/messages/m", SITE, None, 403),
        ("POST", "/v1/verdicts", {}, VERDICT, 401),
        ("POST", "/v1/verdicts", SITE, VERDICT, 403),
        ("POST", "/v1/verdicts", ANNA, VERDICT, 404),
        ("POST", "/v1/verdicts", ANNA | {"Origin": "http://evil.example"}, VERDICT, 403),
        ("POST", "/v1/users/bob/mute", SITE, {"minutes": 1}, 403),
        ("DELETE", "/v1/users/bob/mute", SITE, None, 403),
        ("GET", "/v1/session", {}, None, 401),
        ("POST", "/v1/session", {}, {"key": "a wrong one"}, 401),
        ("GET", "/", {}, None, 200),
        ("GET", "/moderator", {}, None, 200),
        ("GET", "/static/chat.js", {}, None, 200),
        ("GET", "/static/../server.py", {}, None, 404),
        ("GET", "/openapi.json", {}, None, 200),
        ("GET", "/docs", {}, None, 404),
        ("GET", "/healthz", {}, None, 200),
        ("GET", "/metrics", {}, None, 200),
    ],
)
def test_who_may_do_what(
    guarded: Service, method: str, path: str, headers: dict[str, str], body: Json | None, status: int
) -> None:
    request = requests.Request(method, guarded.url, headers={k: v.encode() for k, v in headers.items()}, json=body)
    prepared = request.prepare()
    prepared.url = guarded.url + path  # as it is: `..` too
    with requests.Session() as session:
        answer = session.send(prepared, timeout=10)
    assert answer.status_code == status, answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    if status >= 400:
        assert isinstance(answer.json()["detail"], str)


@pytest.mark.parametrize(
    ("path", "headers", "origin", "status"),
    [
        ("/ws", {}, None, 401),
        ("/ws", {"X-API-Key": "wrongwrong"}, None, 401),
        ("/ws", SITE, None, 101),
        ("/ws", SITE, "http://{address}", 101),
        ("/ws", SITE, "http://evil.example", 403),
        ("/ws", SITE, "http://127.0.0.1:1", 403),
        ("/ws", SITE, "null", 403),
        ("/ws/moderator", SITE, None, 403),
        ("/ws/moderator", ANNA, None, 101),
        ("/ws/moderator", ANNA, "http://evil.example", 403),
    ],
)
def test_who_may_connect(guarded: Service, path: str, headers: Json, origin: Any, status: int) -> None:
    origin = origin and origin.format(address=guarded.address)
    try:
        with connect(f"ws://{guarded.address}{path}", additional_headers=headers, origin=origin):
            found = 101
    except InvalidStatus as error:
        found = error.response.status_code
    assert found == status


def test_a_page_signs_in_by_a_cookie(guarded: Service) -> None:
    with requests.Session() as page:
        answer = page.post(f"{guarded.url}/v1/session", json={"key": "annaannaanna"}, timeout=10)
        assert answer.json() == {"name": "anna", "is_moderator": True, "keys_are_on": True}
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "annaannaanna" not in cookie
        value = page.cookies["crowdpulse_session"]
        assert page.get(f"{guarded.url}/v1/queue", timeout=10).status_code == 200
    with guarded.join("den", "anna", additional_headers={"Cookie": f"crowdpulse_session={value}"}) as anna:
        assert anna.joined["room"] == "den"
    ends, signature, name = value.split(".")
    for forged in (f"{int(ends) + 1}.{signature}.{name}", f"{ends}.{signature}.site", f"1.{signature}.{name}"):
        guarded.ask("GET", "/v1/session", 401, headers={"Cookie": f"crowdpulse_session={forged}"})


def test_only_so_many_requests_of_a_key(guarded: Service) -> None:
    with requests.Session() as busy:
        busy.headers["X-API-Key"] = "busybusybusy"
        answers = [busy.get(f"{guarded.url}/v1/models", timeout=10) for _ in range(230)]
    assert {each.status_code for each in answers[:200]} == {200}
    refused = [each for each in answers if each.status_code == 429]
    assert refused
    assert all(1 <= int(each.headers["Retry-After"]) <= 2 for each in refused)
    guarded.ask("GET", "/v1/models", headers=ANNA)  # another's are as many as before
    with guarded.join("den", "bob", additional_headers=SITE) as bob:
        codes: list[str] = []
        while codes[-1:] != ["rate_limited"] and len(codes) < 300:
            bob.tell(type="join", room="den", user_name="bob")  # or he would be refused too often in a row
            bob.send("")
            codes.append(bob.hear("error")["code"])
    assert set(codes[:-1]) == {"empty"}
    assert codes[-1] == "rate_limited"


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(9_000, 422), (10_001, 413), (3_000_000, 413)])
def test_only_so_large_a_body(guarded: Service, is_chunked: bool, size: int, status: int) -> None:
    connection = http.client.HTTPConnection(guarded.address, timeout=10)
    body = b'"' + b"x" * (size - 2) + b'"'
    parts = (body[at : at + 1000] for at in range(0, size, 1000)) if is_chunked else body
    try:
        connection.request(
            "POST",
            "/v1/classify",
            parts,
            ANNA | {"Content-Type": "application/json"},
            encode_chunked=is_chunked,
        )
    except (BrokenPipeError, ConnectionResetError):
        assert status == 413  # it has hung up while this was still sending
    else:
        assert connection.getresponse().status == status
    connection.close()


def test_a_message_is_checked_judged_and_shown_to_those_who_may_see_it(service: Service, job: Job) -> None:
    with service.join("talk", "ann") as ann, service.join("talk", "bob") as bob, service.join("other", "cat") as cat:
        texts = {"allow": "Nice <script>alert(1)</script> day", "flag": ABUSE, "hold": ABUSE}
        states = {"allow": "clean", "flag": "flagged", "hold": "held"}
        for decision, text in texts.items():
            identity = ann.send(text)
            own = ann.hear("message", identity)["message"]
            assert bob.hear("message", identity)["message"] == own
            assert (own["text"], own["state"], own["verdict"]) == (text, "checking", None)
            job.decides(own, decision, ngrams=["idiot"])
            seen = bob.hear("decision", identity)["message"]
            assert seen["state"] == ann.hear("decision", identity)["message"]["state"] == states[decision]
            hidden = decision == "hold"
            assert (seen["text"], seen["ngrams"]) == ((None, []) if hidden else (text, ["idiot"]))
        again = ann.send("not this", identity)  # known: answered, and not written
        assert ann.hear("message", again)["message"]["text"] == ABUSE
        bob.send("not this", identity)
        assert bob.hear("message", again)["message"]["text"] is None
        cat.send("not this", identity)
        assert cat.hear("error", identity)["code"] == "bad_request"
        assert ann.hears_nothing()
        assert bob.hears_nothing()
    written = [each for each in job.records("chat_messages") if each["room"] == "talk"]
    assert [each["text"] for each in written] == list(texts.values())
    with service.join("talk", "dan") as dan, service.join("talk", "ann") as ann:
        assert [each["text"] for each in dan.joined["messages"]] == [texts["allow"], ABUSE, None]
        assert [each["text"] for each in ann.joined["messages"]] == [texts["allow"], ABUSE, ABUSE]
    metrics = requests.get(f"{service.url}/metrics", timeout=10).text
    assert re.search(r'moderation_decisions_total\{decision="flag",model_version="m1"\} [1-9]', metrics)
    assert re.search(r"moderation_decision_seconds_count [3-9]", metrics)
    assert not any(name in metrics for name in ("ann", "bob", "talk"))


def test_what_cannot_be_sent(service: Service) -> None:
    cases: list[tuple[Any, str]] = [
        ("{", "bad_request"),
        ("[" * 100_0, "bad_request"),
        (json.dumps([]), "bad_request"),
        (json.dumps({"type": "shout"}), "bad_request"),
        (json.dumps({"type": "send", "message_id": "m", "text": "x"}), "not_joined"),
        (json.dumps({"type": "join", "room": "", "user_name": "eve"}), "bad_request"),
        (json.dumps({"type": "join", "room": "r" * 65, "user_name": "eve"}), "bad_request"),
        (json.dumps({"type": "join", "room": "odd", "user_name": "e\u202eve"}), "bad_request"),
        (json.dumps({"type": "join", "room": "odd", "user_name": ".."}), "bad_request"),
        (json.dumps({"type": "join", "room": "odd", "user_name": "eve"}), ""),
        (json.dumps({"type": "send", "message_id": "m" * 65, "text": "x"}), "bad_request"),
        (json.dumps({"type": "send", "message_id": "m", "text": 7}), "bad_request"),
        ('{"type": "send", "message_id": "m", "text": "\\ud800"}', "bad_request"),
        (json.dumps({"type": "send", "message_id": "m", "text": "x", "client_time": "noon"}), "bad_request"),
        (json.dumps({"type": "send", "message_id": "m", "text": " \n"}), "empty"),
        (json.dumps({"type": "send", "message_id": "m", "text": "\u3164"}), "empty"),
        (json.dumps({"type": "send", "message_id": "m", "text": "x" * 2001}), "too_long"),
    ]
    with connect(f"ws://{service.address}/ws") as eve:
        for said, code in cases:
            eve.send(said)
            answer = json.loads(eve.recv(timeout=SECONDS))
            assert answer.get("code", "") == code, said
        eve.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as closed:
            eve.recv(timeout=SECONDS)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_who_does_not_read_is_disconnected(service: Service) -> None:
    with service.join("slow", "sid", max_queue=1, compression=None) as sid, service.join("slow", "tom") as tom:
        identity = sid.send("x" * 2000)
        sid.hear("message", identity)
        for _ in range(5000):  # each is answered by the message, 10 MB together, and none of the answers is read
            sid.send("x", identity)
        tom.hear("message", tom.send("and you?"))
        with pytest.raises(ConnectionClosed) as closed:
            sid.hear("the end")  # passes over all that comes
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "too slow a reader")


def test_without_a_decision_a_message_is_unscored_until_there_is_one(service: Service, job: Job) -> None:
    policy = json.dumps({"version": "2", "unscored": "show", "rooms": {"kids": {"unscored": "hold"}}})
    valid_from = datetime.now(UTC).isoformat()
    job.write(
        "moderation_policies",
        "champion:2",
        {"slot": "champion", "version": "2", "valid_from": valid_from, "policy": policy},
    )
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    job.write(
        "moderation_policies",
        "shadow:3",
        {"slot": "shadow", "version": "3", "valid_from": later, "policy": policy.replace('"2"', '"3"')},
    )
    deadline = time.monotonic() + SECONDS
    while (models := service.ask("GET", "/v1/models"))["policy_version"] != "2":
        assert time.monotonic() < deadline
    assert models["shadow_policy_version"] is None
    for room, text in (("patient", "hello"), ("kids", None)):
        with service.join(room, "ann") as ann, service.join(room, "bob") as bob:
            began = time.monotonic()
            identity = ann.send("hello")
            own = ann.hear("message", identity)["message"]
            assert bob.hear("message", identity)["message"]["text"] == text
            unscored = bob.hear("decision", identity)["message"]
            assert time.monotonic() - began > 0.9
            assert (unscored["state"], unscored["text"]) == ("unscored", text)
            queue = service.ask("GET", f"/v1/queue?state=unscored&room={room}")
            assert [each["message_id"] for each in queue["messages"]] == [identity]
            assert queue["counts"] == {"flagged": 0, "held": 0, "sampled": 0, "unscored": 1}
            job.decides(own, "allow")
            decided = bob.hear("decision", identity)["message"]
            assert (decided["state"], decided["text"]) == ("clean", "hello")


def test_who_is_muted_cannot_write(service: Service, job: Job) -> None:
    with service.join("quiet", "mia") as mia, service.join("quiet", "noa") as noa:
        identity = mia.send(ABUSE)
        own = mia.hear("message", identity)["message"]
        until = (datetime.now(UTC) + timedelta(minutes=5)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        job.decides(own, "flag", action="mute", muted_until=until)
        told = mia.hear("you")
        assert (told["action"], told["muted_until"]) == ("mute", until)
        assert 0.99 < told["strikes"] <= 1
        refused = mia.hear("error", mia.send("one more"))
        assert (refused["code"], refused["muted_until"]) == ("muted", until)
        noa.hear("message", noa.send("I may write"))
        with service.join("elsewhere", "mia") as again:
            assert again.joined["muted_until"] == until
        assert service.ask("DELETE", "/v1/users/mia/mute")["muted_until"] is None
        assert mia.hear("you")["action"] == "unmute"
        mia.hear("message", mia.send("one more"))
        assert service.ask("POST", "/v1/users/mia/mute", json={"minutes": 2})["muted_until"] < until
        assert mia.hear("you")["action"] == "mute"
        assert mia.hear("error", mia.send("and one"))["code"] == "muted"
    person = service.ask("GET", "/v1/users/mia")
    assert [each["text"] for each in person["messages"]] == ["one more", ABUSE]
    assert [each["kind"] for each in person["verdicts"]] == ["mute", "unmute"]
    written = [each for each in job.records("moderation_feedback") if each["user_name"] == "mia"]
    assert [(each["kind"], each["minutes"], each["moderator"]) for each in written] == [
        ("unmute", None, "moderator"),
        ("mute", 2, "moderator"),
    ]


def test_a_moderator_overrides(guarded: Service, job: Job) -> None:
    def desk_hears(desk: ClientConnection, identity: str) -> Json:
        while (said := json.loads(desk.recv(timeout=SECONDS)))["type"] != "item" or (
            said["message"]["message_id"] != identity
        ):
            pass
        message: Json = said["message"]
        return message

    with (
        guarded.join("court", "lea", additional_headers=SITE) as lea,
        guarded.join("court", "kim", additional_headers=SITE) as kim,
        connect(f"ws://{guarded.address}/ws/moderator", additional_headers=ANNA) as desk,
    ):
        for decision, verdict, state in (
            ("flag", "overturn", "clean"),
            ("hold", "uphold", "held"),
            ("allow", "overturn", "held"),
        ):
            identity = lea.send(ABUSE)
            own = lea.hear("message", identity)["message"]
            body = {"message_id": identity, "verdict": verdict}
            if decision == "flag":
                guarded.ask("POST", "/v1/verdicts", 409, json=body, headers=ANNA)
            job.decides(own, decision)
            kim.hear("decision", identity)
            if decision != "allow":
                item = desk_hears(desk, identity)
                assert (item["queue"], item["toxic"], item["text"]) == (item["state"], 0.9, ABUSE)
                assert item["state"] in ("flagged", "held")
            with ThreadPoolExecutor(8) as presses:  # at once: one event
                pressed = presses.map(lambda told: _verdict(guarded, told), [body] * 8)
                assert {200} <= set(pressed) <= {200, 409}
            answer = guarded.ask("POST", "/v1/verdicts", json=body, headers=ANNA)
            assert (answer["state"], answer["moderator"], answer["queue"]) == (state, "anna", None)
            assert desk_hears(desk, identity)["verdict"] == verdict
            told = kim.hear("decision", identity)["message"]
            assert (told["state"], told["verdict"]) == (state, verdict)
            assert told["text"] == (ABUSE if state == "clean" else None)
    written = [each for each in job.records("moderation_feedback") if each["user_name"] == "lea"]
    assert [(each["decision"], each["verdict"], each["strike_points"]) for each in written] == [
        ("flag", "overturn", 1000),
        ("hold", "uphold", 1000),
        ("allow", "overturn", 1000),
    ]
    assert all(each["message_time"] and each["moderator"] == "anna" for each in written)


def _verdict(service: Service, body: Json) -> int:
    return requests.post(f"{service.url}/v1/verdicts", json=body, headers=ANNA, timeout=10).status_code


def test_a_restart_loses_nothing_and_repeats_nothing(job: Job, tmp_path: Path) -> None:
    environment = {"CROWDPULSE_MODERATION_REVIEW_SHARE": "0.5"}
    running = Service(job.prefix, tmp_path, environment)
    with running.join("lasting", "ann") as ann:
        sent = [ann.send(f"message {number}") for number in range(130)]
        messages = [ann.hear("message", identity)["message"] for identity in sent]
        assert [each["message_id"] for each in messages] == sent
        for number, message in enumerate(messages[:60]):
            job.decides(message, ("allow", "flag", "hold")[number % 3])
        ann.hear("decision", sent[59])
        running.ask("POST", "/v1/verdicts", json={"message_id": sent[1], "verdict": "overturn"})
        running.ask("POST", "/v1/users/ann/mute", json={"minutes": 9})
        ann.hear("you")
        ann.hear("decision", sent[129], state="unscored")
        running.ask("POST", "/v1/verdicts", 409, json={"message_id": sent[129], "verdict": "uphold"})  # of no decision

    def told(of: Service) -> Json:
        with of.join("lasting", "ann") as person, of.join("lasting", "zoe") as other:
            seen = [{k: v for k, v in each.joined.items() if k != "strikes"} for each in (person, other)]
        queues = [
            of.ask("GET", f"/v1/queue?state={state}&room=lasting&limit=500")
            for state in ("flagged", "held", "sampled", "unscored")
        ]
        return {"seen": seen, "queues": [(each["messages"], each["counts"]) for each in queues]}

    before = told(running)
    assert running.stop().count("Traceback") == 0
    time.sleep(1)
    running = Service(job.prefix, tmp_path, environment)
    after = told(running)
    assert after == before
    assert [each["message_id"] for each in after["seen"][0]["messages"]] == sent[30:]
    counts = after["queues"][0][1]
    assert (counts["flagged"], counts["held"], counts["unscored"]) == (19, 20, 70)
    assert 0 < counts["sampled"] < 20
    with running.join("lasting", "bob") as bob:
        bob.send("again", sent[0])
        assert bob.hear("message", sent[0])["message"]["text"] == "message 0"
        assert bob.hears_nothing()
    running.stop()
    assert [each["message_id"] for each in job.records("chat_messages") if each["room"] == "lasting"] == sent


def test_without_kafka_the_service_lives(tmp_path: Path) -> None:
    alone = Service("", tmp_path, {"CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, is_ready=False)
    try:
        alone.ask("GET", "/readyz", 503)
        assert alone.ask("POST", "/v1/classify", json=TEXT)["results"][0]["decision"] == "allow"
        alone.ask("POST", "/v1/users/bob/mute", 503, json={"minutes": 1})
        alone.ask("GET", "/v1/models", 421, headers={"Host": "evil.example"})
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://{alone.address}/ws"):
            pass
        assert refused.value.response.status_code == 503
    finally:
        alone.stop()


@pytest.mark.parametrize(
    ("keys", "host", "sentence"),
    [
        ("", "0.0.0.0", "set CROWDPULSE_MODERATION_API_KEYS"),  # noqa: S104
        ("anna", "127.0.0.1", "entry 1, is wrong"),
        ("anna:secretsecret:owner", "127.0.0.1", "entry 1, is wrong"),
        ("anna:secret1", "127.0.0.1", "entry 1, is too short"),
        ("a:secretsecret,b:secretsecret", "127.0.0.1", "entry 2, has a name or a key"),
    ],
)
def test_what_it_does_not_start_with(keys: str, host: str, sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.moderation", "--host", host, "--port", str(free_port())],
        cwd=ROOT,
        env=os.environ | {"CROWDPULSE_MODERATION_API_KEYS": keys},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr
