"""producers/liftwing.py: what is asked about, how the service is spoken to, and what becomes of its answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import yaml

from producers import _kafka
from producers._command_line import InputError
from producers._wikimedia_streams import Event
from producers.liftwing import (
    AT_ONCE,
    REVISIONS,
    SCORES,
    TRIES,
    Answer,
    Asker,
    Cache,
    LiftWing,
    Revision,
    classification,
    event_of,
    main,
    question,
    revision_of,
    scored_of,
    scores,
)
from settings import ROOT, settings
from tests.local_server import LocalServer, QuietHandler
from tests.producers.conftest import records

pytestmark = pytest.mark.timeout(60)

DATA = Path(os.environ.get("CROWDPULSE_DATA", ROOT.parent / "shared" / "data"))
SCHEMA = DATA / "wikimedia-schemas/jsonschema/mediawiki/page/prediction_classification_change/1.1.0.yaml"
RECORDED = DATA / "wikimedia-events/revision_create.jsonl"


def now(ago: float = 0) -> str:
    return datetime.fromtimestamp(time.time() - ago, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def created(number: int = 2, **changed: object) -> dict[str, Any]:
    """An event mediawiki/revision/create."""
    return {
        "$schema": "/mediawiki/revision/create/2.0.0",
        "meta": {
            "stream": "mediawiki.revision-create", "domain": "en.wikipedia.org", "request_id": f"request-{number}",
            "uri": "https://en.wikipedia.org/wiki/Example", "dt": now(), "id": f"event-{number}",
        },
        "dt": now(), "database": "enwiki", "page_id": 7, "page_title": "Example", "page_namespace": 0,
        "page_is_redirect": False, "rev_id": number, "rev_parent_id": 1, "rev_timestamp": now(), "rev_len": 100,
        "rev_sha1": "abc", "rev_minor_edit": False, "comment": "a change",
        "performer": {
            "user_text": "Somebody", "user_id": 3, "user_groups": ["*", "user"], "user_is_bot": False,
            "user_edit_count": 12, "user_registration_dt": "2020-01-01T00:00:00Z",
        },
    } | changed  # fmt: skip


def at_domain(domain: object, **changed: Any) -> dict[str, Any]:
    return created(**changed) | {"meta": {"stream": "mediawiki.revision-create", "domain": domain}}


def revision(number: int = 2, **changed: object) -> Revision:
    found = revision_of(json.dumps(created(number, **changed)).encode())
    assert found
    return found


# The shape of an answer, with values of our own: API_reference/Service/Lift_Wing/Revert_risk_score_object at
# api.wikimedia.org, as seen in November 2026.
def answer(number: int = 2, **changed: object) -> dict[str, Any]:
    return {
        "model_name": "revertrisk-language-agnostic",
        "model_version": "3",
        "wiki_db": "enwiki",
        "revision_id": number,
        "output": {"prediction": True, "probabilities": {"true": 0.75, "false": 0.25}},
    } | changed


PREDICTED = {
    "model_name": "revertrisk-language-agnostic",
    "model_version": "3",
    "predictions": ["true"],
    "probabilities": {"true": 0.75, "false": 0.25},
}

ASKED: dict[str, tuple[Any, dict[str, Any] | None]] = {
    "an edit of an article": (created(), {"rev_id": 2, "lang": "en"}),
    "a language with a hyphen": (at_domain("zh-min-nan.wikipedia.org"), {"rev_id": 2, "lang": "zh-min-nan"}),
    "no performer": (created(performer={}), {"rev_id": 2, "lang": "en"}),
    "a talk page": (created(page_namespace=1), None),
    "a new page has no revision before it": (created(rev_parent_id=0), None),
    "nor does one that does not tell": ({k: v for k, v in created().items() if k != "rev_parent_id"}, None),
    "Wikidata": (at_domain("www.wikidata.org", database="wikidatawiki"), None),
    "Wiktionary": (at_domain("en.wiktionary.org", database="enwiktionary"), None),
    "a page of the foundation": (at_domain("meta.wikimedia.org", database="metawiki"), None),
    "a Wikipedia for tests": (at_domain("test.wikipedia.org", database="testwiki"), None),
    "a name that only ends like it": (at_domain("en.notwikipedia.org"), None),
    "the portal": (at_domain("wikipedia.org"), None),
    "a canary": (at_domain("canary"), None),
    "a domain that is no text": (at_domain(None), None),
    "no meta": (created(meta=None), None),
    "no wiki": (created(database=None), None),
    "no title": (created(page_title=None), None),
    "no page": (created(page_id=None), None),
    "a revision that is no number": (created(rev_id="2"), None),
    "a revision that is a truth": (created(rev_id=True), None),
    "a revision that no file of answers can hold": (created(rev_id=2**63), None),
    "no time": (created(rev_timestamp=None), None),
    "a time without a zone": (created(rev_timestamp="2026-01-01T00:00:00"), None),
    "nonsense for a time": (created(rev_timestamp="2026-13-45T99:99:99Z"), None),
    "an array": ([created()], None),
}


@pytest.mark.parametrize("name", ASKED)
def test_only_edits_of_articles_of_wikipedias_are_asked_about(name: str) -> None:
    event, expected = ASKED[name]
    found = revision_of(json.dumps(event).encode())

    assert (question(found) if found else None) == expected


@pytest.mark.parametrize("value", [b"", b"<html>", b"\xff", b'{"rev_id":'])
def test_what_is_no_json_is_nothing_to_ask_about(value: bytes) -> None:
    assert revision_of(value) is None
    assert scored_of(value) is None


def scored(number: int = 2, wiki: str = "enwiki") -> dict[str, Any]:
    return {"wiki_id": wiki, "revision": {"rev_id": number}, "predicted_classification": PREDICTED}


@pytest.mark.parametrize(
    ("event", "key"),
    [
        (scored(), ("enwiki", 2)),
        (scored(9, "dewiki"), ("dewiki", 9)),
        (scored() | {"wiki_id": 1}, None),
        (scored() | {"revision": None}, None),
        (scored() | {"revision": {"rev_id": "2"}}, None),
        ({"wiki_id": "enwiki", "revision": {"rev_id": 2}}, None),  # a change of a page, without a score
    ],
)
def test_a_score_says_of_which_revision(event: dict[str, Any], key: tuple[str, int] | None) -> None:
    assert scored_of(json.dumps(event).encode()) == key


@pytest.mark.parametrize("version", ["3", 3])
def test_an_answer_is_a_prediction(version: object) -> None:
    assert classification(answer(model_version=version), 2) == PREDICTED


NO_ANSWERS: dict[str, Any] = {
    "of another revision": answer(3),
    "no output": answer(output=None),
    "no prediction": answer(output={"probabilities": {"true": 0.5, "false": 0.5}}),
    "a prediction that is text": answer(output={"prediction": "true", "probabilities": {"true": 0.5, "false": 0.5}}),
    "no probability": answer(output={"prediction": True, "probabilities": {"true": 0.5}}),
    "a probability above 1": answer(output={"prediction": True, "probabilities": {"true": 1.5, "false": 0.5}}),
    "a probability that is text": answer(output={"prediction": True, "probabilities": {"true": "1", "false": 0}}),
    "no model": answer(model_name=None),
    "no version": answer(model_version=None),
    "an error": {"error": "An error happened while fetching info for revision"},
    "an array": [answer()],
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_what_is_no_answer_is_no_prediction(name: str) -> None:
    assert classification(NO_ANSWERS[name], 2) is None


def test_the_event_tells_the_revision_with_its_own_time_and_the_key_of_its_page() -> None:
    asked = revision()
    event = event_of(asked, PREDICTED)
    fields = json.loads(event.value)

    assert event.key == b"enwiki:7"
    assert event.time == fields["dt"] == fields["revision"]["rev_dt"] == asked.event["rev_timestamp"]
    assert fields["$schema"] == "/mediawiki/page/prediction_classification_change/1.1.0"
    assert (fields["meta"]["stream"], fields["meta"]["request_id"]) == ("crowdpulse.liftwing", "request-2")
    assert (fields["wiki_id"], fields["revision"]["rev_id"], fields["revision"]["rev_parent_id"]) == ("enwiki", 2, 1)
    assert fields["page"] == {"page_id": 7, "page_title": "Example", "namespace_id": 0, "is_redirect": False}
    assert fields["performer"]["user_text"] == fields["revision"]["editor"]["user_text"] == "Somebody"
    assert fields["predicted_classification"] == PREDICTED
    assert json.loads(event_of(asked, PREDICTED).value)["meta"]["id"] == fields["meta"]["id"]
    assert json.loads(event_of(revision(3), PREDICTED).value)["meta"]["id"] != fields["meta"]["id"]
    assert scored_of(event.value) == asked.key


@pytest.mark.skipif(not SCHEMA.exists(), reason=f"the schema is not at {SCHEMA}")
def test_the_event_fits_its_schema() -> None:
    validator = jsonschema.Draft7Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
    least = {name: value for name, value in created().items() if name not in ("performer", "comment", "rev_len")}

    for event in (created(), created(performer={}), created(performer=None), least):
        asked = revision_of(json.dumps(event).encode())
        assert asked
        validator.validate(json.loads(event_of(asked, PREDICTED).value))


@pytest.mark.skipif(not (SCHEMA.exists() and RECORDED.exists()), reason=f"no recordings or schemas at {DATA}")
def test_events_of_recorded_revisions_fit_the_schema() -> None:
    validator = jsonschema.Draft7Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
    found = [asked for line in RECORDED.read_bytes().splitlines() if (asked := revision_of(line))]

    assert len(found) > 50
    for asked in found:
        validator.validate(json.loads(event_of(asked, PREDICTED).value))


class Reply(NamedTuple):
    """What the server answers, after `seconds`; `body` None: the documented answer about the revision asked."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012  # never changed
    seconds: float = 0


