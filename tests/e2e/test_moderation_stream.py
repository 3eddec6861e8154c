"""Chat moderation on the real stack, without the service: what is decided hangs on the messages alone."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from kafka import KafkaConsumer, TopicPartition

from connections import kafka_options
from models.policy import Policy
from services.chat_log import ChatLog
from settings import settings
from stack import flink, jobs
from tests.e2e.conftest import Pipeline, restarts

pytestmark = [pytest.mark.stack, pytest.mark.timeout(800)]

TEXTS = (
    "good morning to all of you", "who has seen the match last night", "you are a stupid idiot and nobody wants you",
    "the train is late again", "buy it now, only today",
)  # fmt: skip
MESSAGES = 600
POLICIES = "moderation_policies"


@pytest.fixture
def chat(pipeline: Pipeline) -> Iterator[ChatLog]:
    log = ChatLog(pipeline.prefix)
    yield log
    log.close()


def records(pipeline: Pipeline, topic: str) -> list[dict[str, Any]]:
    """All records of a topic that have a value."""
    consumer = KafkaConsumer(**kafka_options())
    name = pipeline.prefix + topic
    places = [TopicPartition(name, number) for number in consumer.partitions_for_topic(name)]
    consumer.assign(places)
    ends = consumer.end_offsets(places)
    consumer.seek_to_beginning()
    found = []
    while any(consumer.position(place) < ends[place] for place in places):
        found += [json.loads(one.value) for batch in consumer.poll(500).values() for one in batch if one.value]
    consumer.close()
    return found


def key_of(one: Mapping[str, Any]) -> str:
    """The id of a message's document."""
    return f"{one['room']}|{one['message_id']}"


