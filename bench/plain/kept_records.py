"""jobs/kept_records.py by hand: a document per dead letter and per late event."""

from __future__ import annotations

from base64 import b64decode

from bench.plain._loop import Event, Writer, seconds_of

TEXT_CHARACTERS = 2000


class Loop:
    """The work, event by event."""

    topics = ("dead_letters", "late_events")
    time = "record_time"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def take(self, topic: str, event: Event, now: float) -> None:
        value = event.pop("record_value") or ""
        key = event.get("record_key")
        document = event | {
            "record_key": b64decode(key).decode(errors="replace") if key else None,
            "record_text": b64decode(value).decode(errors="replace")[:TEXT_CHARACTERS],
        }
        if topic == "dead_letters":
            document["record_value"] = value
        else:
            document["late_seconds"] = int(seconds_of(event["watermark"]) - seconds_of(event["event_time"]))
        self._writer.index(topic, f"{event['topic']}_{event['partition']}_{event['offset']}", document)
