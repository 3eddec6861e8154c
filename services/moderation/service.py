"""What the routes share: the state, the models, Kafka and the counters.

One event loop holds the state (`Chat`); a thread reads Kafka and hands its records to the loop; one thread scores
texts, another hands records to Kafka's client.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, HTTPException
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from models.policy import Judgement, Moderator, Policy
from models.runtime import Model
from services.chat_log import ChatLog, NotWritten
from services.moderation.access import Buckets, Keys
from services.moderation.chat import Chat, Event, Json, Record, now
from services.moderation.reader import Reader
from services.moderation.sockets import Sockets
from settings import settings

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each

SWEEP_SECONDS = 0.2
FORGET_SECONDS = 30
FEEDBACK_SECONDS = 5.0  # how long an answer waits until its event was read back
TOGETHER_CHARACTERS = 16_000  # of texts that are scored in one go, so that others get their turn between
LATENCIES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)

logger = logging.getLogger(__name__)


class Metrics:
    """What Prometheus reads; counted since this process has read the history."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"moderation_{name}", what, labels, registry=registry)

        self.messages = counter("messages", "Chat messages read.")
        self.decisions = counter("decisions", "Decisions read.", "decision", "model_version")
        self.classified = counter("classified", "Texts classified by the API.", "decision")
        self.requests = counter("requests", "Requests.", "path", "status")
        self.refused = counter("refused", "Requests and messages refused.", "reason")
        self.sockets = Gauge("moderation_websockets", "Open WebSockets.", ["path"], registry=registry)
        self.latency = Histogram(
            "moderation_decision_seconds",
            "From a message's server time to its decision here.",
            buckets=LATENCIES,
            registry=registry,
        )


class Service:
    """What the routes share."""

    def __init__(self, models: Mapping[str, Model], keys: Keys) -> None:
        self.models, self.keys = models, keys
        self.moderator = Moderator(models)
        self.moderator.score(["Quelle belle journée"])  # what is loaded with the first text
        self.metrics = Metrics()
        self.chat = Chat(
            Policy.default(),
            history_minutes=max(settings().moderation_history_minutes, settings().moderation_strike_minutes),
            strike_minutes=settings().moderation_strike_minutes,
            unscored_seconds=settings().moderation_unscored_seconds,
            review_share=settings().moderation_review_share,
        )
        self.buckets = Buckets(settings().moderation_rate_limit)
        self.sockets = Sockets(self.chat, self.metrics.sockets)
        self._scoring = ThreadPoolExecutor(1, "moderation-scoring")
        self._writing = ThreadPoolExecutor(1, "moderation-writing")
        self._awaited: dict[str, asyncio.Event] = {}  # by feedback_id
        self.sending: set[str] = set()  # message_ids that were not read back yet
        self.judging: set[str] = set()  # message_ids of which a verdict is being written
        self.reader: Reader

    @asynccontextmanager
    async def running(self, _app: FastAPI) -> AsyncIterator[None]:
        """Read Kafka and watch the clock for as long as the application runs."""
        loop = asyncio.get_running_loop()
        since = now() - self.chat.history

        def deliver(records: list[Record]) -> None:
            taken: Future[None] = asyncio.run_coroutine_threadsafe(self._take(records), loop)
            taken.result()

        self.reader = Reader(deliver, since)
        self.reader.start()
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await sweeping
            await asyncio.to_thread(self.reader.stop)
            self._scoring.shutdown()
            self._writing.shutdown()

    @property
    def is_ready(self) -> bool:
        """Whether the history is read and Kafka answers."""
        return self.reader.has_history and self.reader.is_alive_now

    async def judge(self, texts: Sequence[str], room: str, policy: Policy) -> list[Judgement]:
        """Judges texts by a policy, in their order."""
        judged: list[Judgement] = []
        begin = characters = 0
        loop = asyncio.get_running_loop()
        for end in range(1, len(texts) + 1):
            characters += len(texts[end - 1])
            if characters >= TOGETHER_CHARACTERS or end == len(texts):
                some = texts[begin:end]
                judged += await loop.run_in_executor(
                    self._scoring, self.moderator.judge, some, [room] * len(some), policy
                )
                begin, characters = end, 0
        return judged

    def log(self) -> ChatLog:
        """Where to write. Raises NotWritten when Kafka is away."""
        if not self.is_ready or self.reader.log is None:
            raise NotWritten("The chat's log does not answer. It is tried again: send it once more in a moment.")
        return self.reader.log

    async def send(self, message: Json, done: Callable[[Future[Json]], None]) -> None:
        """Write a message; `done` is called, in the loop, when Kafka has it or has not taken it.

        Raises NotWritten when Kafka is away.
        """
        identity, loop, log = message["message_id"], asyncio.get_running_loop(), self.log()
        self.sending.add(identity)

        def ended(written: Future[Json]) -> None:
            if written.exception():
                self.sending.discard(identity)
            done(written)

        # In a thread of its own, since Kafka's client may wait; one, so that a room's messages stay in order.
        written = await loop.run_in_executor(self._writing, log.send_message, message)
        written.add_done_callback(lambda future: loop.call_soon_threadsafe(ended, future))

    async def feedback(self, fields: Json) -> None:
        """Write an event of a moderator, and wait until it was read back. Raises HTTPException 503."""
        identity = str(uuid.uuid4())
        nothing = dict.fromkeys(
            ("verdict", "message_id", "room", "message_time", "decision", "strike_points", "minutes")
        )
        self._awaited[identity] = read = asyncio.Event()
        try:
            event = {"feedback_id": identity, **nothing, "is_sampled": False, **fields}
            written = await asyncio.get_running_loop().run_in_executor(self._writing, self.log().send_feedback, event)
            await asyncio.wrap_future(written)
            with suppress(TimeoutError):  # it is written, and will be read
                await asyncio.wait_for(read.wait(), FEEDBACK_SECONDS)
        except NotWritten as error:
            raise HTTPException(503, str(error)) from None
        finally:
            del self._awaited[identity]

    async def _take(self, records: list[Record]) -> None:
        is_live = self.reader.has_history
        events = self.chat.apply(records)
        self.sending.difference_update(each.message.message_id for each in events if each.message)
        if is_live:
            self._count(events)
            self.sockets.tell(events, now())
        else:
            self.chat.sweep(now())  # so that whoever joins as soon as the history is read sees what is overdue
        for identity in [each for each in self._awaited if self.chat.has_feedback(each)]:
            self._awaited[identity].set()

    def _count(self, events: list[Event]) -> None:
        for event in events:
            if event.kind == "message":
                self.metrics.messages.inc()
            elif event.is_from_job and event.message:
                decision = self.chat.decision_of(event.message) or {}
                self.metrics.decisions.labels(decision.get("decision"), decision.get("model_version")).inc()
                self.metrics.latency.observe(max(0, now() - event.message.time) / 1000)

    async def _sweep(self) -> None:
        forgotten = time.monotonic()
        try:
            while True:
                await asyncio.sleep(SWEEP_SECONDS)
                events = self.chat.sweep(now())
                if self.reader.has_history:
                    self.sockets.tell(events, now())
                if time.monotonic() - forgotten > FORGET_SECONDS:
                    self.chat.forget(now())
                    forgotten = time.monotonic()
        except Exception:
            logger.exception("The clock is not watched any more, the service ends:")
            os._exit(1)