def decisions(pipeline: Pipeline) -> dict[str, set[str]]:
    """By message, what was decided of it, as JSON without the time of deciding: copies are one."""
    found: dict[str, set[str]] = {}
    for record in records(pipeline, "moderation_decisions"):
        told = json.dumps({name: value for name, value in record.items() if name != "decided_at"}, sort_keys=True)
        found.setdefault(key_of(record), set()).add(told)
    return found


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_replay_decides_the_same_and_a_policy_holds_from_its_time(
    pipeline: Pipeline, chat: ChatLog, tmp_path: Path
) -> None:
    default = yaml.safe_load(Policy.default().to_json())
    job = pipeline.start("moderation")
    first = chat.send_message(message(MESSAGES + 2)).result(30)  # an abusive one
    elsewhere = message(MESSAGES) | {"message_id": first["message_id"], "room": "elsewhere"}  # of its id, not the same
    pipeline.wait_for("the first decision", lambda: key_of(first) in decisions(pipeline), 120)
    for name, *options in (("strict", "--shadow"), ("strict",)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(json.dumps(default | {"version": name, "classes": {"toxic": {"hold": 0.0}}}), encoding="utf-8")
        said = pipeline.python("jobs.policy", "publish", str(file), *options)
        assert said.returncode == 0, said.stdout + said.stderr
    futures = [chat.send_message(elsewhere)]

    def talk() -> None:
        for number in range(MESSAGES):
            one = message(number)
            futures.append(chat.send_message(one))
            if number % 100 == 50:
                chat.send_message(one)  # said twice
            time.sleep(16 / MESSAGES)

    talking = threading.Thread(target=talk)
    talking.start()
    time.sleep(2)
    of = json.loads(next(iter(decisions(pipeline)[key_of(first)])))
    overturned = chat.send_feedback(
        {"feedback_id": str(uuid4()), "kind": "verdict", "verdict": "overturn", "moderator": "mo"}
        | {name: of[name] for name in ("message_id", "room", "user_name", "decision", "strike_points")}
        | {"message_time": of["server_time"], "minutes": None, "is_sampled": False}
    ).result(30)
    flink.kill_taskmanager()
    flink.start_taskmanager()
    talking.join()
    written = {key_of(one): one for one in [first, *(future.result(30) for future in futures)]}
    pipeline.wait_for("a decision of each message", lambda: decisions(pipeline).keys() == written.keys(), 150)
    pipeline.wait_for("its restart to be told", lambda: restarts(job) >= 1)
    pipeline.wait_for(
        "documents and the verdict",
        lambda: (
            pipeline.documents("moderation_messages").keys() == written.keys()
            and pipeline.documents("moderation_messages")[key_of(of)].get("verdict") == "overturn"
        ),
    )
    assert "verdict" not in pipeline.documents("moderation_messages")[key_of(elsewhere)]
    live = decisions(pipeline)
    jobs.cancel(pipeline.prefix + "moderation")

    pipeline.run("moderation")

    # The second run has written each decision once more: it is the same, so there is one of each message still.
    assert len(records(pipeline, "moderation_decisions")) >= 2 * len(written)
    assert decisions(pipeline) == live
    assert [sorted(told) for told in live.values() if len(told) > 1] == []
    told = {key: json.loads(next(iter(value))) for key, value in live.items()}
    policies = {(one["slot"], one["version"]): when(one["valid_from"]) for one in records(pipeline, POLICIES)}
    assert policies["champion", "strict"] - when(first["server_time"]) >= timedelta(seconds=10)
    versions: Counter[str] = Counter()
    for key, one in told.items():
        sent_at = when(written[key]["server_time"])
        in_force = "strict" if sent_at >= policies["champion", "strict"] else default["version"]
        assert one["policy_version"] == in_force
        assert one["decision"] == "hold" or in_force != "strict"
        assert one["shadow_policy_version"] == ("strict" if sent_at >= policies["shadow", "strict"] else None)
        assert one["shadow_decision"] == (one["shadow_policy_version"] and "hold")
        versions[in_force] += 1
    assert min(versions[name] for name in ("strict", default["version"])) > MESSAGES // 10
    assert not any(one["is_late"] for one in told.values())
    assert {one["copies"] for one in told.values()} == {1}
    struck = {key: one["strikes"] for key, one in told.items() if one["strike_points"]}
    assert struck == pytest.approx(strikes_of(told.values(), overturned), rel=0.001, abs=0.01)  # whole seconds
    minutes = pipeline.documents("moderation_metrics").values()
    assert sum(minute["messages"] for minute in minutes) == len(written)
    assert sum(minute["held"] for minute in minutes) == sum(one["decision"] == "hold" for one in told.values())
    assert pipeline.count("dead_letters") == pipeline.count("late_events") == 0


def message(number: int) -> dict[str, Any]:
    return {
        "message_id": str(uuid4()), "room": f"room {number % 5}", "user_name": f"user {number % 7}",
        "text": f"{TEXTS[number % len(TEXTS)]} {number}", "client_time": None,
    }  # fmt: skip


def strikes_of(told: Collection[dict[str, Any]], overturned: dict[str, Any]) -> dict[str, float]:
    """The strikes of each user with each message that struck: points that fade evenly over the setting's minutes.

    What was left of the one that was overturned is taken away from then on, and fades likewise.
    """
    fade = timedelta(minutes=settings().moderation_strike_minutes)

    def left(points: float, then: datetime, now: datetime) -> float:
        return points * (1 - (now - then) / fade)

    acts: dict[str, list[tuple[datetime, float, str | None]]] = {}
    for one in told:
        if one["strike_points"]:
            act = (when(one["server_time"]), one["strike_points"], key_of(one))
            acts.setdefault(one["user_name"], []).append(act)
    now = when(overturned["server_time"])
    pardon = -left(overturned["strike_points"], when(overturned["message_time"]), now)
    acts[overturned["user_name"]].append((now, pardon, None))
    return {
        key: max(0, sum(left(points, then, now) for then, points, _ in of_user if then <= now) / 1000)
        for of_user in acts.values()
        for now, _, key in of_user
        if key
    }
