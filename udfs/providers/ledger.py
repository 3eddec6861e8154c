"""What was sent to a provider that costs money, its answers, what was spent, who is forgotten: one SQLite file.

All workers of a machine, also those in several containers that share the file's folder by a volume, use it at once (WAL
mode, which needs one kernel: no network file system). It holds no text that was sent, no user name (only hashes) and no
credential; the answers of key phrases are words of the text.

A content is sent at most once: a claim is written before it is sent, the answer in its place afterwards. A claim tells
until when its request can last. One that has passed that time without an answer was left by a worker that ended; nobody
can know whether it was paid, so it stays, and the content is `interrupted`, unless it is asked to be sent again. (A
time and no process id or heartbeat: it is right in every container, needs no thread, and a worker that is merely slow
still writes its answer.) What was surely not processed is released, and may be sent the next time.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BUSY_SECONDS = 30  # so long others that write are waited for

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    provider TEXT, task TEXT, content TEXT,
    answer TEXT,             -- JSON; null: under way, or not to be known
    reason TEXT,             -- why there will be no answer
    until REAL NOT NULL,     -- the request of this claim is over then
    units INTEGER NOT NULL, day TEXT NOT NULL,
    written REAL NOT NULL,
    PRIMARY KEY (provider, task, content)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS contents ON answers (content);
CREATE TABLE IF NOT EXISTS links (person TEXT, content TEXT, PRIMARY KEY (person, content)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS linked ON links (content);
CREATE TABLE IF NOT EXISTS spent (day TEXT PRIMARY KEY, units INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS forgotten (person TEXT PRIMARY KEY, at REAL NOT NULL);
"""


@dataclass
class Content:
    """What is to be asked: its hash, what asking costs, whose it is (hashes of `person`).

    told: when each of these told it last, in seconds since 1970; left out: unknown.
    """

    content: str
    units: int
    persons: set[str] = field(default_factory=set)
    told: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """What is known of a content: an answer; or a reason why there is none; or that it is ours to send (claimed); or
    none of these: another worker has sent it and waits for its answer."""

    answer: Any = None
    reason: str | None = None
    claimed: bool = False

    @property
    def waits(self) -> bool:
        return self.answer is None and self.reason is None and not self.claimed


def content_hash(text: str, language: str = "") -> str:
    """sha256, in hex, of a text (as NFC) and of the language where that is a parameter of the question."""
    text = unicodedata.normalize("NFC", text)
    return hashlib.sha256(f"{language}\0{text}".encode("utf-8", "replace")).hexdigest()


def person(username: str) -> str:
    """sha256, in hex, of a user name in lower case."""
    return hashlib.sha256(username.lower().encode("utf-8", "replace")).hexdigest()


