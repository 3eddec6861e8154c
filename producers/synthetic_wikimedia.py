"""Generated events of Wikimedia's streams: they fit the public JSON Schemas, and nothing in them is copied.

`events(...)` is a pure iterator. What an event says depends on the seed and its number alone; the clock only shifts the
times, so `--seed 1` tells the same story on every run.
"""

from __future__ import annotations

import itertools
import random
import uuid
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

import orjson

from producers._wikimedia_streams import STREAMS, as_event

Fields = dict[str, Any]

OUT_OF_ORDER_SECONDS = 5.0
LATE_SECONDS = 900.0
CANARY_SHARE = 0.001
NOMINAL_RATE = 50.0  # events/s, about what the public stream has

# Wiki, host, share of the events, words that its titles are made of.
_LATIN = ("River", "Stone", "Orchard", "Harbor", "Meridian", "Lantern", "Quarry", "Willow")
_WIKIS: list[tuple[str, str, float, Sequence[str]]] = [
    ("wikidatawiki", "www.wikidata.org", 22, ()),
    ("commonswiki", "commons.wikimedia.org", 18, ("Bridge", "Market", "Tower", "Field")),
    ("enwiki", "en.wikipedia.org", 16, _LATIN),
    ("dewiki", "de.wikipedia.org", 5, ("Fluss", "Brücke", "Garten", "Hafen", "Straße")),
    ("frwiki", "fr.wikipedia.org", 5, ("Rivière", "Forêt", "Église", "Marché")),
    ("eswiki", "es.wikipedia.org", 4, ("Montaña", "Río", "Camino", "Peña")),
    ("ruwiki", "ru.wikipedia.org", 4, ("Река", "Мост", "Озеро", "Сад")),
    ("jawiki", "ja.wikipedia.org", 3, ("川", "橋", "庭園", "港町")),
    ("zhwiki", "zh.wikipedia.org", 3, ("河流", "桥梁", "花园", "港口")),
    ("viwiki", "vi.wikipedia.org", 3, ("Sông", "Cầu", "Vườn", "Cảng")),
    ("arwiki", "ar.wikipedia.org", 2, ("نهر", "جسر", "حديقة")),
    ("itwiki", "it.wikipedia.org", 2, ("Fiume", "Ponte", "Giardino")),
    ("ptwiki", "pt.wikipedia.org", 2, ("Rio", "Ponte", "Jardim")),
    ("svwiki", "sv.wikipedia.org", 2, ("Älv", "Bro", "Trädgård")),
    ("ukwiki", "uk.wikipedia.org", 1.5, ("Річка", "Міст", "Сад")),
    ("kowiki", "ko.wikipedia.org", 1.2, ("강", "다리", "정원")),
    ("cswiki", "cs.wikipedia.org", 1, ("Řeka", "Most", "Zahrada")),
    ("hewiki", "he.wikipedia.org", 1, ("נהר", "גשר", "גן")),
    ("dawiki", "da.wikipedia.org", 0.7, ("Å", "Bro", "Have")),
    ("etwiki", "et.wikipedia.org", 0.6, ("Jõgi", "Sild", "Aed")),
    ("kywiki", "ky.wikipedia.org", 0.5, ("Дарыя", "Көпүрө", "Бак")),
    ("elwiki", "el.wikipedia.org", 0.5, ("Ποταμός", "Γέφυρα", "Κήπος")),
    ("hiwiki", "hi.wikipedia.org", 0.5, ("नदी", "पुल", "बाग")),
    ("simplewiki", "simple.wikipedia.org", 0.4, _LATIN),
    ("enwiktionary", "en.wiktionary.org", 1.2, ("lantern", "quarrying", "overbridge")),
    ("frwiktionary", "fr.wiktionary.org", 0.5, ("rivière", "pont")),
    ("dewikisource", "de.wikisource.org", 0.3, ("Seite", "Register")),
    ("metawiki", "meta.wikimedia.org", 0.4, ("Grants", "Meetings")),
    ("specieswiki", "species.wikimedia.org", 0.3, ("Lapidaria", "Fluviatilia")),
    ("testwiki", "test.wikipedia.org", 0.1, ("Sandbox",)),
]
_BOTS = tuple(f"{name}Bot" for name in (
    "Ferry", "Ledger", "Tidy", "Compass", "Beacon", "Sieve", "Almanac", "Courier", "Thimble", "Anvil",
    "Gable", "Marlin", "Pivot", "Rivet", "Sable", "Tinder", "Umber", "Vellum", "Wicker", "Zephyr",
))  # fmt: skip
_NAMES = ("Aster", "Briar", "Cedar", "Delphine", "Ember", "Fjord", "Ginkgo", "Hazel", "Iris", "Juniper", "Кедр", "桜")
_COMMENTS = (
    "", "", "fixed a link", "typo", "added a source", "/* History */ new section", "reworded the lead", "rv",
    "grammar", "+ category", "/* Sources */ dead link", "undid an edit without a source", "обновлено", "опечатка",
    "出典を追加", "誤字修正", "增加来源", "出处", "출처 추가", "Zahlen ergänzt", "Tippfehler", "correction d’une date",
    "orthographe", "thêm nguồn", "sửa lỗi chính tả", "булак кошулду", "stavning", "kirjaviga", "překlep", "stavefejl",
    "إضافة مصدر", "הוספת מקור", "स्रोत जोड़ा",
)  # fmt: skip
_PEOPLE_TYPES = (("edit", 62.0), ("new", 3.0), ("categorize", 27.0), ("log", 7.0), ("external", 0.8), ("142", 0.2))
_BOT_TYPES = (("edit", 80.0), ("new", 4.0), ("categorize", 15.0), ("log", 1.0))


