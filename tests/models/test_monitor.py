"""models/monitor.py: drift of generated chats scored with the real models, agreement, and what an alert does."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

import pytest

from models import monitor
from models.policy import Moderator, Policy
from services.elasticsearch import elasticsearch_client
from settings import settings
from tests.local_server import LocalServer, QuietHandler

COMMON = """
the a to is it and of in that you for on this we have my are so just not with was but be at what they there all if
can do good now one like about get more out really think time know from up how your today some when see want then
""".split()  # noqa: SIM905
GARDEN = """
garden soil tomato seeds rain spring leaves roots compost shed spade flowers bees pruning apple pear plum hedge lawn
grass weeds harvest basket pumpkin beans onions carrots beetroot sunflower tulip bulbs frost greenhouse pots watering
mulch worms snails robin blackbird hedgehog path fence gate bench shade sunshine ripe juicy planting digging raking
""".split()  # noqa: SIM905
ENGINE = """
engine gearbox clutch piston exhaust tyre brake pedal torque diesel garage wrench spark plug battery oil filter axle
bumper bonnet mirror chassis wheel rim nut bolt radiator coolant leak noise idle mileage motorway overtake lane speed
driver pit lap circuit corner podium turbo valve cylinder fuel pump gasket welding rust paint inspection towing
""".split()  # noqa: SIM905
RUDE = ["you are a worthless idiot", "nobody wants you here", "shut up you stupid fool", "what a pathetic loser"]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
Message = dict[str, Any]


@pytest.fixture(scope="module")
def moderator() -> Moderator:
    return Moderator.load()


def chat(
    moderator: Moderator, seed: int, words: list[str], count: int, start: datetime = NOON, hours: int = 6
) -> list[Message]:
    """`count` decided messages of 30 users, each with favourites among the words (Zipf); a few are rude."""
    chance = random.Random(seed)
    texts, users = [], []
    favourites = {user: chance.sample(words, 5) for user in range(30)}
    zipf = {of: list(accumulate(1 / rank for rank in range(1, number + 1))) for of, number in
            (("common", len(COMMON)), ("topic", len(words)))}  # fmt: skip
    for _ in range(count):
        user = min(int(chance.expovariate(0.15)), 29)
        length = max(2, min(25, round(chance.lognormvariate(1.9, 0.5))))
        said = [
            chance.choices(COMMON, cum_weights=zipf["common"])[0]
            if chance.random() < 0.5
            else chance.choice(favourites[user])
            if chance.random() < 0.2
            else chance.choices(words, cum_weights=zipf["topic"])[0]
            for _ in range(length)
        ]
        texts.append(" ".join([*said, *([chance.choice(RUDE)] if chance.random() < 0.05 else [])]))
        users.append(f"user {user}")
    times = sorted(start + timedelta(hours=hours * chance.random()) for _ in texts)
    judged = moderator.judge(texts, ["room"] * count, Policy.default())
    return [
        {
            "message_id": f"{seed}-{start:%d%H}-{number}",
            "room": "room",
            "user_name": user,
            "text": text,
            "server_time": time.isoformat().replace("+00:00", "Z"),
            "decision": one.decision,
            "reasons": one.reasons,
            **{name: (one.probabilities or {}).get(name) for name in ("toxic", "removed", "bullying")},
            "cyberbullying": one.cyberbullying,
            "sentiment": one.sentiment,
            "language": one.language,
            "copies": 1,
            "model_version": one.model_version,
        }
        for number, (text, user, time, one) in enumerate(zip(texts, users, times, judged, strict=True))
    ]


def alerts(reference: list[Message], current: list[Message]) -> set[str]:
    return {result.metric for result in monitor.drift(reference, current) if result.value > result.threshold}


def test_a_switched_vocabulary_is_found_and_an_unchanged_one_hardly_ever(moderator: Moderator) -> None:
    found, false = 0, []
    for seed in range(20):
        before = chat(moderator, 3 * seed, GARDEN, 400)
        found += "vocabulary" in alerts(before, chat(moderator, 3 * seed + 1, ENGINE, 150, NOON + timedelta(hours=6)))
        false.append(alerts(before, chat(moderator, 3 * seed + 2, GARDEN, 150, NOON + timedelta(hours=6))))

    assert found == 20
    assert sum(map(bool, false)) <= 1, false


def test_messages_of_one_user_are_one_piece_of_evidence(moderator: Moderator) -> None:
    before = chat(moderator, 1, GARDEN, 400)
    now = chat(moderator, 2, GARDEN, 150, NOON + timedelta(hours=6))
    other = [one | {"user_name": "fan"} for one in chat(moderator, 3, ENGINE, 250, NOON + timedelta(hours=6), hours=1)]

    assert alerts(before, now + other) == set()
    assert "vocabulary" in alerts(before, now + [one | {"user_name": str(at)} for at, one in enumerate(other)])


def test_scores_of_different_models_are_not_compared(moderator: Moderator) -> None:
    before, now = chat(moderator, 1, GARDEN, 200), chat(moderator, 2, GARDEN, 150, NOON + timedelta(hours=6))
    scored = {"score_psi", "score_wasserstein", "label"}
    assert scored < {result.metric for result in monitor.drift(before, now)}
    of_new = [one | {"model_version": "new"} for one in now]
    assert not scored & {result.metric for result in monitor.drift(before, of_new)}


def judged(decision: str, verdict: str, count: int, version: str = "m1", **fields: object) -> list[Message]:
    message = {"decision": decision, "verdict": verdict, "model_version": version, "decision_at_verdict": decision}
    return [message | fields] * count


def test_agreement_with_moderators_is_estimated_with_intervals() -> None:
    verdicts = [
        *judged("flag", "uphold", 24, reasons=["toxic"]),
        *judged("hold", "uphold", 6, reasons=["spam"]),
        *judged("flag", "overturn", 10, reasons=["toxic", "bullying"]),
        *judged("allow", "overturn", 5, is_sampled=True),
        *judged("allow", "uphold", 45, is_sampled=True),
        *judged("allow", "overturn", 30),  # not by chance: tells nothing of the others
        *judged("flag", "overturn", 9, decision_at_verdict="unscored"),  # was not flagged when it was looked at
        *judged("flag", "uphold", 9, decision_at_verdict=None),  # the job was away
        *judged("allow", "overturn", 9, decision_at_verdict=None, is_sampled=True),
        *judged("flag", "uphold", 5, "m2", reasons=["toxic"]),
        *judged("flag", "overturn", 25, "m2", reasons=["toxic"]),
        *judged("allow", "overturn", 10, "m2", is_sampled=True),
        *judged("allow", "uphold", 9, "m2", is_sampled=True),
    ]
    decided = {("m1", "allow"): 900, ("m1", "flag"): 90, ("m1", "hold"): 10, ("m2", "flag"): 30, ("m2", "allow"): 70}
    window = monitor.Window(NOON, NOON, [], verdicts, decided)

    found = {(one["metric"], one["item"], one["model_version"]): one for one in monitor.agreement(window)}

    expected = {  # value, lower, upper (Wilson's, by hand), verdicts, alert
        ("flag_precision", None, "m1"): (0.75, 0.5981, 0.8581, 40, False),
        ("flag_precision", None, "m2"): (1 / 6, 0.0734, 0.3356, 30, True),
        ("flag_precision", "bullying", None): (0.0, 0.0, 0.2775, 10, False),  # surely low, but of few verdicts
        ("flag_precision", "spam", None): (1.0, 0.6097, 1.0, 6, False),
        ("missed_share", None, "m1"): (0.1, 0.0435, 0.2136, 50, False),
        ("missed_share", None, "m2"): (10 / 19, 0.3171, 0.7267, 19, False),
        ("missed_share", None, None): (15 / 69, 0.1366, 0.3283, 69, True),
        ("miss_rate", None, "m1"): (90 / 165, 39.15 / 124.96, 192.2 / 252.0, 90, False),
    }
    for key, (value, lower, upper, verdicts_of, alert) in expected.items():
        one = found[key]
        assert [one["value"], one["lower"], one["upper"]] == pytest.approx([value, lower, upper], abs=5e-4), key
        assert (one["current_messages"], one["is_alert"]) == (verdicts_of, alert), key


class Webhook(QuietHandler):
    """Takes what is posted, after the answers in `refusals`."""

    refusals: ClassVar[list[int]] = []
    bodies: ClassVar[list[Message]] = []

    def do_POST(self) -> None:
        self.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.refusals.pop(0) if self.refusals else 204)
        self.send_header("Location", "/elsewhere")  # where a redirect would lead
        self.end_headers()


Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path, moderator: Moderator) -> Written:
    """`written(words)`: a file of six hours about the garden and three about these words."""

    def file(words: list[str], count: int = 150) -> Path:
        path = tmp_path / f"decided{count}.jsonl"
        now = chat(moderator, 2, words, count, NOON + timedelta(hours=6), hours=3)
        path.write_text("".join(json.dumps(one) + "\n" for one in chat(moderator, 1, GARDEN, 400) + now))
        return path

    return file


WINDOWS = ["--hours", "3", "--reference-hours", "6", "--until", "2026-01-02T21:00Z"]


@pytest.mark.parametrize(
    ("refusals", "requests", "told"),
    [([], 1, ""), ([503, 429], 3, ""), ([500] * 3, 3, "HTTP 500"), ([404], 1, "HTTP 404"), ([302], 1, "HTTP 302")],
)
def test_an_alert_is_logged_posted_and_in_the_exit_code(
    refusals: list[int],
    requests: int,
    told: str,
    written: Written,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.monitor.time.sleep", lambda _: None)
    handler: Any = type("Handler", (Webhook,), {"refusals": refusals, "bodies": []})
    with LocalServer(handler) as server:
        options = ["--source", str(written(ENGINE)), "--report", str(tmp_path), "--webhook", f"{server.address}/secret"]
        assert monitor.main([*options, *WINDOWS]) == 3

    assert len(handler.bodies) == requests
    body = handler.bodies[-1]
    assert "vocabulary" in [alert["metric"] for alert in body["alerts"]]
    assert "vocabulary is 0." in body["text"]
    assert "vocabulary is 0." in caplog.text
    assert ("did not take the alerts" in caplog.text) is bool(told)
    assert told in caplog.text
    assert "secret" not in caplog.text


def test_without_drift_nobody_is_told_and_what_was_compared_is_printed(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(GARDEN)
    options = ["--source", str(path), "--report", str(tmp_path / "reports"), "--webhook", "http://127.0.0.1:1"]

    assert monitor.main([*options, *WINDOWS]) == 0

    out = capsys.readouterr().out
    assert "Current 2026-01-02T18:00:00.000Z to 2026-01-02T21:00:00.000Z: 150 messages." in out
    assert "ALERT" not in out
    reports = list((tmp_path / "reports").glob("*.html"))
    if find_spec("evidently"):
        page = reports[0].read_text(encoding="utf-8")
        assert "text_length" in page
        assert "user 1" not in page
    else:
        assert reports == []
        assert "make training-environment" in out


def test_repeats_alone_are_compared_by_their_decisions(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(ENGINE)
    said = [json.loads(line) | {"copies": 2} for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(one) + "\n" for one in said))

    assert monitor.main(["--source", str(path), "--report", str(tmp_path), *WINDOWS]) == 0

    out = capsys.readouterr().out
    assert "decision_share of allow is" in out
    assert "vocabulary" not in out
    assert "Texts are not compared" in out
    assert "Scores are not compared" in out


def test_too_few_messages_and_wrong_input_are_said(
    written: Written, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, empty = tmp_path / "wrong.jsonl", tmp_path / "empty.jsonl"
    wrong.write_text('{"text": "no time"}\n')
    empty.write_text("")
    one = {"message_id": "m", "server_time": "2026-01-02T12:00:00.000Z", "text": "hello", "decision": "allow"}
    unlike: list[Message] = [
        {"server_time": "0001-01-01T00:00:00+05:00"},  # before the year 1 in UTC
        {"server_time": 5},
        {"reasons": 5},
        {"reasons": ["toxic", 5]},
        {"model_version": 5},
        {"user_name": ["ann"]},
        {"message_id": None},
    ]
    assert monitor.readable([one, *(one | fields for fields in unlike)]) == [one]
    lines = [tmp_path / f"unlike{number}.jsonl" for number in range(len(unlike))]
    for path, fields in zip(lines, unlike, strict=True):
        path.write_text(json.dumps(one | fields) + "\n")
        assert monitor.main(["--source", str(path)]) == 2
        assert "line 1 is no decided message" in capsys.readouterr().err
    cases = {
        "The current window has too few messages: 50 by ": [str(written(GARDEN, 50)), *WINDOWS],
        "line 1 is no decided message": [str(wrong)],
        "holds no decided message": [str(empty)],
        "before the year 1": [str(written(GARDEN)), "--reference-hours", "1e8"],
        "No such file": [str(tmp_path / "none.jsonl")],
        "ends (2026-01-02T21:00:00.000Z) before it begins": [
            str(written(GARDEN)),
            *WINDOWS[4:],
            "--since",
            "2026-01-03",
        ],
    }
    for told, arguments in cases.items():
        assert monitor.main(["--source", *arguments]) == 2
        assert told in capsys.readouterr().err


@pytest.mark.stack
@pytest.mark.skipif(not find_spec("pyflink"), reason="the tests with the stack run in .venv")
def test_figures_are_written_once_and_the_same_windows_write_them_over(
    moderator: Moderator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from stack import elasticsearch

    prefix = f"test-{uuid.uuid4().hex[:8]}."
    monkeypatch.setattr(monitor, "settings", lambda: settings().model_copy(update={"prefix": prefix}))
    elasticsearch.put_templates()
    messages = chat(moderator, 1, GARDEN, 400) + chat(moderator, 2, ENGINE, 150, NOON + timedelta(hours=6), hours=3)
    verdict = {"verdict": "uphold", "verdict_at": NOON.isoformat(), "moderator": "ann", "is_sampled": True}
    with elasticsearch_client(30) as client:
        try:
            assert monitor.main(["--report", str(tmp_path), *WINDOWS]) == 2  # no index yet
            actions = [
                operation
                for number, one in enumerate(messages)
                for operation in (
                    {"index": {"_id": one["message_id"]}},
                    one | (verdict | {"decision_at_verdict": one["decision"]} if number % 5 == 0 else {}),
                )
            ]
            assert not client.bulk(index=f"{prefix}moderation_messages", operations=actions, refresh=True)["errors"]

            for _ in range(2):
                assert monitor.main(["--report", str(tmp_path), *WINDOWS]) == 3
                client.indices.refresh(index=f"{prefix}model_monitoring")
                hits = client.search(index=f"{prefix}model_monitoring", size=1000)["hits"]["hits"]
                found = [hit["_source"] for hit in hits]
                assert len({(one["metric"], one["item"], one["model_version"]) for one in found}) == len(found)

            (words,) = [one for one in found if one["metric"] == "vocabulary"]
            assert words["is_alert"]
            assert (words["current_messages"], words["reference_messages"]) == (150, 400)
            assert {one["metric"] for one in found} > {"flag_precision", "missed_share", "decision_share", "score_psi"}
        finally:
            elasticsearch.delete_indices(prefix)
