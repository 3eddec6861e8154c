"""jobs/wiki_pages.py by hand: a document per page, written anew at each act, and counts per five minutes and wiki."""

from __future__ import annotations

from typing import Any

from bench.plain._loop import Event, Windows, Writer, iso, seconds_of
from bench.plain.wiki_edits import language_of

LATE_SECONDS = 10
ACTS = {"wiki_page_create": "created", "wiki_page_delete": "deleted", "wiki_page_move": "moved"}
KINDS = {"create": "created", "delete": "deleted", "move": "moved", "undelete": "restored"}
RANKS = ("created", "moved", "deleted", "restored")


class Loop:
    """The work, event by event."""

    topics = (*ACTS, "wiki_page_change")
    time = "meta.dt"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._pages: dict[tuple[str, int], dict[str, Any]] = {}
        self._rates = Windows(set, 300)

    def take(self, topic: str, event: Event, now: float) -> None:
        if event["meta"]["domain"] == "canary":
            return
        if topic == "wiki_page_change":
            act = KINDS.get(event["page_change_kind"])
            page, prior = event["page"], event.get("prior_state", {}).get("page", {}).get("page_title")
            wiki, is_bot = event["wiki_id"], event.get("performer", {}).get("is_bot")
            identity, title, namespace = page["page_id"], page["page_title"], page["namespace_id"]
            at = event["dt"]
        else:
            act, wiki, identity = ACTS[topic], event["database"], event["page_id"]
            title, namespace = event["page_title"], event["page_namespace"]
            prior, at = event.get("prior_state", {}).get("page_title"), event["meta"]["dt"]
            is_bot = event.get("performer", {}).get("user_is_bot")
        if act:
            self._tell(event, (wiki, identity), act, at, title.replace("_", " "), namespace, prior)
            for acts in self._rates.of(seconds_of(at), (wiki, event["meta"]["domain"], is_bot)):
                acts.add((identity, act, event["meta"].get("request_id", at)))
        for start, end, groups in self._rates.closed(now - LATE_SECONDS):
            for (wiki, domain, is_bot), acts in groups.items():
                kind = "unknown" if is_bot is None else "bot" if is_bot else "human"
                document = {
                    "wiki": wiki, "performer_kind": kind, "window_start": iso(start), "window_end": iso(end),
                    "language": language_of(domain),
                    **{f"pages_{name}": sum(one[1] == name for one in acts) for name in RANKS},
                }  # fmt: skip
                self._writer.index("wiki_page_rates", f"{wiki}_{kind}_{start}", document)

    def _tell(
        self, event: Event, key: tuple[str, int], act: str, at: str, title: str, namespace: int, prior: str | None
    ) -> None:
        page = self._pages.setdefault(key, {"wiki": key[0], "page_id": key[1], "moves": set(), "place": ("", 0)})
        place = at, RANKS.index(act)
        if place >= page["place"]:
            page |= {
                "place": place, "title": title, "namespace": namespace, "url": event["meta"]["uri"],
                "domain": event["meta"]["domain"], "language": language_of(event["meta"]["domain"]),
                "last_act": act, "last_act_at": at, "state": "deleted" if act == "deleted" else "live",
            }  # fmt: skip
        page[f"{act}_at"] = max(at, page.get(f"{act}_at", at))
        if act == "created":
            page["was_created_here"] = True
        if act == "moved":
            page["moves"].add(event["meta"].get("request_id", at))
            page["moved_from"] = prior
        document = {name: value for name, value in page.items() if name not in ("moves", "place")}
        self._writer.index("wiki_pages", f"{key[0]}_{key[1]}", document | {"recent_moves": len(page["moves"])})
