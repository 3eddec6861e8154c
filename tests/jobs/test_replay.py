"""jobs/replay.py without Kafka: what is chosen, exported, edited and read back."""

from __future__ import annotations

import base64
import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.replay import InputError, batches, chosen, exported, main, parse, repaired


def letter(offset: int, value: bytes | None = b"{", **fields: Any) -> bytes:
    """A message as the JSON format writes a row of dead_letters."""
    return json.dumps(
        {
            "topic": "t", "partition": 0, "offset": offset, "record_time": "2026-01-01T00:00:00Z",
            "record_key": base64.b64encode(b"k").decode(), "reason": "not_json", "detail": "…", "job": "j",
            "record_value": None if value is None else base64.b64encode(value).decode(),
            "rejected_at": "2026-01-01T10:00:00.5Z",
        }
        | fields
    ).encode()  # fmt: skip


def test_a_message_is_read_with_its_bytes() -> None:
    record = parse(letter(5, b"\xff"))

    assert record is not None
    assert (record.coordinates, record.key, record.value) == ("t/0/5", b"k", b"\xff")
    assert record.kept_at == datetime(2026, 1, 1, 10, 0, 0, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        letter(1, record_value="%"),
        letter(1, rejected_at="today"),
        letter(2**63),
        letter(-(2**64)),
        letter(1, partition=float("inf")),
        letter(1, reason={"not": "hashable"}),
        letter(1, detail=5),
        letter(1, topic=None),
        letter(1, reason="half a character: \ud800"),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_a_message_that_is_no_kept_record_is_passed_over(message: bytes) -> None:
    assert parse(message) is None


def test_a_late_event_is_read_too() -> None:
    record = parse(letter(5, reason=None, rejected_at=None))

    assert record is not None
    assert (record.reason, record.kept_at) == ("late in j", datetime(2026, 1, 1, tzinfo=UTC))


def test_records_are_chosen_by_topic_time_and_reason_each_once_in_order() -> None:
    messages = [
        letter(9, b"nine"),
        letter(2),
        letter(9, b"nine"),  # written twice, as at-least-once does
        letter(3, topic="other"),
        letter(4, rejected_at="2025-12-31T23:59:59Z"),
        letter(5, reason="wrong_type"),
        b"garbage",
    ]

    for alike_once in (True, False):
        since = datetime(2026, 1, 1, tzinfo=UTC)
        records = chosen(messages, "t", since=since, reason="not_json", alike_once=alike_once)
        assert [record.offset for record in records] == [2, 9]


def test_what_failed_again_is_sent_once_but_mended_at_each_place() -> None:
    messages = [
        letter(7),  # 1, sent again and kept again, and of a partition that is read before that of 1
        letter(1),
        letter(8),
        letter(3, record_key=None),
        letter(4, b""),
        letter(5, None),
    ]

    assert [record.offset for record in chosen(messages, "t")] == [1, 3, 4, 5]
    assert [record.offset for record in chosen(messages, "t", alike_once=False)] == [1, 3, 4, 5, 7, 8]


def test_records_that_are_chosen_are_not_all_in_memory() -> None:
    size, count = 200_000, 200
    tracemalloc.start()
    try:
        found = sum(
            len(record.value or b"")
            for record in chosen((letter(n, b"%d" % n * size) for n in range(10, 10 + count)), "t")
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert found >= count * size
    assert peak < 20 * 3 * size


def test_what_is_exported_edited_and_read_back_keeps_key_and_place(tmp_path: Path) -> None:
    text, binary = parse(letter(1, '{"a": "é"'.encode())), parse(letter(2, b"\xff\x00"))
    assert text is not None
    assert binary is not None
    lines = [json.dumps(exported(record)) for record in (text, binary)]
    lines[0] = lines[0].replace('\\"a\\": \\"', '\\"b\\": \\"')
    file = tmp_path / "repair.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")

    first, second = repaired(file, "t")

    assert (first.value, first.key, first.coordinates) == ('{"b": "é"'.encode(), b"k", "t/0/1")
    assert second.value == b"\xff\x00"


PLACED = '{"topic": "t", "reason": "r", "value": "v", "partition": 0, "offset": '


@pytest.mark.parametrize(
    "line",
    [
        "{", "{}", '{"topic": "other"}', "[]", '{"topic": "t", "value": 5}', PLACED + '"next"}', PLACED + "Infinity}",
        pytest.param("[" * 100_000, id="deep"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_sent_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "repair.jsonl"
    file.write_text(line, encoding="utf-8")

    with pytest.raises(InputError, match="Line 1"):
        repaired(file, "t")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dead_letters"], "--topic"),
        (["dead_letters", "--topic", "t", "--since", "yesterday"], "no ISO time"),
        (["letters", "--topic", "t"], "invalid choice"),
        (["dead_letters", "--topic", "t", "--repaired", "f", "--reason", "r"], "not with --repaired"),
        (["dead_letters", "--topic", "t", "--dry-run", "--export", "f"], "not allowed with"),
    ],
)
def test_wrong_arguments_are_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert said in capsys.readouterr().err


def test_a_missing_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dead_letters", "--topic", "t", "--repaired", str(tmp_path / "none")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_a_file_of_other_bytes_is_said(tmp_path: Path) -> None:
    file = tmp_path / "repair.jsonl"
    file.write_bytes(b'{"topic": "caf\xe9"}')

    with pytest.raises(InputError, match="no UTF-8 from byte 14 on"):
        repaired(file, "t")


@pytest.mark.parametrize("value", ["a\u2028b\u2029c\u0085d".encode(), None])
def test_separators_of_unicode_and_tombstones_are_read_back(tmp_path: Path, value: bytes | None) -> None:
    record = parse(letter(1, value))
    assert record is not None
    file = tmp_path / "repair.jsonl"
    file.write_text(json.dumps(exported(record), ensure_ascii=False) + "\n", encoding="utf-8")

    (back,) = repaired(file, "t")

    assert back.value == value


def test_what_is_under_way_is_bounded_by_number_and_by_size() -> None:
    small = [record for record in map(parse, map(letter, range(2100))) if record]
    (large,) = [record for record in [parse(letter(1, b"x" * 2_000_000))] if record]

    assert [len(batch) for batch in batches(small)] == [1000, 1000, 100]
    assert [len(batch) for batch in batches([large] * 20)] == [17, 3]
    assert [record for batch in batches(small) for record in batch] == small
    assert list(batches([])) == []


def test_a_message_may_hold_brackets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "repair.jsonl"
    file.write_text('{"topic": "[/b]"}', encoding="utf-8")

    assert main(["dead_letters", "--topic", "t", "--repaired", str(file)]) == 2
    assert "of topic [/b]" in capsys.readouterr().err
