"""jobs/wiki_users.py by hand: what each user did in an hour, every ten minutes, and the scores that differ most.

It leaves out: the comparison with what is usual on a wiki, which is made when an hour closes.
"""

from __future__ import annotations

import re
from typing import Any

from bench.plain._loop import Event, Windows, Writer, iso, seconds_of
from jobs.wiki_users import MOST_APART, REVERTS, UNDONE_USER

WAIT_SECONDS = 120
IS_REVERT, UNDONE = re.compile(REVERTS), re.compile(UNDONE_USER)


def _acts() -> dict[str, Any]:
    return {
        "edits": 0, "pages": set(), "commented": 0, "comments": set(), "reverts_made": 0, "reverts_seen": 0,
        "judged": 0, "damaging_edits": 0,
    }  # fmt: skip


class Loop:
    """The work, event by event."""

    topics = ("judged_revisions",)
    time = "revised_at"

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._told = Windows(lambda: [False], 60)
        self._users = Windows(_acts, 3600, 600)
        self._apart = Windows(list, 600)

    def take(self, topic: str, event: Event, now: float) -> None:
        self._write(now - WAIT_SECONDS)
        at = seconds_of(event["revised_at"])
        for told in self._told.of(at, (event["wiki"], event["revision_id"])):
            if told[0]:
                return
            told[0] = True
        comment, user = event.get("comment"), event.get("user_name")
        is_revert = bool(comment and IS_REVERT.search(comment))
        if user:
            damaging = event.get("damaging", event.get("revert_risk"))
            for acts in self._users.of(at, (event["wiki"], user)):
                acts["edits"] += 1
                acts["pages"].add(event.get("page_id"))
                acts["reverts_made"] += is_revert
                acts["judged"] += damaging is not None
                acts["damaging_edits"] += damaging is True
                if comment:
                    acts["commented"] += 1
                    acts["comments"].add(comment)
        if is_revert and (undone := UNDONE.search(comment or "")) and undone[1] != user:
            for acts in self._users.of(at, (event["wiki"], undone[1])):
                acts["reverts_seen"] += 1
        score = event.get("damaging_probability") or event.get("revert_risk_probability")
        if score is not None and event.get("fallback_score") is not None:
            for apart in self._apart.of(at, None):
                apart.append((abs(score - event["fallback_score"]), event["wiki"], event["revision_id"], event))

    def _write(self, now: float) -> None:
        for _ in self._told.closed(now):
            pass
        for start, end, users in self._users.closed(now):
            for (wiki, user), acts in users.items():
                if acts["edits"] < 5 and acts["reverts_seen"] < 3:
                    continue
                document = acts | {
                    "window_start": iso(start), "window_end": iso(end), "wiki": wiki, "user_name": user,
                    "pages": len(acts["pages"]), "comments": len(acts["comments"]),
                    "damaging_share": acts["damaging_edits"] / acts["judged"] if acts["judged"] else None,
                }  # fmt: skip
                self._writer.index("wiki_users", f"{wiki}_{user}_{start}", document)
        for start, end, windows in self._apart.closed(now):
            ranked = sorted(windows[None], key=lambda one: (-one[0], one[1], one[2]))[:MOST_APART]
            for rank, (distance, wiki, revision, event) in enumerate(ranked, 1):
                document = {
                    "window_start": iso(start), "window_end": iso(end), "rank": rank, "wiki": wiki,
                    "revision_id": revision, "title": event.get("title"), "distance": distance,
                    "fallback_score": event["fallback_score"],
                }  # fmt: skip
                self._writer.index("wiki_disagreement", f"{start}_{rank}", document)
