"""The one way in which producers send to Kafka."""

from __future__ import annotations

import sys
import time

from kafka import KafkaProducer
from kafka.errors import KafkaError

from settings import settings

MAX_REQUEST_BYTES = 4 * 1024 * 1024


class KafkaUnavailable(Exception):
    """Kafka does not answer or does not take what is sent; the message says what to do."""


class Sender:
    """Sends records and knows when Kafka has them all.

    Records of one key stay in order (idempotent, acks=all). Batches go out after 20 ms, so a slow stream is not held
    back and a fast one goes out in large requests.
    """

    def __init__(self, wait_seconds: float = 60) -> None:
        """Connect; while no broker answers, wait and say so. Raises KafkaUnavailable after `wait_seconds`."""
        servers = settings().kafka_bootstrap_servers
        deadline = time.monotonic() + wait_seconds
        said = False
        while True:
            try:
                self._producer = KafkaProducer(
                    bootstrap_servers=servers,
                    bootstrap_timeout_ms=5_000,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=20,
                    batch_size=256 * 1024,
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
        self._failure: BaseException | None = None

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Hand a record over; it is with Kafka only after `flush`. Raises KafkaUnavailable for a refused record."""
        try:
            self._producer.send(settings().prefix + topic, key=key, value=value).add_errback(self._failed)
        except KafkaError as error:
            self._failed(error)
        if self._failure:
            self.flush()

    def flush(self) -> None:
        """Wait until Kafka has all that was handed over. Raises KafkaUnavailable when it did not take a record."""
        try:
            self._producer.flush(timeout=120)
        except KafkaError as error:
            self._failed(error)
        if self._failure:
            raise KafkaUnavailable(f"Kafka did not take a record: {self._failure}.")

    def close(self) -> None:
        self._producer.close(timeout=10)

    def _failed(self, error: BaseException) -> None:
        self._failure = self._failure or error