class Ledger:
    """The file at `path`, made if it is not there. Its methods may be called by several threads.

    Every method raises sqlite3.Error when the file cannot be read or written; opening it also OSError.
    """

    def __init__(self, path: str | Path) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        """Make what is not there. A change to WAL does not wait for others that open the file, so this does."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
                self._db.executescript(_SCHEMA)
                return
            except sqlite3.OperationalError as error:
                code = error.sqlite_errorcode & 0xFF  # without what extends it
                if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > end:
                    raise
            time.sleep(0.02)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone among all workers."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def claim(
        self,
        provider: str,
        task: str,
        contents: Sequence[Content],
        *,
        max_units: int,
        seconds: float,
        send_again: bool = False,
    ) -> dict[str, State]:
        """What is known of each content, by its hash; what nothing is known of is claimed for so many seconds.

        The units of what is claimed are reserved in the same step; what would be more than max_units of today (UTC) is
        not claimed: reason `budget`. Each content is noted as told of its persons; not of those of whom it is to be
        forgotten, and if that is all of them, it is not claimed: reason `forgotten`.
        """
        now = time.time()
        day = _day(now)
        states = {}
        with self._writing() as db:
            spent = self._spent(day)
            for one in contents:
                persons = [name for name in one.persons if not self._is_forgotten(name, one.told.get(name))]
                if one.persons and not persons:
                    states[one.content] = State(reason="forgotten")
                    continue
                key = (provider, task, one.content)
                row = db.execute(
                    "SELECT answer, reason, until FROM answers WHERE provider = ? AND task = ? AND content = ?", key
                ).fetchone()
                state = _state(row, now) if row else None
                if state is None or (state.reason is not None and send_again):
                    if spent + one.units > max_units:
                        states[one.content] = State(reason="budget")
                        continue
                    spent += one.units
                    values = (*key, None, None, now + seconds, one.units, day, now)
                    db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
                    state = State(claimed=True)
                links = [(name, one.content) for name in persons]
                db.executemany("INSERT OR IGNORE INTO links VALUES (?, ?)", links)
                states[one.content] = state
            db.execute("INSERT OR REPLACE INTO spent VALUES (?, ?)", (day, spent))
        return states

    def renew(self, provider: str, task: str, contents: Sequence[str], seconds: float) -> None:
        """Claims of ours last so many seconds from now."""
        self._update("until = ?", time.time() + seconds, provider, task, contents)

    def answer(self, provider: str, task: str, answers: Mapping[str, Any]) -> None:
        """The answers of what was claimed, by hash; not kept for what was forgotten in the meantime."""
        rows = [(json.dumps(answer), provider, task, content) for content, answer in answers.items()]
        with self._writing() as db:
            db.executemany(
                "UPDATE answers SET answer = ?, reason = NULL WHERE provider = ? AND task = ? AND content = ?", rows
            )

    def refuse(self, provider: str, task: str, contents: Sequence[str], reason: str) -> None:
        """What was claimed has no answer and is not sent again, for this reason."""
        self._update("reason = ?", reason, provider, task, contents)

    def release(self, provider: str, task: str, contents: Sequence[str]) -> None:
        """What was claimed was not processed: it may be sent again, and its units are free again."""
        with self._writing() as db:
            for content in contents:
                where = "FROM answers WHERE provider = ? AND task = ? AND content = ? AND answer IS NULL"
                key = (provider, task, content)
                for units, day in db.execute(f"SELECT units, day {where}", key).fetchall():
                    db.execute("UPDATE spent SET units = units - ? WHERE day = ?", (units, day))
                db.execute(f"DELETE {where}", key)
                db.execute(
                    "DELETE FROM links WHERE content = ? AND NOT EXISTS (SELECT 1 FROM answers WHERE content = ?)",
                    (content, content),
                )

    def state(self, provider: str, task: str, content: str) -> State | None:
        """What is known of a content now; None: nothing, its claim may have been released."""
        key = (provider, task, content)
        with self._lock:
            row = self._db.execute(
                "SELECT answer, reason, until FROM answers WHERE provider = ? AND task = ? AND content = ?", key
            ).fetchone()
        return _state(row, time.time()) if row else None

    def spent(self, day: str | None = None) -> int:
        """The units spent on a day (2026-01-31, UTC), by default today."""
        with self._lock:
            return self._spent(day or _day(time.time()))

    def forget(self, username: str, at: datetime) -> None:
        """Delete what is known of this person alone and note that all told up to this time is to be forgotten."""
        who = person(username)
        with self._writing() as db:
            db.execute(
                "DELETE FROM answers WHERE content IN (SELECT content FROM links WHERE person = ?)"
                " AND content NOT IN (SELECT content FROM links WHERE person <> ?)",
                (who, who),
            )
            db.execute("DELETE FROM links WHERE person = ?", (who,))
            db.execute(
                "INSERT INTO forgotten VALUES (?, ?) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
                (who, _utc(at).timestamp()),
            )
        self._truncate()

    def forgotten_at(self, username: str) -> datetime | None:
        """Up to when what was told of this person is to be forgotten; None: nothing is."""
        with self._lock:
            row = self._db.execute("SELECT at FROM forgotten WHERE person = ?", (person(username),)).fetchone()
        return datetime.fromtimestamp(row[0], UTC) if row else None

    def expire(self, before: datetime) -> int:
        """Delete what was asked before this time; how many answers that were. Tombstones stay."""
        moment = _utc(before).timestamp()
        with self._writing() as db:
            deleted = db.execute("DELETE FROM answers WHERE written < ?", (moment,)).rowcount
            db.execute("DELETE FROM spent WHERE day < ?", (_day(moment),))
            db.execute("DELETE FROM links WHERE content NOT IN (SELECT content FROM answers)")
        self._truncate()
        return deleted

    def _spent(self, day: str) -> int:
        row = self._db.execute("SELECT units FROM spent WHERE day = ?", (day,)).fetchone()
        return int(row[0]) if row else 0

    def _update(self, change: str, value: object, provider: str, task: str, contents: Sequence[str]) -> None:
        with self._writing() as db:
            db.executemany(
                f"UPDATE answers SET {change} WHERE provider = ? AND task = ? AND content = ? AND answer IS NULL",
                [(value, provider, task, content) for content in contents],
            )

    def _is_forgotten(self, person: str, told: float | None) -> bool:
        row = self._db.execute("SELECT at FROM forgotten WHERE person = ?", (person,)).fetchone()
        return row is not None and (told is None or told <= row[0])

    def _truncate(self) -> None:
        """What was deleted is not left in the log of changes either, unless someone reads just now."""
        with self._lock, closing(self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")) as cursor:
            cursor.fetchall()


def _state(row: tuple[str | None, str | None, float], now: float) -> State:
    answer, reason, until = row
    if answer is not None:
        return State(answer=json.loads(answer))
    return State(reason=reason or ("interrupted" if now > until else None))


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