@dataclass(frozen=True, slots=True)
class SyntheticEvent:
    """An event of a stream: when it is told, its key (wiki and page), and the bytes that Kafka gets.

    `kind` is event, copy, canary (Wikimedia's heartbeat) or malformed. The times inside of it are up to five seconds,
    for a late one fifteen minutes, before `time`.
    """

    stream: str
    time: datetime
    key: bytes | None
    value: bytes
    kind: Literal["event", "copy", "canary", "malformed"] = "event"


def events(
    streams: Sequence[str] = ("recentchange",),
    *,
    seed: int = 1,
    start: datetime,
    rate: float = NOMINAL_RATE,
    limit: int | None = None,
    duplicates: float = 0.002,
    malformed: float = 0.0,
    late: float = 0.0,
    oversized_bytes: int = 524_288,
) -> Iterator[SyntheticEvent]:
    """Events, `rate` a second from `start` on, up to five seconds out of order: `limit` of them or without end.

    `late` is the share of changes told 15 minutes after their time, `duplicates` the share of events that are copies
    of the one before. `malformed` is the share of records that no job can use, of MALFORMED_KINDS in rotation; these
    and the rare canaries come on top and are not counted. A record of the kind `oversized` is longer than
    `oversized_bytes`. Raises ValueError for a stream that cannot be generated.
    """
    if unknown := [stream for stream in streams if stream not in _STREAMS]:
        raise ValueError(f"Cannot generate {', '.join(unknown)}; the streams are: {', '.join(_STREAMS)}.")
    story = _Story(seed)
    noise = random.Random(f"noise {seed}")
    makers = itertools.cycle(_MALFORMED.values())
    good = broken = 0
    while True:
        lateness = LATE_SECONDS if noise.random() < late else noise.random() * OUT_OF_ORDER_SECONDS
        told = start + timedelta(seconds=good / rate)
        change = story.next(told - timedelta(seconds=lateness))
        if noise.random() < CANARY_SHARE:
            yield _canary(streams[int(noise.random() * len(streams))], told, change.request_id)
        for stream in streams:
            fields = _STREAMS[stream](change)
            if fields is None:
                continue
            key = change.key if stream == "recentchange" else f"{change.wiki}:{change.page_id}".encode()
            event = SyntheticEvent(stream, told, key, orjson.dumps(fields))
            for record in (event, replace(event, kind="copy")) if noise.random() < duplicates else (event,):
                yield record
                good += 1
                while broken < int(good * malformed + 1e-9):
                    value = next(makers)(fields, oversized_bytes)
                    yield SyntheticEvent(stream, told, as_event(value, stream).key, value, "malformed")
                    broken += 1
                if good == limit:
                    return


def _canary(stream: str, told: datetime, request_id: str) -> SyntheticEvent:
    meta = {
        "domain": "canary",
        "dt": told.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "id": str(uuid.uuid5(uuid.UUID(request_id), "canary")),
        "stream": STREAMS[stream].meta_stream,
    }
    return SyntheticEvent(stream, told, None, orjson.dumps({"$schema": "/canary/1.0.0", "meta": meta}), "canary")


