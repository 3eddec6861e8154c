"""Records of streams and topics, as producers, the bridge and commands read them: used, or told to be none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson

from connectors.kinesis_bridge import message_of
from jobs import backtest, policy, replay
from models.monitor import is_readable, sent_at
from producers import liftwing, synthetic_wikimedia
from producers._command_line import Progress
from producers._wikimedia_streams import STREAMS, as_event

IS_JSON = True
MOST_BYTES = 8192
STREAM_NAMES = ("recentchange", "revision-create", "page-delete", "page_change", "revert-risk", "visibility-change")
TIME = "2026-01-02T12:00:00.000Z"


def seeds() -> Iterator[bytes]:
    for name in STREAM_NAMES:
        stream = next(one.name for one in STREAMS.values() if name in (one.name, one.alias, one.name[10:]))
        made = synthetic_wikimedia.events([stream], seed=1, start=datetime(2026, 1, 2, tzinfo=UTC), rate=10)
        yield from (event.value for event in islice(made, 2))
    chances = {"prediction": True, "probabilities": {"true": 0.9, "false": 0.1}}
    yield from map(
        orjson.dumps,
        (
            {"model_name": "m", "model_version": "3", "wiki_db": "enwiki", "revision_id": 7, "output": chances},
            {"message_id": "1", "room": "lobby", "user_name": "ann", "text": "hi", "client_time": TIME},
            decision(),
            verdict(),
            {"slot": "champion", "version": "1", "valid_from": TIME, "policy": '{"version": "1"}'},
            kept(),
            kept() | {"record_value": None, "reason": None, "rejected_at": None},
        ),
    )


def decision() -> dict[str, Any]:
    return {
        "message_id": "1", "room": "lobby", "user_name": "ann", "text": "hi", "server_time": TIME, "decision": "flag",
        "reasons": ["toxic"], "ngrams": ["hi"], "copies": 1, "burst": 2, "action": "warn", "strike_points": 1000,
        "model_version": "toxicity@1", "is_late": False, "toxic": 0.9, "muted_until": None,
    }  # fmt: skip


def verdict() -> dict[str, Any]:
    return {
        "feedback_id": "2", "kind": "verdict", "verdict": "overturn", "message_id": "1", "room": "lobby",
        "user_name": "ann", "moderator": "mod", "decision": "flag", "server_time": TIME,
    }  # fmt: skip


def kept() -> dict[str, Any]:
    return {
        "topic": "chat_messages", "partition": 0, "offset": 5, "record_time": TIME, "record_key": "a2V5",
        "record_value": "e30=", "reason": "not_json", "detail": "d", "job": "moderation", "rejected_at": TIME,
    }  # fmt: skip


def test(data: bytes) -> None:
    _event(data)
    _liftwing(data)
    _message(data)
    _decision(data)
    _policy(data)
    _kept(data)


def _event(data: bytes) -> None:
    event = as_event(data, None)
    assert event.value == data
    assert event.stream in STREAMS
    assert as_event(data, event.stream) == event
    assert event.key is None or event.key.partition(b":")[1] == b":"
    progress = Progress("events")
    progress.event(event)
    str(progress)


def _liftwing(data: bytes) -> None:
    scored = liftwing.scored_of(data)
    assert scored is None or (isinstance(scored[0], str) and type(scored[1]) is int)
    fields = liftwing._fields(data)
    predicted = liftwing.classification(fields, 7)
    if predicted:
        assert all(0 <= chance <= 1 for chance in predicted["probabilities"].values())
    revision = liftwing.revision_of(data)
    if revision:
        orjson.dumps(liftwing.question(revision))
        told = liftwing.event_of(revision, {"model_name": "m"})
        assert liftwing.scored_of(told.value) == revision.key
        assert told.key


def _message(data: bytes) -> None:
    message = message_of(data, "stream/shard/1")
    if message:
        assert message == message_of(json.dumps(message, ensure_ascii=False).encode(), "elsewhere")


def _decision(data: bytes) -> None:
    decided = backtest.parse(data)
    if decided:
        assert decided.seconds == decided.seconds
        assert all(isinstance(reason, str) for reason in decided.reasons)
        orjson.dumps([decided.message_id, decided.room, decided.user_name, decided.action, decided.model_version])
        float(decided.copies), float(decided.burst)
    for name, word in backtest.verdicts([data, data]).items():
        assert isinstance(name, str)
        assert word.pardoned_at is None or word.pardoned_at == word.pardoned_at
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    if is_readable(document):
        sent_at(document).astimezone(UTC)


def _policy(data: bytes) -> None:
    record = policy.record_of(data)
    if record:
        assert record.slot in ("champion", "shadow")
        assert policy._shown(record.valid_from).endswith("Z")
        assert isinstance(record.version, str)


def _kept(data: bytes) -> None:
    record = replay.parse(data)
    if record:
        line = json.dumps(replay.exported(record))
        assert json.loads(line)["topic"] == record.topic
        tally = replay.Tally([record])
        assert list(tally) == [record]
        tally.table("kept")
        list(replay.chosen([data, data], record.topic, record.kept_at))
