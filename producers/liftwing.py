"""Scores of Wikimedia's public Lift Wing for revisions that nobody has scored -> Kafka topic `wiki_revert_risk`.

    python -m producers.liftwing --enable                  ask as revisions come, until it is stopped
    python -m producers.liftwing --enable --rate 2         at most two questions a second
    python -m producers.liftwing --enable --limit 100      end after 100 scores

Off unless it is asked for (`--enable`, or CROWDPULSE_LIFTWING=true), since it sends requests to a public service. It
reads `wiki_revision_create`, holds each edit of an article of a Wikipedia for a while, and asks the model
revertrisk-language-agnostic about those that have no score in `wiki_revert_risk` by then. An answer becomes an event of
the schema mediawiki/page/prediction_classification_change 1.1.0 with the stream `crowdpulse.liftwing`. Answers are kept
in a file, so no revision is asked about again. While the service is away nothing is written: those revisions stay
unscored.
Exit codes: 0 done or stopped, 1 Kafka could not be reached, 2 off, refused, or wrong input.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import orjson
import requests
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema

from connections import kafka_options
from producers._command_line import InputError, Progress, non_negative, positive, run, whole_number
from producers._kafka import KafkaUnavailable, Sender, sending
from producers._wikimedia_http import in_short, pause_seconds, retry_after, user_agent
from producers._wikimedia_streams import Event, key_of
from redaction import hide_secrets
from settings import settings

REVISIONS, SCORES = "wiki_revision_create", "wiki_revert_risk"
STREAM = "crowdpulse.liftwing"
# Anonymous clients may ask 15 times a second and 50,000 times an hour, that is 13.8 a second:
# https://api.wikimedia.org/wiki/Lift_Wing_API/Rate_limits
NOMINAL_RATE = 5.0
LARGEST_RATE = 13.0
AT_ONCE = 4
TRIES = 3
# A question is asked so long before the job stops waiting, at the latest: it may take its time-out, and Kafka a little.
ANSWER_SECONDS = 15
MOST_WAITING = 100_000
MOST_CACHED = 500_000

Key = tuple[str, int]  # the wiki's database and the revision's id
Fields = dict[str, Any]


class Revision(NamedTuple):
    """A revision that may be asked about: its event, its language, and its time in Unix seconds."""

    key: Key
    language: str
    time: float
    event: Fields


def revision_of(value: bytes) -> Revision | None:
    """The revision of an event mediawiki/revision/create; None where the model has no answer, or it is no such event.

    The model knows edits of articles (namespace 0) of Wikipedias, and needs the revision before: a new page has none.
    """
    event = _fields(value)
    meta = event.get("meta")
    domain = meta.get("domain") if isinstance(meta, dict) else None
    language, _, site = domain.partition(".") if isinstance(domain, str) else ("", "", "")
    moment = _time(event.get("rev_timestamp"))
    wiki, number = event.get("database"), event.get("rev_id")
    if (
        site != "wikipedia.org"
        or language.startswith("test")
        or event.get("page_namespace") != 0
        or moment is None
        or not isinstance(wiki, str)
        or not isinstance(event.get("page_title"), str)
        or not _is_id(number)
        or not _is_id(event.get("rev_parent_id"))
        or not _is_id(event.get("page_id"))
    ):
        return None
    return Revision((wiki, number), language, moment, event)


def scored_of(value: bytes) -> Key | None:
    """Which revision an event mediawiki/page/prediction_classification_change scores; None where it scores none."""
    event = _fields(value)
    revision = event.get("revision")
    number = revision.get("rev_id") if isinstance(revision, dict) else None
    wiki = event.get("wiki_id")
    if (
        not isinstance(wiki, str)
        or type(number) is not int
        or not isinstance(event.get("predicted_classification"), dict)
    ):
        return None
    return wiki, number


def question(revision: Revision) -> Fields:
    """What Lift Wing wants to be told.

    https://api.wikimedia.org/wiki/Lift_Wing_API/Reference/Get_reverted_risk_language_agnostic_prediction
    """
    return {"rev_id": revision.key[1], "lang": revision.language}


def classification(answer: object, revision_id: int) -> Fields | None:
    """The field `predicted_classification` of an answer; None for what is no answer about this revision.

    https://api.wikimedia.org/wiki/API_reference/Service/Lift_Wing/Revert_risk_score_object
    """
    if not isinstance(answer, dict) or not isinstance(output := answer.get("output"), dict):
        return None
    name, version, chances = answer.get("model_name"), answer.get("model_version"), output.get("probabilities")
    if (
        answer.get("revision_id") != revision_id
        or not isinstance(name, str)
        or not isinstance(version, str | int)
        or not isinstance(output.get("prediction"), bool)
        or not isinstance(chances, dict)
        or not all(type(chances.get(side)) in (int, float) and 0 <= chances[side] <= 1 for side in ("true", "false"))
    ):
        return None
    return {
        "model_name": name,
        "model_version": str(version),
        "predictions": [str(output["prediction"]).lower()],
        "probabilities": {"true": chances["true"], "false": chances["false"]},
    }


def event_of(revision: Revision, predicted: Fields) -> Event:
    """The event of an answer: the revision as page_change tells of it, with its own time, and what is predicted.

    Told again it has the same `meta.id`.
    """
    event = revision.event
    meta = event["meta"]
    by = event.get("performer")
    if not isinstance(by, dict):  # the performer of a suppressed revision is left out
        by = {}
    performer = _present(
        user_text=by.get("user_text"),
        user_id=by.get("user_id"),
        groups=by.get("user_groups"),
        is_bot=by.get("user_is_bot"),
        edit_count=by.get("user_edit_count"),
        registration_dt=by.get("user_registration_dt"),
    )
    fields = _present(
        comment=event.get("comment"),
        **{"$schema": "/mediawiki/page/prediction_classification_change/1.1.0"},
        meta=_present(
            stream=STREAM,
            domain=meta["domain"],
            uri=meta.get("uri"),
            request_id=meta.get("request_id"),
            id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{STREAM}/{revision.key[0]}/{revision.key[1]}")),
            dt=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        ),
        dt=event["rev_timestamp"],
        changelog_kind="update",
        page_change_kind="edit",
        wiki_id=revision.key[0],
        page=_present(
            page_id=event["page_id"],
            page_title=event["page_title"],
            namespace_id=event["page_namespace"],
            is_redirect=event.get("page_is_redirect"),
        ),
        performer=performer,
        revision=_present(
            rev_id=revision.key[1],
            rev_parent_id=event["rev_parent_id"],
            rev_dt=event["rev_timestamp"],
            rev_size=event.get("rev_len"),
            rev_sha1=event.get("rev_sha1"),
            is_minor_edit=event.get("rev_minor_edit"),
            comment=event.get("comment"),
            editor=performer,
        ),
        predicted_classification=predicted,
    )
    return Event(STREAM, key_of(fields), orjson.dumps(fields), time=event["rev_timestamp"])


def _fields(value: bytes) -> Fields:
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_id(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63


def _time(text: object) -> float | None:
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.timestamp() if found and found.tzinfo else None


def _present(**fields: object) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


class Cache:
    """Answers by wiki and revision, in a file; the oldest go when there are more than `most`.

    A revision that Lift Wing will never score is kept as None. Raises InputError for a file that cannot be used.
    """

    def __init__(self, file: Path, most: int = MOST_CACHED) -> None:
        self._file = file
        self._most = most
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(file, isolation_level=None)
            self._run("PRAGMA journal_mode=WAL")
            self._run("PRAGMA synchronous=NORMAL")
            self._run(
                "CREATE TABLE IF NOT EXISTS answers"
                " (number INTEGER PRIMARY KEY, wiki TEXT, revision INTEGER, answer BLOB,"
                " UNIQUE (wiki, revision))"
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from None

    def __contains__(self, key: Key) -> bool:
        return bool(self._run("SELECT 1 FROM answers WHERE wiki = ? AND revision = ?", *key))

    def __getitem__(self, key: Key) -> Fields | None:
        ((answer,),) = self._run("SELECT answer FROM answers WHERE wiki = ? AND revision = ?", *key)
        return orjson.loads(answer) if answer else None

    def __setitem__(self, key: Key, answer: Fields | None) -> None:
        packed = orjson.dumps(answer) if answer else None
        self._run("INSERT OR REPLACE INTO answers (wiki, revision, answer) VALUES (?, ?, ?)", *key, packed)
        self._run("DELETE FROM answers WHERE number <= (SELECT max(number) FROM answers) - ?", self._most)

    def close(self) -> None:
        self._database.close()

    def _run(self, statement: str, *values: object) -> list[Any]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> InputError:
        return InputError(
            f"The answers of Lift Wing cannot be kept in {self._file} ({error}): delete that file, or set"
            " CROWDPULSE_STATE_DIR to a folder that can be written."
        )


class Answer(NamedTuple):
    """What came of a question: the prediction; or None, and whether there will never be one; or why there is none."""

    predicted: Fields | None = None
    final: bool = True
    unknown_language: bool = False


class LiftWing:
    """The service, asked politely by several threads: never above the rate, and not at all while it is in trouble.

    `said` gets a sentence for everything that a person would want to know.
    """

    def __init__(
        self,
        url: str,
        *,
        user_agent: str,
        said: Callable[[str], None],
        rate: float = NOMINAL_RATE,
        timeout_seconds: float = 10,
        backoff_seconds: float = 1,
    ) -> None:
        self._url = url
        self.said = said
        self._pause_seconds = 1 / rate
        self._timeout = timeout_seconds
        self._backoff_seconds = backoff_seconds
        self._session = requests.Session()
        self._session.headers["User-Agent"] = user_agent
        self._lock = threading.Lock()
        self._next = 0.0  # when the next question may be asked, by the monotonic clock
        self._troubles = 0
        self._trouble_at = 0.0
        self._stopped = threading.Event()

    def ask(self, revision: Revision, until: float) -> Answer:
        """The answer about a revision, tried again while that makes sense, and not after `until` (Unix seconds).

        Raises InputError when the service refuses us for good.
        """
        tries = 0
        while tries < TRIES and (began := self._turn(until)):
            wait_seconds = None
            try:
                response = self._session.post(
                    self._url, json=question(revision), timeout=self._timeout, allow_redirects=False
                )
            except (InvalidURL, InvalidSchema, MissingSchema):
                raise InputError(f"{self._url} is no address: CROWDPULSE_LIFTWING_URL is wrong.") from None
            except requests.exceptions.RequestException as error:
                reason = f"cannot be reached ({in_short(error)})"
            else:
                status = response.status_code
                if status == 200:
                    predicted = classification(_fields(response.content), revision.key[1])
                    if predicted:
                        self._troubles = 0
                        return Answer(predicted)
                    reason = "answered with something that is no score"
                elif status in (400, 422):
                    # 422: the revision or the one before is deleted or hidden. 400: no such Wikipedia is known.
                    self._troubles = 0
                    return Answer(unknown_language=status == 400 and b"lang" in response.content)
                elif status == 429:
                    wait_seconds = retry_after(response.headers.get("Retry-After"))
                    tries -= 1
                    reason = "was told 429: too many requests from this address"
                elif status >= 500 or status == 408:
                    reason = f"was told {status}: the service is in trouble"
                else:
                    raise self._refused(status)
            tries += 1
            self._trouble(reason, wait_seconds, began)
        return Answer(final=False)

    def stop(self) -> None:
        """Ask nothing more; whoever waits for a turn goes away at once."""
        self._stopped.set()

    def _turn(self, until: float) -> float | None:
        """Wait until the rate and the last trouble allow a question: when that is (monotonic); None: too late."""
        while not self._stopped.is_set():
            left = until - time.time()
            if left <= 0:
                return None
            with self._lock:
                now = time.monotonic()
                if now >= self._next:
                    self._next = now + self._pause_seconds
                    return now
                ahead = self._next - now
            self._stopped.wait(min(ahead, left))
        return None

    def _trouble(self, reason: str, wait_seconds: float | None, began: float) -> None:
        """Let nobody ask for a while: as long as the service said, else ever longer while it goes on."""
        with self._lock:
            now = time.monotonic()
            pause = pause_seconds(self._troubles, self._backoff_seconds, wait_seconds)
            if began < self._trouble_at and not wait_seconds:
                return  # it was asked before the pause that another thread's trouble brought
            self._troubles += 1
            self._trouble_at = now
            self._next = max(self._next, now + pause)
        self.said(f"{self._url}: {reason}; asking again in {pause:.1f} s.")

    def _refused(self, status: int) -> InputError:
        if status in (401, 403):
            return InputError(
                f"{self._url} answered {status}: Wikimedia refuses clients that do not say who they are. Set"
                " CROWDPULSE_WIKIMEDIA_USER_AGENT to a name with an address, as its User-Agent policy asks."
            )
        return InputError(f"{self._url} answered {status}: check CROWDPULSE_LIFTWING_URL.")


class Asker:
    """Holds revisions until their scores should have come, and asks about those that have none.

    Feed it with `take`; `step` gives the scores that came meanwhile. What is older than `wait_seconds` is given up, and
    so is the oldest when more than `most` are held.
    """

    def __init__(
        self, service: LiftWing, cache: Cache, *, hold_seconds: float, wait_seconds: float, most: int = MOST_WAITING
    ) -> None:
        self.given_up = 0
        self.unanswerable = 0
        self._service = service
        self._cache = cache
        self._hold_seconds = hold_seconds
        self._wait_seconds = wait_seconds
        self._most = most
        self._held: OrderedDict[Key, tuple[float, Revision]] = OrderedDict()  # since when, oldest first
        self._asked: dict[Key, tuple[Revision, Future[Answer]]] = {}
        self._scored: OrderedDict[Key, None] = OrderedDict()  # the last ones, since a score may come first
        self._unknown_languages: set[str] = set()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="liftwing")

    def __len__(self) -> int:
        """How many revisions are held or asked about."""
        return len(self._held) + len(self._asked)

    def take(self, topic: str, value: bytes) -> None:
        """Hear of a revision or of a score."""
        if topic == SCORES:
            if key := scored_of(value):
                self._held.pop(key, None)
                self._remember(key)
        elif revision := revision_of(value):
            key = revision.key
            if key not in self._scored and key not in self._held and key not in self._asked:
                self._held[key] = (time.time(), revision)
                if len(self._held) > self._most:
                    self._held.popitem(last=False)
                    self.given_up += 1

    def step(self) -> Iterator[Event]:
        """Ask about what has been held long enough; the events of answers that are here."""
        yield from self._answers()
        now = time.time()
        while self._held:
            key, (since, revision) = next(iter(self._held.items()))
            late = now - revision.time > self._wait_seconds
            if not late and now - since < self._hold_seconds:
                return
            if late:
                self.given_up += 1
            elif revision.language in self._unknown_languages:
                self.unanswerable += 1
            elif key in self._cache:
                yield from self._told(revision, self._cache[key])
            elif len(self._asked) < AT_ONCE:
                until = revision.time + self._wait_seconds
                self._asked[key] = (revision, self._threads.submit(self._service.ask, revision, until))
            else:
                return
            self._held.pop(key, None)

    def close(self) -> Iterator[Event]:
        """Ask nothing more; the events of the answers to what was asked already, which may take as long as one may."""
        if self._asked:
            self._service.said(f"Waiting for {len(self._asked)} answers that were asked for.")
        self._service.stop()
        self._threads.shutdown(cancel_futures=True)
        for key, (_, future) in list(self._asked.items()):
            if future.cancelled() or future.exception():  # a refusal has been said before, or is too late to matter
                del self._asked[key]
        yield from self._answers()

    def _answers(self) -> Iterator[Event]:
        for key, (revision, future) in list(self._asked.items()):
            if not future.done():
                continue
            del self._asked[key]
            answer = future.result()
            if not answer.final:
                self.given_up += 1
                continue
            if answer.unknown_language:
                self._unknown_languages.add(revision.language)
            self._cache[key] = answer.predicted
            yield from self._told(revision, answer.predicted)

    def _told(self, revision: Revision, predicted: Fields | None) -> Iterator[Event]:
        if not predicted:
            self.unanswerable += 1
        elif revision.key not in self._scored:  # nobody else was faster
            self._remember(revision.key)
            yield event_of(revision, predicted)

    def _remember(self, key: Key) -> None:
        self._scored[key] = None
        if len(self._scored) > self._most:
            self._scored.popitem(last=False)


def scores(records: Iterable[tuple[str, bytes] | None], asker: Asker) -> Iterator[Event]:
    """The scores that are missing in these records (topic and value); None among them: nothing more for now."""
    for record in records:
        if record:
            asker.take(*record)
        else:
            yield from asker.step()


def kafka_records(since: float) -> Generator[tuple[str, bytes] | None]:
    """What comes into the two topics, from those of Unix time `since` on, for ever; None after each look.

    Raises KafkaUnavailable.
    """
    names = {settings().prefix + name: name for name in (REVISIONS, SCORES)}
    try:
        consumer = KafkaConsumer(
            **kafka_options(),
            enable_auto_commit=False,
            max_partition_fetch_bytes=4 * 1024 * 1024,  # more than the longest record that a topic takes
        )
        with closing(consumer):
            partitions = []
            for topic in names:
                if not (numbers := consumer.partitions_for_topic(topic)):
                    raise KafkaUnavailable(f"Kafka has no topic {topic}: `make up` creates it.")
                partitions += [TopicPartition(topic, number) for number in numbers]
            consumer.assign(partitions)
            found = consumer.offsets_for_times({partition: int(since * 1000) for partition in partitions})
            for partition in partitions:
                if begin := found.get(partition):
                    consumer.seek(partition, begin.offset)
                else:
                    consumer.seek_to_end(partition)
            while True:
                for partition, batch in consumer.poll(timeout_ms=100).items():
                    yield from ((names[partition.topic], record.value) for record in batch if record.value)
                yield None
    except KafkaError as error:
        raise KafkaUnavailable(f"Kafka cannot be read ({error}). Is it up? `make up` starts it.") from None


class LiftWingProgress(Progress):
    """Also tells of revisions that wait, were given up, or cannot be scored."""

    def __init__(self) -> None:
        super().__init__("scores")
        self.asker: Asker | None = None

    def __str__(self) -> str:
        if not self.asker:
            return super().__str__()
        return (
            f"{super().__str__()}, {len(self.asker):,} revisions wait, {self.asker.given_up:,} given up,"
            f" {self.asker.unanswerable:,} without an answer"
        )


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m producers.liftwing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--enable", action="store_true", help="ask the public service (or set CROWDPULSE_LIFTWING=true)")
    top.add_argument(
        "--rate",
        type=_rate,
        default=NOMINAL_RATE,
        metavar="R",
        help=f"questions a second at most, up to {LARGEST_RATE:g} (default: {NOMINAL_RATE:g})",
    )
    top.add_argument(
        "--hold-seconds",
        type=non_negative,
        default=20.0,
        metavar="S",
        help="how long a revision may wait for a score of somebody else (default: 20)",
    )
    top.add_argument("--limit", type=whole_number, default=0, metavar="N", help="stop after N scores (default: never)")
    top.add_argument(
        "--kafka-wait-seconds", type=non_negative, default=60.0, metavar="S", help="how long to wait for Kafka"
    )
    return top


def _rate(text: str) -> float:
    found = positive(text)
    if found > LARGEST_RATE:
        raise argparse.ArgumentTypeError(f"{text!r} is more than the {LARGEST_RATE:g} a second that the service allows")
    return found


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    progress = LiftWingProgress()
    return run(lambda: _ask(options, progress), progress)


def _ask(options: argparse.Namespace, progress: LiftWingProgress) -> None:
    if not (options.enable or settings().liftwing):
        raise InputError(
            "Lift Wing is off, since it sends requests to a public service: turn it on with --enable or"
            " CROWDPULSE_LIFTWING=true."
        )
    url = settings().liftwing_url
    agent = user_agent(url)
    wait_seconds = settings().wiki_score_wait_seconds - ANSWER_SECONDS
    if options.hold_seconds >= wait_seconds:
        raise InputError(
            f"--hold-seconds must be less than {wait_seconds}, that is CROWDPULSE_WIKI_SCORE_WAIT_SECONDS less the"
            f" {ANSWER_SECONDS} s that an answer may take: a score that comes later is not waited for."
        )
    with (
        closing(Cache(settings().state_dir / "liftwing.sqlite")) as cache,
        sending(options.kafka_wait_seconds, progress) as sender,
    ):
        service = LiftWing(url, user_agent=agent, said=progress.say, rate=options.rate)
        asker = Asker(service, cache, hold_seconds=options.hold_seconds, wait_seconds=wait_seconds)
        progress.asker = asker
        with closing(kafka_records(time.time() - wait_seconds)) as records:
            try:
                for event in scores(records, asker):
                    _send(event, sender, progress)
                    if progress.sent == options.limit:
                        break
            finally:
                # Also when stopped: answers that are here are sent.
                for event in asker.close():
                    _send(event, sender, progress)
                sender.flush()


def _send(event: Event, sender: Sender, progress: Progress) -> None:
    sender.send(SCORES, event.key, event.value)
    progress.event(event)


if __name__ == "__main__":
    hide_secrets(settings().secrets())
    sys.exit(main())
