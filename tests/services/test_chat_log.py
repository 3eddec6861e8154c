"""services/chat_log.py on a real Kafka: order, times, ticks, and what happens when a record is not taken."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from connections import kafka_options
from services import chat_log
from services.chat_log import ChatLog, NotWritten
from settings import settings
from stack import kafka

pytestmark = pytest.mark.timeout(120)

TICK_MS = 50


@pytest.fixture
def prefix() -> Iterator[str]:
    """Topics of this test's own."""
    own = f"test-{uuid.uuid4().hex[:8]}."
    kafka.create_topics(own)
    yield own
    kafka.delete_topics(own)


@pytest.fixture
def log(prefix: str) -> Iterator[ChatLog]:
    opened = ChatLog(prefix, TICK_MS)
    yield opened
    opened.close()


def partitions(topic: str) -> dict[int, list[Any]]:
    """The records of each partition, in their order."""
    consumer = KafkaConsumer(**kafka_options())
    try:
        assigned = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(assigned)
        consumer.seek_to_beginning(*assigned)
        ends = consumer.end_offsets(assigned)
        found: dict[int, list[Any]] = defaultdict(list)
        deadline = time.monotonic() + 30
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            assert time.monotonic() < deadline, f"{topic} could not be read within 30 s"
            for partition, batch in consumer.poll(timeout_ms=200).items():
                found[partition.partition] += batch
        return found
    finally:
        consumer.close()


def milliseconds(server_time: str) -> int:
    assert len(server_time) == len("2026-01-02T03:04:05.678Z")
    assert server_time.endswith("Z")
    return round(datetime.fromisoformat(server_time).timestamp() * 1000)


@pytest.mark.stack
def test_many_threads_write_and_in_no_partition_time_falls_or_stands_still(log: ChatLog, prefix: str) -> None:
    rooms = ["lobby", "games", "日本", "room 4"]
    sent: dict[str, list[Any]] = {}

    def talk(name: str) -> None:
        sent[name] = [
            log.send_message({"message_id": f"{name}-{number}", "room": rooms[number % 3], "text": "hello 👋"})
            for number in range(400)
        ]

    threads = [threading.Thread(target=talk, args=(f"user{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    feedback = log.send_feedback({"feedback_id": "f", "user_name": "ann", "room": None}).result(timeout=30)
    written = {name: [future.result(timeout=30) for future in futures] for name, futures in sent.items()}
    time.sleep(5 * TICK_MS / 1000)
    log.close()

    found = partitions(prefix + "chat_messages")
    assert sorted(found) == [0, 1, 2, 3]
    for records in [*found.values(), *partitions(prefix + "moderation_feedback").values()]:
        times = [record.timestamp for record in records]
        assert times == sorted(times)
        ticks = [record.timestamp for record in records if record.value is None]
        assert all(record.key is None for record in records if record.value is None)
        assert len(ticks) >= 3  # of the silence at the end
        assert max(later - earlier for earlier, later in pairwise(times)) < 1_000
    messages = [record for records in found.values() for record in records if record.value is not None]
    for record in messages:
        value = json.loads(record.value)
        assert milliseconds(value["server_time"]) == record.timestamp
        assert value["room"].encode() == record.key
    read = [json.loads(record.value) for record in messages]
    for name, records in written.items():
        for room in rooms:  # complete, and in the order in which a thread sent it
            assert [value for value in read if value["message_id"].startswith(name) and value["room"] == room] == [
                value for value in records if value["room"] == room
            ]
    (told,) = [r for rs in partitions(prefix + "moderation_feedback").values() for r in rs if r.value is not None]
    assert (told.key, json.loads(told.value)) == (b"ann", feedback)


@pytest.mark.stack
def test_the_partition_of_a_key_is_that_of_other_producers(log: ChatLog, prefix: str) -> None:
    producer = KafkaProducer(**kafka_options())
    theirs = {}
    for key in [f"room {number}".encode() for number in range(12)]:
        theirs[key] = producer.send(prefix + "chat_messages", b"theirs", key).get(timeout=30).partition
        log.send_raw(key, b"\x00ours").result(timeout=30)
    producer.close()

    ours = {r.key: n for n, rs in partitions(prefix + "chat_messages").items() for r in rs if r.value == b"\x00ours"}
    assert ours == theirs
    assert len(set(ours.values())) == 4


def test_a_clock_that_is_put_back_makes_no_time_fall_or_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = chat_log._Partition("chat_messages", 0)
    start, hour = 1_767_355_200_000, 3_600_000
    rows = (  # wall clock and monotonic clock in ms since the start, expected time
        (0, 0, 0),
        (1_000, 1_000, 1_000),
        (1_000 - hour, 1_000, 1_000),  # put back at once
        (2_000 - hour, 2_000, 1_900),  # behind: it goes on, a tenth slower
        (12_000 - hour, 12_000, 10_900),
        (10_950, 12_050, 10_950),  # set right: nine tenths on would be 10_945
        (20_000, 12_060, 20_000),  # put forward: it follows
        (19_000, 12_060, 20_000),
        (29_000 + 1_000, 32_060, 38_000),  # 20 s later, 8 s behind
        (110_000, 112_060, 110_000),  # and 80 s after that they have met
    )
    for wall, monotonic, expected in rows:
        monkeypatch.setattr(time, "time_ns", lambda wall=wall: (start + wall) * 1_000_000)
        monkeypatch.setattr(time, "monotonic", lambda monotonic=monotonic: 5.0 + monotonic / 1000)
        assert abs(partition.now() - start - expected) <= 1, (wall, monotonic)


@pytest.mark.stack
def test_close_tells_the_time_after_the_last_message(prefix: str) -> None:
    log = ChatLog(prefix, tick_ms=10_000)
    last = milliseconds(log.send_message({"room": "lobby"}).result(timeout=30)["server_time"])
    log.close()
    ended = time.time_ns() // 1_000_000
    log.close()

    for topic in ("chat_messages", "moderation_feedback"):
        for records in partitions(prefix + topic).values():
            assert last + settings().chat_out_of_order_ms < records[-1].timestamp <= ended
            assert records[-1].value is None


@pytest.mark.stack
def test_what_is_not_written_is_said(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotWritten, match=r"no topics nowhere\.chat_messages .* `make up`"):
        ChatLog("nowhere.")

    monkeypatch.setattr(chat_log, "ACKNOWLEDGED_SECONDS", 2)
    log = ChatLog(prefix, TICK_MS)
    with pytest.raises(ValueError, match="surrogates not allowed"):
        log.send_message({"room": "lobby", "text": "\ud800"}).result(timeout=1)
    with pytest.raises(NotWritten, match="Send it again"):
        log.send_raw(b"lobby", b"x" * (3 << 20)).result(timeout=1)
    kafka.delete_topics(prefix)
    with pytest.raises(NotWritten, match=r"no answer within 2 s|KafkaTimeoutError"):
        log.send_message({"room": "lobby"}).result(timeout=30)
    kafka.create_topics(prefix)
    deadline = time.monotonic() + 30
    while True:
        try:
            log.send_message({"room": "lobby", "text": "here again"}).result(timeout=30)
            break
        except NotWritten:
            assert time.monotonic() < deadline, "the topics are back, and nothing is written"
    burst = [log.send_message({"room": f"room {number % 9}", "text": "here again"}) for number in range(500)]
    assert all(future.result(timeout=30) for future in burst), "what was given up is no reason to give up more"
    log.close()
    found = partitions(prefix + "chat_messages")
    assert [json.loads(r.value)["text"] for rs in found.values() for r in rs if r.value] == ["here again"] * 501
