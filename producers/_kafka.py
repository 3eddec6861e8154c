"""The one way in which producers send to Kafka."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from connections import kafka_options
from producers._command_line import Progress, Unavailable
from settings import settings

# What the topics take (stack/topics.yaml). What a job may read is less: a longer record is its dead letter.
MAX_REQUEST_BYTES = 2 * 1024 * 1024
# kafka-python keeps what is not sent yet without a bound; so that memory has one, we wait for Kafka this often.
MAX_UNSENT_BYTES = 32 * 1024 * 1024


class KafkaUnavailable(Unavailable):
    """Kafka does not answer or does not take what is sent; the message says what to do."""


class Sender:
    """Sends records and knows when Kafka has them all.

    Records of one key stay in order (idempotent, acks=all). Batches go out after 20 ms, so a slow stream is not held
    back and a fast one goes out in large requests. A record that is too long for Kafka is said, counted in `too_long`
    and left out: it would be too long on every try.
    """

    def __init__(self, wait_seconds: float = 60) -> None:
        """Connect; while no broker answers, wait and say so. Raises KafkaUnavailable after `wait_seconds`.

        A record for a topic that is not there waits as long, but at least 5 s: finding a topic takes its time.
        """
        servers = settings().kafka_bootstrap_servers
        deadline = time.monotonic() + wait_seconds
        said = False
        while True:
            try:
                self._producer = KafkaProducer(
                    **kafka_options(),
                    bootstrap_timeout_ms=5_000,
                    max_block_ms=int(max(wait_seconds, 5) * 1000),  # how long it looks for a topic
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=20,
                    batch_size=256 * 1024,
                    # Without `crc32c`, kafka-python sums up every byte in Python: fewer bytes are twice as fast.
                    compression_type=None if find_spec("crc32c") else "gzip",
                    max_request_size=MAX_REQUEST_BYTES,
                )
                break
            except KafkaError as error:
                if time.monotonic() >= deadline:
                    raise KafkaUnavailable(
                        f"No Kafka at {servers} within {wait_seconds:.0f} s ({error}). Start it with `make up`, or name"
                        " another in CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS."
                    ) from None
                if not said:
                    print(f"Waiting for Kafka at {servers} …", file=sys.stderr)
                    said = True
                time.sleep(1)
        self.too_long = 0
        self._failure: BaseException | None = None
        self._unsent_bytes = 0

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Hand a record over; it is with Kafka only after `flush`. Raises KafkaUnavailable for a refused record."""
        try:
            self._producer.send(settings().prefix + topic, key=key, value=value).add_errback(self._failed)
        except KafkaError as error:
            self._failed(error)
        self._unsent_bytes += len(value)
        if self._failure or self._unsent_bytes > MAX_UNSENT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Wait until Kafka has all that was handed over. Raises KafkaUnavailable when it did not take a record."""
        try:
            self._producer.flush(timeout=120)
            self._unsent_bytes = 0
        except KafkaError as error:
            self._failed(error)
        if self._failure:
            raise KafkaUnavailable(
                f"Kafka did not take a record ({type(self._failure).__name__}: {self._failure}). Is it up, and does the"
                " topic exist? `make up` starts the one and creates the other."
            )

    def close(self) -> None:
        self._producer.close(timeout=10)

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, MessageSizeTooLargeError):
            self.too_long += 1
            print(f"A record is too long for Kafka and was left out: {error}.", file=sys.stderr)
        else:
            self._failure = self._failure or error


@contextmanager
def sending(wait_seconds: float, progress: Progress) -> Iterator[Sender]:
    """A Sender that is closed at the end; then `progress` says how many records it left out, if any."""
    sender = Sender(wait_seconds)
    try:
        yield sender
    finally:
        sender.close()
        if sender.too_long:
            progress.say(f"{sender.too_long} records were too long for Kafka and were left out.")
