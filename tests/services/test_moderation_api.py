"""The API by its own description: no input gives an error of the server; and how long one text takes."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.schemas import BaseSchema

from models.policy import Moderator, Policy
from stack import kafka
from tests.moderation_service import Job, Service

load_all_checks()
CHECKED: Any = CHECKS.get_by_names(
    ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
)
KNOWN = {"message_id": "6f1c7a52-8f0e-4d0b-9a51-3f0c2f6d7f10", "user_name": "bob/mute ?"}


@pytest.fixture(scope="module")
def service(running_stack: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With a message that is decided, of a user whose name has to be encoded in an address."""
    prefix = f"test-{uuid.uuid4().hex[:8]}."
    kafka.create_topics(prefix)
    running = Service(prefix, tmp_path_factory.mktemp("api"), {"CROWDPULSE_MODERATION_RATE_LIMIT": "10000000"})
    job = Job(prefix)
    with running.join("den", KNOWN["user_name"]) as bob:
        bob.send("Hello", KNOWN["message_id"])
        job.decides(bob.hear("message")["message"], "flag")
        bob.hear("decision")
    yield running
    job.producer.close()
    said = running.stop()
    kafka.delete_topics(prefix)
    assert "Traceback" not in said, said


@pytest.fixture(scope="module")
def api(service: Service) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


OPERATIONS = [
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/readyz"),
    ("DELETE", "/v1/session"),
    ("GET", "/v1/session"),
    ("POST", "/v1/session"),
    ("POST", "/v1/classify"),
    ("GET", "/v1/models"),
    ("GET", "/v1/queue"),
    ("GET", "/v1/messages/{message_id}"),
    ("POST", "/v1/verdicts"),
    ("GET", "/v1/users/{user_name}"),
    ("DELETE", "/v1/users/{user_name}/mute"),
    ("POST", "/v1/users/{user_name}/mute"),
]


@pytest.mark.stack
def test_every_operation_is_fuzzed(api: BaseSchema) -> None:
    paths = api.raw_schema["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == set(OPERATIONS)


@pytest.mark.stack
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_input_is_an_error_of_the_server(api: BaseSchema, method: str, path: str) -> None:
    operation = api[path][method]
    takes_something = bool(operation.body or operation.path_parameters or operation.query)
    modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if takes_something else [])]

    @given(case=st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes]))
    @settings(
        max_examples=60 if takes_something else 5,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def fuzz(case: Case[Any]) -> None:
        case.call_and_validate(checks=CHECKED)
        if case.path_parameters:
            case.path_parameters = {name: quote(KNOWN[name], safe="") for name in case.path_parameters}
            case.call_and_validate(checks=CHECKED)
        elif isinstance(case.body, dict) and "message_id" in case.body:
            case.body = case.body | {"message_id": KNOWN["message_id"]}
            case.call_and_validate(checks=CHECKED)

    fuzz()


@pytest.mark.stack
@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'{"text": 7}', b'{"text": "a", "texts": ["b"]}', b"{}", b'{"texts": []}',
        b'{"text": "\\ud800"}', b'{"text": NaN}', b'{"text": "\xff"}', b'{"text": ' + b"9" * 5000 + b"}",
        b"[" * 100_000, b'{"texts": ' + b'["a"' + b', "a"' * 1000 + b"]}", b'{"text": "a", "room": ""}',
    ],
)  # fmt: skip
def test_what_is_no_request_is_told_so(service: Service, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{service.url}/v1/classify", data=body, headers=headers, timeout=10)
    assert answer.status_code in (400, 422)
    assert list(answer.json()) == ["detail"]
    assert isinstance(answer.json()["detail"], str)


@pytest.mark.stack
def test_a_thousand_texts_are_each_judged_as_if_alone(service: Service) -> None:
    texts = [*_texts(random.Random(3), 997), "", "\x00\u202e", "🙂"]
    together = service.ask("POST", "/v1/classify", json={"texts": texts})["results"]
    assert len(together) == 1000
    for number in (0, 500, *range(990, 1000)):
        alone = service.ask("POST", "/v1/classify", json={"text": texts[number]})["results"]
        scores = [each.pop("scores") or {} for each in (alone[0], together[number])]
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)  # sums of floats differ with the size of a batch
        means = [each.pop("sentiment") or 0 for each in (alone[0], together[number])]
        assert means[0] == pytest.approx(means[1], abs=1e-5)
        assert alone == [together[number]]


def test_one_text_takes_less_than_10_ms() -> None:
    """The 99th percentile of the processor time of this thread, which is what one core gives."""
    moderator, policy = Moderator.load(), Policy.default()
    taken = []
    for text in _texts(random.Random(7), 1000):
        began = time.thread_time()
        (judged,) = moderator.judge([text], ["den"], policy)
        taken.append(time.thread_time() - began)
        assert judged.decision in ("allow", "flag", "hold")
    assert sorted(taken)[990] < 0.010


def _texts(chance: random.Random, number: int) -> list[str]:
    """Sentences of about 4 to 300 words, some rude."""
    words = ["you are", "a worthless idiot", "nobody wants", "here today", "I think that", "the weather", "was nice"]
    return [" ".join(chance.choices(words, k=chance.choice([2, 5, 10, 20, 150]))) for _ in range(number)]