# The bodies of errors: {"error"} as KServe tells them, {"detail"} as FastAPI does; see base_model.py of the revert-risk
# models in wikimedia/machinelearning-liftwing-inference-services.
NO_PARENT = Reply(422, {"detail": "Could not make prediction for revision 2 (en). Reason: parent_revision_missing"})
NO_LANGUAGE = Reply(400, {"error": "lang 'en' does not exist in the canonical Wikipedia language list."})
NO_REVISION = Reply(500, {"error": "An error happened while fetching info for revision from the MediaWiki API"})
TOO_MANY = Reply(429, {"httpCode": 429, "httpReason": "Too Many Requests"}, {"Retry-After": "0.4"})
FORBIDDEN = Reply(403, "Please set a user-agent")
HANGING = Reply(seconds=30)
CUT_OFF = Reply(200, b'{"model_name": "revertrisk-lang')


class LiftWingServer(LocalServer):
    """A local Lift Wing: it gives the replies in their order, then answers everything as documented."""

    def __init__(self, *replies: Reply) -> None:
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.script = list(replies)
        self._lock = threading.Lock()
        server = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    server.times.append(time.monotonic())
                    server.requests.append({"body": body, **{k.lower(): v for k, v in self.headers.items()}})
                    reply = server.script.pop(0) if server.script else Reply()
                server._closing.wait(reply.seconds)
                said = answer(body["rev_id"]) if reply.body is None else reply.body
                content = said if isinstance(said, bytes) else json.dumps(said).encode()
                try:
                    self.send_response(reply.status)
                    for name, value in (reply.headers | {"Content-Length": str(len(content))}).items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    pass  # the client did not wait

        super().__init__(Handler)

    @property
    def url(self) -> str:
        return f"{self.address}/v1/models/revertrisk-language-agnostic:predict"

    @property
    def asked(self) -> list[int]:
        """The revisions asked about, in the order of their ids."""
        return sorted(request["body"]["rev_id"] for request in self.requests)


