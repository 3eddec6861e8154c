"""The streams of Wikimedia EventStreams that are read: their names, topics and record keys."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson


class Stream(NamedTuple):
    """A stream: its name at EventStreams, the topic that it fills, what `meta.stream` says, and a short name."""

    name: str
    topic: str
    meta_stream: str
    alias: str = ""


STREAMS = {
    stream.name: stream
    for stream in (
        Stream("recentchange", "wiki_recentchange", "mediawiki.recentchange"),
        Stream("revision-create", "wiki_revision_create", "mediawiki.revision-create"),
        Stream("page-create", "wiki_page_create", "mediawiki.page-create"),
        Stream("page-delete", "wiki_page_delete", "mediawiki.page-delete"),
        Stream("page-move", "wiki_page_move", "mediawiki.page-move"),
        Stream("mediawiki.page_change.v1", "wiki_page_change", "mediawiki.page_change.v1", "page_change"),
        Stream("revision-score", "wiki_revision_score", "mediawiki.revision-score"),
        Stream(
            "mediawiki.page_revert_risk_prediction_change.v1",
            "wiki_revert_risk",
            "mediawiki.page_revert_risk_prediction_change.v1",
            "revert-risk",
        ),
        Stream(
            "mediawiki.page_outlink_topic_prediction_change.v1",
            "wiki_outlink_topics",
            "mediawiki.page_outlink_topic_prediction_change.v1",
            "outlink-topics",
        ),
        # Unlike its neighbours, this one has no name without `mediawiki.` at EventStreams.
        Stream(
            "mediawiki.revision-visibility-change",
            "wiki_visibility_change",
            "mediawiki.revision-visibility-change",
            "visibility-change",
        ),
    )
}
NAMES = {
    name: stream.name for stream in STREAMS.values() for name in (stream.name, stream.meta_stream, stream.alias) if name
}


class Event(NamedTuple):
    """An event as it came: the stream, Kafka's key, and the bytes of its data, whatever they are."""

    stream: str
    key: bytes | None
    value: bytes
    time: str | None = None
    canary: bool = False
    position: str | None = None


def as_event(value: bytes, stream: str | None, position: str | None = None, default: str = "recentchange") -> Event:
    """The event of these bytes; its stream is `stream`, else what `meta.stream` says, else `default`.

    Never fails: what is no event keeps its bytes and has no key, and is the reader's to reject.
    """
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        return Event(stream or default, None, value, position=position)
    meta = fields.get("meta")
    if not isinstance(meta, dict):
        meta = {}
    if stream is None:
        said = meta.get("stream")
        stream = NAMES.get(said, default) if isinstance(said, str) else default
    time = meta.get("dt")
    return Event(
        stream,
        key_of(fields),
        value,
        time=time if isinstance(time, str) else None,
        canary=meta.get("domain") == "canary",
        position=position,
    )


def key_of(fields: dict[str, Any]) -> bytes | None:
    """`wiki:page id`, or `wiki:title` where the event has no page id (recentchange); None where it has neither.

    The same page has the same key, hence the same partition of a topic, hence its events stay in order.
    """
    page = fields.get("page")
    if not isinstance(page, dict):
        page = fields
    wiki = fields.get("wiki") or fields.get("database") or fields.get("wiki_id")
    name = page.get("page_id") or fields.get("title") or page.get("page_title")
    if not isinstance(wiki, str) or not isinstance(name, str | int) or isinstance(name, bool):
        return None
    return f"{wiki}:{name}".encode(errors="replace")