@dataclass(slots=True)
class _Change:
    """One thing that happened to a page; every stream tells it in its own shape."""

    time: str
    timestamp: int
    wiki: str
    domain: str
    title: str
    page_id: int
    namespace: int
    kind: str
    user: str
    user_id: int | None
    is_bot: bool
    edit_count: int
    comment: str
    minor: bool
    old_length: int
    new_length: int
    revision: int
    parent: int
    number: int
    id: str
    request_id: str
    damaging: float
    scored: bool

    @property
    def key(self) -> bytes:
        return f"{self.wiki}:{self.title}".encode()

    @property
    def is_edit(self) -> bool:
        return self.kind in ("edit", "new")


class _Story:
    """Draws one change after the other."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numbers = itertools.count()
        self._wiki_shares = list(itertools.accumulate(share for _, _, share, _ in _WIKIS))
        self._revisions = [100_000_000 + 1_000_000 * index for index in range(len(_WIKIS))]
        self._lengths: dict[tuple[int, int], tuple[int, int]] = {}

    def next(self, time: datetime) -> _Change:
        draw = self._random
        uniform = draw.random
        number = next(self._numbers)
        index = bisect(self._wiki_shares, uniform() * self._wiki_shares[-1], hi=len(_WIKIS) - 1)
        wiki, domain, _, words = _WIKIS[index]
        is_bot = uniform() < (0.45 if index < 2 else 0.2)
        kind = _chosen(uniform(), _BOT_TYPES if is_bot else _PEOPLE_TYPES)
        page = int(uniform() ** 3 * 20_000)  # few pages are edited often, many seldom
        title = f"{words[page % len(words)]} {page}" if words else f"Q{70_000_000 + page}"
        namespace = 0
        if kind == "categorize":
            title, namespace = f"Category:{title}", 14
        elif wiki == "commonswiki":
            title, namespace = f"File:{title}.jpg", 6
        user, user_id, edit_count = self._user(is_bot)
        old, revision = self._lengths.get((index, page), (200 + page % 9_000, 0))
        new, parent = old, revision
        if kind in ("edit", "new"):
            self._revisions[index] += 1
            revision = self._revisions[index]
            parent = parent or revision - 500_000
            if kind == "new":
                old, parent = 0, 0
            change = 0 if uniform() < 0.06 else int(draw.gauss(40, 400))
            new = max(1, old + change) if kind == "edit" else 50 + int(uniform() * 5_000)
            self._lengths[index, page] = new, revision
        stamp = time.timestamp()
        return _Change(
            time=f"{time.isoformat()[:19]}Z",
            timestamp=int(stamp),
            wiki=wiki,
            domain=domain,
            title=title,
            page_id=1 + index * 100_000 + page,
            namespace=namespace,
            kind=kind,
            user=user,
            user_id=user_id,
            is_bot=is_bot,
            edit_count=edit_count,
            comment=_COMMENTS[int(uniform() * len(_COMMENTS))],
            minor=uniform() < 0.2,
            old_length=old,
            new_length=new,
            revision=revision,
            parent=parent,
            number=number,
            id=_uuid(draw.getrandbits(128)),
            request_id=_uuid(draw.getrandbits(128)),
            damaging=uniform() ** 6,
            scored=uniform() < 0.7,
        )

    def _user(self, is_bot: bool) -> tuple[str, int | None, int]:
        """Name, id (None for who is not logged in), and number of edits."""
        draw = self._random.random
        person = int(draw() ** 2 * 5_000)
        if is_bot:
            return _BOTS[person % len(_BOTS)], 900 + person % len(_BOTS), 1_000_000 + person
        sort = draw()
        if sort < 0.82:
            return f"{_NAMES[person % len(_NAMES)]}{person}", 10_000 + person, 5 + person * 3
        if sort < 0.92:
            return f"~2026-{10_000 + person}-{person % 97}", 5_000_000 + person, 1 + person % 9
        block = ("192.0.2.", "198.51.100.", "203.0.113.", "2001:DB8:0:0:0:0:0:")[person % 4]
        return f"{block}{person % 250 + 1}", None, 0


def _uuid(bits: int) -> str:
    """A random UUID (version 4) of 128 bits; several times as fast as the `uuid` module."""
    digits = f"{bits & ~(0xF000 << 64) & ~(0xC000 << 48) | 4 << 76 | 0x8000 << 48:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@lru_cache(maxsize=100_000)
def _path(title: str) -> str:
    return quote(title.replace(" ", "_"))


def _chosen(draw: float, shares: Sequence[tuple[str, float]]) -> str:
    left = draw * sum(share for _, share in shares)
    for name, share in shares:
        left -= share
        if left < 0:
            return name
    return shares[0][0]


def _meta(change: _Change, stream: str) -> Fields:
    return {
        "uri": f"https://{change.domain}/wiki/{_path(change.title)}",
        "request_id": change.request_id,
        "id": change.id if stream == "mediawiki.recentchange" else str(uuid.uuid5(uuid.UUID(change.id), stream)),
        "dt": change.time,
        "domain": change.domain,
        "stream": stream,
    }


def _recentchange(change: _Change) -> Fields:
    fields: Fields = {
        "$schema": "/mediawiki/recentchange/1.0.0",
        "meta": _meta(change, "mediawiki.recentchange"),
        "id": 1_500_000_000 + change.number,
        "type": change.kind,
        "namespace": change.namespace,
        "title": change.title,
        "comment": change.comment,
        "timestamp": change.timestamp,
        "user": change.user,
        "bot": change.is_bot,
        "server_url": f"https://{change.domain}",
        "server_name": change.domain,
        "server_script_path": "/w",
        "wiki": change.wiki,
        "parsedcomment": change.comment,
    }
    if change.is_edit:
        fields["minor"] = change.minor
        fields["patrolled"] = change.is_bot
        fields["length"] = {"new": change.new_length}
        fields["revision"] = {"new": change.revision}
        if change.kind == "edit":
            fields["length"]["old"] = change.old_length
            fields["revision"]["old"] = change.parent
    elif change.kind == "log":
        action = ("delete", "move", "patrol", "upload", "block")[change.number % 5]
        fields |= {
            "log_id": 80_000_000 + change.number, "log_type": action, "log_action": action, "log_params": [],
            "log_action_comment": f"{action}: {change.title}",
        }  # fmt: skip
    return fields


def _performer(change: _Change) -> Fields:
    groups = ["*"]
    if change.user_id is not None:
        groups += ["user"] + (["bot"] if change.is_bot else []) + (["autoconfirmed"] if change.edit_count > 10 else [])
    performer: Fields = {"user_text": change.user, "user_groups": groups, "user_is_bot": change.is_bot}
    if change.user_id is not None:
        registered = datetime(2004, 1, 1, tzinfo=UTC) + timedelta(days=change.user_id % 8_000)
        performer |= {
            "user_id": change.user_id,
            "user_registration_dt": registered.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "user_edit_count": change.edit_count,
        }
    return performer


def _revision(change: _Change, stream: str, schema: str) -> Fields:
    fields: Fields = {
        "$schema": schema,
        "meta": _meta(change, stream),
        "database": change.wiki,
        "page_id": change.page_id,
        "page_title": change.title.replace(" ", "_"),
        "page_namespace": change.namespace,
        "page_is_redirect": False,
        "rev_id": change.revision,
        "rev_timestamp": change.time,
        "performer": _performer(change),
    }
    if change.parent:
        fields["rev_parent_id"] = change.parent
    return fields


def _revision_create(change: _Change, stream: str = "mediawiki.revision-create") -> Fields | None:
    if not change.is_edit:
        return None
    return _revision(change, stream, "/mediawiki/revision/create/1.1.0") | {
        "rev_sha1": f"{change.revision:031d}",
        "rev_minor_edit": change.minor,
        "rev_len": change.new_length,
        "rev_content_model": "wikitext",
        "rev_content_format": "text/x-wiki",
        "rev_content_changed": change.new_length != change.old_length,
        "comment": change.comment,
        "parsedcomment": change.comment,
    }


def _page_create(change: _Change) -> Fields | None:
    return _revision_create(change, "mediawiki.page-create") if change.kind == "new" else None


def _revision_score(change: _Change) -> Fields | None:
    if not change.is_edit or not change.scored:
        return None
    goodfaith = 1 - 0.9 * change.damaging
    scores = {
        name: {
            "model_name": name, "model_version": "0.5.1", "prediction": [str(chance > 0.5).lower()],
            "probability": {"true": chance, "false": 1 - chance},
        }
        for name, chance in (("damaging", change.damaging), ("goodfaith", goodfaith))
    }  # fmt: skip
    return _revision(change, "mediawiki.revision-score", "/mediawiki/revision/score/2.0.0") | {"scores": scores}


def _page_delete(change: _Change) -> Fields | None:
    return _page_log(change, 0, "page-delete", "/mediawiki/page/delete/1.0.0")


def _page_move(change: _Change) -> Fields | None:
    moved = _page_log(change, 1, "page-move", "/mediawiki/page/move/1.0.0")
    return moved and moved | {"prior_state": {"page_title": f"{moved['page_title']}_(old)"}}


def _page_log(change: _Change, action: int, stream: str, schema: str) -> Fields | None:
    if change.kind != "log" or change.number % 5 != action:
        return None
    fields = _revision(change, f"mediawiki.{stream}", schema)
    return fields | {"rev_id": change.revision or 1, "comment": change.comment}


def _page_change(change: _Change, stream: str = "mediawiki.page_change.v1") -> Fields | None:
    if change.is_edit:
        kind, changelog = ("create", "insert") if change.kind == "new" else ("edit", "update")
    elif change.kind == "log" and change.number % 5 < 2:
        kind, changelog = ("delete", "delete") if change.number % 5 == 0 else ("move", "update")
    else:
        return None
    performer: Fields = {
        "user_text": change.user, "groups": _performer(change)["user_groups"], "is_bot": change.is_bot,
        "is_system": False,
    }  # fmt: skip
    if change.user_id is not None:
        performer |= {
            "user_id": change.user_id,
            "edit_count": change.edit_count,
            "registration_dt": _performer(change)["user_registration_dt"],
        }
    revision: Fields = {
        "rev_id": change.revision or 1,
        "rev_dt": change.time,
        "is_minor_edit": change.minor,
        "rev_size": change.new_length,
        "comment": change.comment,
        "editor": performer,
    }
    if change.parent:
        revision["rev_parent_id"] = change.parent
    return {
        "$schema": "/mediawiki/page/change/1.1.0",
        "meta": _meta(change, stream),
        "dt": change.time,
        "changelog_kind": changelog,
        "page_change_kind": kind,
        "wiki_id": change.wiki,
        "page": {
            "page_id": change.page_id,
            "page_title": change.title.replace(" ", "_"),
            "namespace_id": change.namespace,
            "is_redirect": False,
        },
        "performer": performer,
        "revision": revision,
        "comment": change.comment,
    }


def _revert_risk(change: _Change) -> Fields | None:
    if not change.is_edit or not change.scored:
        return None
    fields = _page_change(change, "mediawiki.page_revert_risk_prediction_change.v1")
    return fields and fields | {
        "$schema": "/mediawiki/page/prediction_classification_change/1.1.0",
        "predicted_classification": {
            "model_name": "revertrisk-language-agnostic",
            "model_version": "3",
            "predictions": [str(change.damaging > 0.5).lower()],
            "probabilities": {"true": change.damaging, "false": 1 - change.damaging},
        },
    }


_STREAMS: dict[str, Callable[[_Change], Fields | None]] = {
    "recentchange": _recentchange,
    "revision-create": _revision_create,
    "page-create": _page_create,
    "page-delete": _page_delete,
    "page-move": _page_move,
    "mediawiki.page_change.v1": _page_change,
    "revision-score": _revision_score,
    "mediawiki.page_revert_risk_prediction_change.v1": _revert_risk,
}


def _without_time(fields: Fields) -> Fields:
    return fields | {"meta": {name: value for name, value in fields["meta"].items() if name != "dt"}}


def _with_page_title(fields: Fields, title: object) -> Fields:
    if "page" in fields:
        return fields | {"page": fields["page"] | {"page_title": title}}
    return fields | {"title" if "title" in fields else "page_title": title}


def _without_wiki(fields: Fields) -> Fields:
    return fields | {name: None for name in ("wiki", "database", "wiki_id") if name in fields}


# The ten kinds of records that no job can use, in the order in which they come.
_MALFORMED: dict[str, Callable[[Fields, int], bytes]] = {
    "truncated": lambda fields, _: orjson.dumps(fields)[:-20].decode(errors="ignore").encode(),
    "not_json": lambda fields, _: b"<html>503 Service Unavailable</html>",
    "empty": lambda fields, _: b"",
    "invalid_utf8": lambda fields, _: orjson.dumps(fields)[:-1] + b',"x":"\xff\xfe"}',
    "wrong_type": lambda fields, _: orjson.dumps(_with_page_title(fields, 7)),
    "missing_field": lambda fields, _: orjson.dumps(_without_time(fields)),
    "null_field": lambda fields, _: orjson.dumps(_without_wiki(fields)),
    "array": lambda fields, _: orjson.dumps([fields]),
    "oversized": lambda fields, size: orjson.dumps(fields | {"comment": "x" * size}),
    "nonsense_time": lambda fields, _: orjson.dumps(fields | {"meta": fields["meta"] | {"dt": "2026-13-45T99:99:99Z"}}),
}
MALFORMED_KINDS = tuple(_MALFORMED)