def service(url: str, said: list[str] | None = None, **options: float) -> LiftWing:
    """Lift Wing at this address; quick, unless the test says otherwise."""
    told = (said if said is not None else []).append
    quick = {"rate": 1000.0, "backoff_seconds": 0.02, "timeout_seconds": 5.0} | options
    return LiftWing(url, user_agent="test/1.0 (test@example.org)", said=told, **quick)


def soon(seconds: float = 30) -> float:
    return time.time() + seconds


def test_the_question_is_sent_as_documented_by_a_client_with_a_name() -> None:
    with LiftWingServer() as server:
        assert service(server.url).ask(revision(), soon()) == Answer(PREDICTED)

    (request,) = server.requests
    assert request["body"] == {"rev_id": 2, "lang": "en"}
    assert request["content-type"] == "application/json"
    assert request["user-agent"] == "test/1.0 (test@example.org)"


def test_too_many_requests_are_waited_out_as_long_as_told() -> None:
    said: list[str] = []
    with LiftWingServer(*[TOO_MANY] * (TRIES + 1)) as server:  # it is not the revision's fault: that is no try
        assert service(server.url, said).ask(revision(), soon()) == Answer(PREDICTED)

    assert len(server.requests) == TRIES + 2
    assert all(later - before >= 0.4 for before, later in zip(server.times, server.times[1:], strict=False))
    assert "was told 429: too many requests" in said[0]


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        (NO_REVISION, "was told 500"),
        (Reply(503, b""), "was told 503"),
        (CUT_OFF, "no score"),
        (Reply(200, b"<html>a proxy</html>"), "no score"),
        (Reply(200, answer(77)), "no score"),
        (HANGING, "cannot be reached"),
    ],
)
def test_trouble_is_tried_again_a_few_times_with_pauses_that_grow(trouble: Reply, sentence: str) -> None:
    said: list[str] = []
    with LiftWingServer(trouble) as server:
        assert service(server.url, said, timeout_seconds=0.3).ask(revision(), soon()) == Answer(PREDICTED)
        assert len(server.requests) == 2
        server.script = [trouble] * TRIES
        asking = service(server.url, timeout_seconds=0.3, backoff_seconds=0.2)
        assert asking.ask(revision(), soon()) == Answer(final=False)
        assert len(server.requests) == 2 + TRIES

    assert sentence in said[0]
    pauses = [later - before for before, later in zip(server.times[2:], server.times[3:], strict=False)]
    assert pauses[0] >= 0.1  # of 0.2, 0.4 s, at least half
    assert pauses[1] >= 0.2


