"""The ledger: what is claimed, answered, released, spent, expired and forgotten."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from udfs.providers.ledger import Content, Ledger, State, content_hash, person

ANN, BEN = person("ann"), person("ben")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CLAIMED = State(claimed=True)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "new folder/ledger.sqlite")
    yield opened
    opened.close()


def claim(ledger: Ledger, *contents: Content, max_units: int = 100, seconds: float = 60, **options: Any) -> list[State]:
    found = ledger.claim("aws", "sentiment", contents, max_units=max_units, seconds=seconds, **options)
    return [found[one.content] for one in contents]


def test_a_content_is_claimed_once_and_its_answer_is_kept_across_openings(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger, other = Ledger(path), Ledger(path)
    assert claim(ledger, Content("c", 3, {ANN})) == [CLAIMED]
    assert claim(other, Content("c", 3, {BEN}))[0].waits
    ledger.answer("aws", "sentiment", {"c": {"Sentiment": "MIXED"}})
    ledger.close()
    for reader in (other, Ledger(path)):
        assert claim(reader, Content("c", 3)) == [State(answer={"Sentiment": "MIXED"})]
        assert reader.spent() == 3
        reader.close()


def test_a_claim_that_nobody_answered_is_interrupted_and_sent_again_only_on_request(ledger: Ledger) -> None:
    claim(ledger, Content("c", 3), seconds=-1)
    assert claim(ledger, Content("c", 3)) == [State(reason="interrupted")]
    assert claim(ledger, Content("c", 3), send_again=True) == [CLAIMED]
    assert ledger.spent() == 6
    ledger.renew("aws", "sentiment", ["c"], -1)
    ledger.answer("aws", "sentiment", {"c": 1})  # its worker was merely slow
    assert claim(ledger, Content("c", 3), send_again=True) == [State(answer=1)]


def test_what_was_not_processed_is_free_again_what_was_refused_is_not(ledger: Ledger) -> None:
    claim(ledger, Content("free", 5, {ANN}), Content("kept", 7, {ANN}))
    ledger.release("aws", "sentiment", ["free"])
    ledger.refuse("aws", "sentiment", ["kept"], "timeout")
    assert ledger.spent() == 7
    assert ledger.state("aws", "sentiment", "free") is None
    assert claim(ledger, Content("free", 5), Content("kept", 7)) == [CLAIMED, State(reason="timeout")]


def test_releasing_keeps_links_of_what_is_known_for_another_task(ledger: Ledger) -> None:
    claim(ledger, Content("c", 3, {ANN}))
    ledger.claim("aws", "key_phrases", [Content("c", 3)], max_units=9, seconds=60)
    ledger.release("aws", "sentiment", ["c"])
    ledger.forget("ann", NOON)
    assert ledger.state("aws", "key_phrases", "c") is None


def test_what_is_to_be_forgotten_is_not_claimed(ledger: Ledger) -> None:
    ledger.forget("ann", NOON)
    noon = NOON.timestamp()
    forgotten = State(reason="forgotten")
    assert claim(
        ledger,
        Content("until then", 3, {ANN}, {ANN: noon}),
        Content("nobody knows when", 3, {ANN}),
        Content("after", 3, {ANN}, {ANN: noon + 1}),
        Content("of another", 3, {ANN, BEN}, {BEN: noon}),
    ) == [forgotten, forgotten, CLAIMED, CLAIMED]
    assert ledger.spent() == 6
    ledger.forget("ben", NOON)  # whom alone it was linked with
    assert ledger.state("aws", "sentiment", "of another") is None


def test_units_over_the_budget_of_the_day_are_not_claimed(ledger: Ledger) -> None:
    budget = State(reason="budget")
    assert claim(ledger, Content("a", 6), Content("b", 5), Content("c", 4), max_units=10) == [CLAIMED, budget, CLAIMED]
    assert claim(ledger, Content("b", 1), max_units=10) == [budget]
    ledger.release("aws", "sentiment", ["a"])
    assert claim(ledger, Content("b", 5), max_units=10) == [CLAIMED]
    assert (ledger.spent(), ledger.spent("2020-01-01")) == (9, 0)


def test_many_at_once_claim_each_content_once_within_the_budget(tmp_path: Path) -> None:
    ledgers = [Ledger(tmp_path / "ledger.sqlite") for _ in range(4)]
    start = threading.Barrier(4)

    def work(ledger: Ledger) -> list[str]:
        start.wait()
        mine = []
        for number in range(40):
            (state,) = claim(ledger, Content(str(number), 3), max_units=90)
            mine += [str(number)] if state.claimed else []
        return mine

    with ThreadPoolExecutor(4) as pool:
        claimed = [content for part in pool.map(work, ledgers) for content in part]
    assert sorted(claimed) == sorted(map(str, range(30)))
    assert ledgers[0].spent() == 90
    for ledger in ledgers:
        ledger.close()


def test_a_new_ledger_that_another_worker_is_making_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite itself does not wait before it changes a locked file to WAL."""
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with monkeypatch.context() as hasty:
            hasty.setattr("udfs.providers.ledger.BUSY_SECONDS", 0.1)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                Ledger(path)
        ends = threading.Timer(0.3, other.execute, ["COMMIT"])
        ends.start()
        Ledger(path).close()
        ends.join()


def test_forgetting_deletes_what_only_this_person_told_and_nothing_can_be_read_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    claim(ledger, Content("own", 3, {ANN}), Content("shared", 3, {ANN, BEN}), Content("other", 3, {BEN}))
    claim(ledger, Content("under way", 3, {ANN}))
    ledger.answer("aws", "sentiment", {name: f"words of {name}" for name in ("own", "shared", "other")})
    ledger.forget("ANN", NOON)
    ledger.answer("aws", "sentiment", {"under way": "words of under way"})  # came too late
    assert ledger.state("aws", "sentiment", "own") is None
    assert ledger.state("aws", "sentiment", "under way") is None
    assert ledger.state("aws", "sentiment", "shared") == State(answer="words of shared")
    assert ledger.forgotten_at("ann") == NOON
    assert ledger.forgotten_at("ben") is None
    ledger.forget("ann", NOON - timedelta(days=1))  # the later of the two counts
    assert ledger.forgotten_at("ann") == NOON
    ledger.forget("ben", datetime(2026, 1, 2, 13))  # without a zone it is UTC
    assert ledger.forgotten_at("Ben") == NOON + timedelta(hours=1)
    left = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    ledger.close()
    assert b"words of" not in left
    assert ANN.encode() in left  # the tombstone


def test_what_is_old_expires_but_tombstones_stay(ledger: Ledger) -> None:
    claim(ledger, Content("old", 3, {ANN}))
    ledger.forget("ben", NOON)
    time.sleep(0.01)
    between = datetime.now(UTC)
    time.sleep(0.01)
    claim(ledger, Content("new", 3, {ANN}))
    assert ledger.expire(between) == 1
    assert ledger.state("aws", "sentiment", "old") is None
    assert ledger.state("aws", "sentiment", "new") is not None
    assert ledger.forgotten_at("ben") == NOON


def test_hashes() -> None:
    assert content_hash("caf\u00e9") == content_hash("cafe\u0301")
    assert len({content_hash("a"), content_hash("a", "en"), content_hash("a", "de"), content_hash("b")}) == 4
    assert content_hash("\ud800")  # half a character
    assert person("Ann") == person("ann") != person("ben")