def test_pauses_are_short_again_once_the_service_has_answered() -> None:
    with LiftWingServer(*[NO_REVISION, Reply()] * 4) as server:
        asking = service(server.url, backoff_seconds=0.1)
        assert [asking.ask(revision(), soon()) for _ in range(4)] == [Answer(PREDICTED)] * 4

    assert server.times[-1] - server.times[-2] < 0.3  # a fourth pause in a row would be 0.4 s or more


def test_a_service_that_is_away_leaves_a_revision_without_an_answer() -> None:
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        away = service(f"http://127.0.0.1:{taken.getsockname()[1]}/", said)

        assert away.ask(revision(), soon()) == Answer(final=False)
    assert "cannot be reached" in said[0]


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [(NO_PARENT, Answer()), (NO_LANGUAGE, Answer(unknown_language=True)), (Reply(400, {"error": "no"}), Answer())],
)
def test_what_the_model_cannot_answer_is_final(refusal: Reply, expected: Answer) -> None:
    with LiftWingServer(refusal) as server:
        assert service(server.url).ask(revision(), soon()) == expected

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("refusal", "sentence"),
    [
        (FORBIDDEN, "403: Wikimedia refuses clients that do not say who they are"),
        (Reply(401, b""), "CROWDPULSE_WIKIMEDIA_USER_AGENT"),
        (Reply(404, b""), "404: check CROWDPULSE_LIFTWING_URL"),
        (Reply(301, b"", {"Location": "https://example.org/"}), "301: check CROWDPULSE_LIFTWING_URL"),
    ],
)
def test_a_refusal_for_good_ends_it_with_a_sentence(refusal: Reply, sentence: str) -> None:
    with LiftWingServer(refusal) as server, pytest.raises(InputError, match=sentence):
        service(server.url).ask(revision(), soon())


def test_an_address_that_is_none_is_said() -> None:
    with pytest.raises(InputError, match="CROWDPULSE_LIFTWING_URL is wrong"):
        service("api.wikimedia.org").ask(revision(), soon())


def test_nothing_is_asked_too_late() -> None:
    with LiftWingServer(TOO_MANY._replace(headers={"Retry-After": "600"})) as server:
        began = time.monotonic()

        assert service(server.url).ask(revision(), soon(2)) == Answer(final=False)
        assert service(server.url).ask(revision(), soon(-1)) == Answer(final=False)
    assert time.monotonic() - began < 60
    assert len(server.requests) == 1


def test_who_waits_for_a_turn_is_sent_away_when_it_is_stopped() -> None:
    with LiftWingServer(TOO_MANY._replace(headers={"Retry-After": "600"})) as server:
        asking = service(server.url)
        threading.Timer(0.3, asking.stop).start()
        began = time.monotonic()

        assert asking.ask(revision(), soon(300)) == Answer(final=False)
    assert 0.2 < time.monotonic() - began < 5


def test_the_rate_is_kept_by_all_threads_together() -> None:
    with LiftWingServer() as server, ThreadPoolExecutor(AT_ONCE) as threads:
        asking = service(server.url, rate=25)
        list(threads.map(lambda number: asking.ask(revision(number), soon()), range(2, 17)))

    assert len(server.times) == 15
    assert server.times[-1] - server.times[0] >= 14 / 25 - 0.05


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    found = Cache(tmp_path / "state" / "liftwing.sqlite")
    yield found
    found.close()


def nothing_new(seconds: float = 20) -> Iterator[None]:
    """Records that do not come, for a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield None
        time.sleep(0.01)


Run = Callable[..., tuple[list[Event], Asker]]


@pytest.fixture
def run(cache: Cache) -> Run:
    """`run(server, records)`: the scores of these records, once nothing waits any more."""

    def through(
        server: LiftWingServer, told: list[tuple[str, dict[str, Any]]], hold: float = 0, **options: Any
    ) -> tuple[list[Event], Asker]:
        asker = Asker(service(server.url), cache, hold_seconds=hold, **{"wait_seconds": 60} | options)

        def until_done() -> Iterator[tuple[str, bytes] | None]:
            yield from ((topic, json.dumps(event).encode()) for topic, event in told)
            for nothing in nothing_new():
                if not len(asker):
                    return
                yield nothing

        found = list(scores(until_done(), asker))
        assert len(asker) == 0
        return found + list(asker.close()), asker

    return through


def ids(events: list[Event]) -> list[int]:
    return sorted(json.loads(event.value)["revision"]["rev_id"] for event in events)


def test_revisions_that_nobody_scored_are_asked_about_each_once(run: Run) -> None:
    told = [
        (SCORES, scored(3)),  # a score may come before its revision,
        (REVISIONS, created(2)),
        (REVISIONS, created(3)),
        (REVISIONS, created(4)),
        (REVISIONS, created(2)),  # a revision may be told twice
        (SCORES, scored(4)),  # and a score after it
        (SCORES, scored(2, "dewiki")),  # this is of another wiki
        (REVISIONS, created(5, page_namespace=1)),
        *((REVISIONS, created(number)) for number in range(10, 20)),
    ]
    with LiftWingServer() as server:
        events, asker = run(server, told)

    assert server.asked == ids(events) == [2, *range(10, 20)]
    assert (asker.given_up, asker.unanswerable) == (0, 0)


def test_a_revision_is_held_for_others_to_score(run: Run) -> None:
    with LiftWingServer() as server:
        began = time.monotonic()
        events, _ = run(server, [(REVISIONS, created(2))], hold=0.3)

    assert ids(events) == [2]
    assert server.times[0] - began >= 0.3


def test_what_is_older_than_the_wait_is_given_up_and_counted(run: Run) -> None:
    with LiftWingServer() as server:
        told = [(REVISIONS, created(2, rev_timestamp=now(61))), (REVISIONS, created(3, rev_timestamp=now(30)))]
        events, asker = run(server, told)

    assert server.asked == ids(events) == [3]
    assert asker.given_up == 1


def test_more_than_can_be_held_are_given_up_the_oldest_first(run: Run) -> None:
    with LiftWingServer() as server:
        events, asker = run(server, [(REVISIONS, created(number)) for number in range(2, 12)], most=4)

    assert ids(events) == [8, 9, 10, 11]
    assert asker.given_up == 6


def test_while_the_service_is_away_nothing_is_written_and_later_it_goes_on(run: Run) -> None:
    with LiftWingServer(*[Reply(503, b"")] * TRIES) as server:
        events, asker = run(server, [(REVISIONS, created(2))])
        assert (events, asker.given_up) == ([], 1)

        events, asker = run(server, [(REVISIONS, created(3))])
        assert (ids(events), asker.given_up) == ([3], 0)


def test_a_refusal_ends_the_asking(cache: Cache) -> None:
    with LiftWingServer(*[FORBIDDEN] * AT_ONCE) as server:
        asker = Asker(service(server.url), cache, hold_seconds=0, wait_seconds=60)
        for number in range(2, 10):
            asker.take(REVISIONS, json.dumps(created(number)).encode())
        with pytest.raises(InputError, match="403"):
            list(scores(nothing_new(), asker))

        assert list(asker.close()) == []  # also when each of those who asked was refused
    assert len(server.requests) <= AT_ONCE


def test_a_language_that_the_model_does_not_know_is_asked_about_once(run: Run) -> None:
    told = [(REVISIONS, at_domain("als.wikipedia.org", database="alswiki", number=n)) for n in range(2, 30)]
    with LiftWingServer(*[NO_LANGUAGE] * 30) as server:
        events, asker = run(server, told)

    assert events == []
    assert asker.unanswerable == 28
    assert len(server.requests) <= AT_ONCE + 1  # those that were on their way when the first answer came


def test_who_was_scored_by_somebody_faster_is_not_scored_twice(cache: Cache) -> None:
    with LiftWingServer(Reply(seconds=0.3)) as server:
        asker = Asker(service(server.url), cache, hold_seconds=0, wait_seconds=60)
        asker.take(REVISIONS, json.dumps(created(2)).encode())
        assert list(asker.step()) == []
        asker.take(SCORES, json.dumps(scored(2)).encode())

        assert list(asker.close()) == []
    assert server.asked == [2]


def test_what_is_told_again_while_it_is_asked_about_is_asked_about_once(cache: Cache) -> None:
    with LiftWingServer(Reply(seconds=0.3)) as server:
        asker = Asker(service(server.url), cache, hold_seconds=0, wait_seconds=60)
        for _ in range(2):
            asker.take(REVISIONS, json.dumps(created(2)).encode())
            list(asker.step())

        assert ids(list(asker.close())) == [2]
    assert server.asked == [2]


def test_who_waits_too_long_behind_others_is_given_up(cache: Cache) -> None:
    with LiftWingServer(*[Reply(seconds=3)] * AT_ONCE) as server:
        asker = Asker(service(server.url), cache, hold_seconds=0, wait_seconds=2)
        for number in range(2, 2 + AT_ONCE + 3):
            asker.take(REVISIONS, json.dumps(created(number)).encode())
        list(asker.step())
        time.sleep(2.1)
        list(asker.step())

        assert (len(asker), asker.given_up) == (AT_ONCE, 3)
        assert len(list(asker.close())) == AT_ONCE


def test_what_was_asked_when_it_is_stopped_is_still_told(cache: Cache) -> None:
    with LiftWingServer(Reply(seconds=0.3)) as server:
        asker = Asker(service(server.url), cache, hold_seconds=0, wait_seconds=60)
        asker.take(REVISIONS, json.dumps(created(2)).encode())
        assert list(asker.step()) == []
        wait_for(lambda: bool(server.requests))

        assert ids(list(asker.close())) == [2]


def test_answers_outlive_a_restart(run: Run, cache: Cache, tmp_path: Path) -> None:
    told = [(REVISIONS, created(2)), (REVISIONS, created(3))]
    with LiftWingServer(NO_PARENT) as server:
        first, _ = run(server, told)
        assert len(server.requests) == 2
        again, asker = run(server, told)  # no score of ours came back: Kafka may have lost it with the crash

        assert len(server.requests) == 2
    assert len(first) == asker.unanswerable == 1
    assert [json.loads(event.value)["meta"]["id"] for event in again] == [json.loads(first[0].value)["meta"]["id"]]

    cache.close()
    reopened = Cache(tmp_path / "state" / "liftwing.sqlite")
    kept = [reopened["enwiki", number] for number in (2, 3)]
    reopened.close()
    assert PREDICTED in kept
    assert None in kept


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "liftwing.sqlite", most=3)
    for number in (1, 2, 3, 1, 4):
        cache["enwiki", number] = PREDICTED

    assert [number for number in range(1, 5) if ("enwiki", number) in cache] == [1, 3, 4]
    assert ("dewiki", 1) not in cache
    cache.close()


def test_a_cache_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    file = tmp_path / "liftwing.sqlite"
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(InputError, match="delete that file"):
        Cache(file)
    with pytest.raises(InputError, match="CROWDPULSE_STATE_DIR"):
        Cache(file / "below" / "liftwing.sqlite")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Settings of this test's own, that name nobody."""
    monkeypatch.setenv("CROWDPULSE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("CROWDPULSE_WIKIMEDIA_USER_AGENT", "")
    monkeypatch.setenv("CROWDPULSE_LIFTWING", "false")
    settings.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    settings.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "agent", "sentence"),
    [
        ([], "me/1.0", "Lift Wing is off"),
        (["--enable"], "", "set CROWDPULSE_WIKIMEDIA_USER_AGENT"),
        (["--enable"], "mé/1.0", "printable ASCII"),
        (["--enable", "--hold-seconds", "120"], "me/1.0", "must be less than 105"),
    ],
)  # fmt: skip
def test_wrong_input_is_said_with_exit_code_2(
    arguments: list[str],
    agent: str,
    sentence: str,
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment.setenv("CROWDPULSE_WIKIMEDIA_USER_AGENT", agent)

    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--rate", "14"], ["--rate", "0"], ["--hold-seconds", "-1"], ["--limit", "x"]])
def test_wrong_options_are_said_with_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert arguments[0] in capsys.readouterr().err


def test_without_kafka_it_says_what_to_do(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setenv("CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    environment.setenv("CROWDPULSE_LIFTWING", "true")  # instead of --enable
    environment.setenv("CROWDPULSE_LIFTWING_URL", "http://127.0.0.1:1/")

    assert main(["--kafka-wait-seconds", "0"]) == 1
    assert "make up" in capsys.readouterr().err


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(prefix: str, tmp_path: Path) -> Start:
    """`start(server, arguments…)`: the producer as a program, with its cache in the test's folder."""

    def program(server: LiftWingServer, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "CROWDPULSE_PREFIX": prefix,
            "CROWDPULSE_STATE_DIR": str(tmp_path),
            "CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS": settings().kafka_bootstrap_servers,
            "CROWDPULSE_LIFTWING_URL": server.url,
        }
        command = [sys.executable, "-m", "producers.liftwing", "--enable", "--hold-seconds", "2", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)

    return program


def produce(*told: tuple[str, dict[str, Any]]) -> None:
    sender = _kafka.Sender()
    for topic, event in told:
        sender.send(topic, b"enwiki:7", json.dumps(event).encode())
    sender.flush()
    sender.close()


@pytest.mark.stack
@pytest.mark.timeout(120)
def test_missing_scores_come_into_kafka(prefix: str, start: Start) -> None:
    topic = prefix + SCORES
    produce((REVISIONS, created(2)), (REVISIONS, created(3)), (SCORES, scored(3)))  # before it starts
    with LiftWingServer() as server:
        program = start(server)
        wait_for(lambda: len(records(topic)) == 2)
        produce((REVISIONS, created(4)))
        wait_for(lambda: len(records(topic)) == 3)
        program.send_signal(signal.SIGTERM)
        _, said = program.communicate(timeout=30)
        again = start(server, "--limit", "1")  # reads all of it again, and finds every score
        produce((REVISIONS, created(5)))
        again.communicate(timeout=60)

    assert (program.returncode, again.returncode) == (0, 0), said
    assert "Stopped." in said
    assert "2 scores" in said
    assert server.asked == [2, 4, 5]
    ours = [(key, json.loads(value)) for key, value in records(topic) if b"crowdpulse.liftwing" in value]
    assert {key for key, _ in ours} == {b"enwiki:7"}
    assert [event["revision"]["rev_id"] for _, event in ours] == [2, 4, 5]


@pytest.mark.stack
@pytest.mark.timeout(120)
def test_a_program_that_is_refused_ends_with_exit_code_2(prefix: str, start: Start) -> None:
    produce(*((REVISIONS, created(number)) for number in range(2, 12)))
    with LiftWingServer(*[FORBIDDEN] * 10) as server:
        program = start(server)
        _, said = program.communicate(timeout=60)

    assert program.returncode == 2
    assert "403: Wikimedia refuses clients" in said
    assert "Traceback" not in said
    assert records(prefix + SCORES) == []


def wait_for(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.1)
