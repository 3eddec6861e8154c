"""jobs/wiki_users.py on literal rows."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from pyflink.table import Table

from jobs._kept import too_late, unusable
from jobs.wiki_users import (
    acts,
    outputs,
    revisions_by_minute,
    timed_revisions,
    users_by_hour,
    wiki_disagreement,
    wiki_users,
)
from tests.conftest import Row, at

Given = Callable[..., Table]
Rows = Callable[[Table], list[Row]]
Of = Callable[..., Table]

_offsets = count()


def revision(seconds: float = 0, user: str | None = "Ada", **fields: Any) -> Row:
    number = next(_offsets)
    return {
        "wiki": "enwiki", "revision_id": number, "page_id": number, "revised_at": at(seconds), "title": "T", "url": "u",
        "user_name": user, "user_kind": "registered", "is_bot": False, "comment": f"c {number}", "damaging": False,
        "damaging_probability": 0.25, "fallback_score": 0.125, "record_value": "e30=",
        "record_topic": "judged_revisions", "record_partition": 0, "record_offset": number, "record_time": at(86400),
    } | fields  # fmt: skip


@pytest.fixture
def minutes(given: Given) -> Of:
    """`minutes(revision, …)`: these revisions, each once a minute."""
    return lambda *revisions: revisions_by_minute(timed_revisions(given("judged_revisions", *revisions)), 120)


# The comment of a revision by Ada; is it a revert, and of whose edit?
COMMENTS = {
    "Undid revision 12 by [[Special:Contributions/Bob|Bob]] ([[User talk:Bob|talk]])": (True, "Bob"),
    "Reverted edits by [[Special:Contributions/192.0.2.7|192.0.2.7]] to last version by Eve": (True, "192.0.2.7"),
    "Änderung 5 von [[Spezial:Beiträge/Bob B.|Bob B.]] rückgängig gemacht": (True, "Bob B."),
    "Отмена правки 7 участника [[Служебная:Вклад/Боб|Боб]]": (True, "Боб"),
    "Скасування правки [[Special:Diff/77|77]] зроблено [[Спеціальна:Внесок/Боб|Боб]]": (True, "Боб"),
    "Undid revision [[Special:Diff/12|12]] by [[Special:Contributions/Bob|Bob]]": (True, "Bob"),
    "Undid revision [[Special:Diff/12|12]]": (True, None),
    "rv per [[Wikipedia:Articles for deletion/Foo]]": (True, None),
    "[[特別:投稿記録/ボブ|ボブ]] による編集を取り消し": (True, "ボブ"),
    "rv": (True, None),
    "rvv, see [[Talk:Page]]": (True, None),
    "Undid my own edit [[Special:Contributions/Ada|Ada]]": (True, None),
    "see [[Special:Contributions/Bob|Bob]]": (False, None),
    "server error in the drive": (False, None),
    "": (False, None),
    None: (False, None),
}


def test_a_comment_tells_a_revert_and_whose_edit_it_undoes(minutes: Of, rows: Rows) -> None:
    revisions = minutes(*[revision(wiki=str(number), comment=comment) for number, comment in enumerate(COMMENTS)])

    found: dict[str, tuple[bool, str | None]] = {}
    for row in sorted(rows(acts(revisions)), key=lambda row: not row["is_edit"]):
        found[row["wiki"]] = (row["is_revert"], None) if row["is_edit"] else (True, row["user_name"])

    assert [found[str(number)] for number in range(len(COMMENTS))] == list(COMMENTS.values())


def test_what_a_user_did_is_told_beside_what_is_usual(minutes: Of, rows: Rows) -> None:
    damage = {"damaging": True, "damaging_probability": 0.75}
    undone = {"comment": "Undid revision 1 by [[Special:Contributions/Vic|Vic]]"}
    machine = [revision(number, "Machine", comment="same", damaging=None, revert_risk=False) for number in range(40)]
    told = [
        *machine,
        machine[0],  # a copy
        *[revision(60 + number, "Ada") for number in range(5)],
        *[revision(120, "Vic", **damage) for _ in range(3)],
        *[revision(180 + number, "Ada", **undone) for number in range(3)],
        *[revision(200, name) for name in ("Bob", "Cy", "Di", "Eve", "Flo", "Gus", "Hal", "Ida")],
        *[revision(240 + number, "TalkBot", is_bot=True) for number in range(6)],
        revision(260, "Ada", wiki="dewiki"),
        *[revision(260 + number, "Silent", wiki="frwiki", comment="") for number in range(40)],
        *[revision(300 + number, "Worst", wiki="itwiki", **damage) for number in range(10)],
        *[revision(320, name, wiki="itwiki", damaging=name == "Bea") for name in ("Al", "Bea", "Cal", "Dee")],
        *[revision(330, "Al", wiki="eswiki", comment=undone["comment"].replace("Vic", "TidyBot")) for _ in range(3)],
        revision(270, None),
    ]

    found = rows(wiki_users(users_by_hour(minutes(*told))))
    first = {row["user_name"]: row for row in found if row["window_end"] == at(600)}

    assert first.keys() == {"Machine", "Ada", "Vic", "TalkBot", "Silent", "Worst", "TidyBot"}
    assert {row["window_end"] for row in found if row["user_name"] == "Vic"} == {at(600 * n) for n in range(1, 7)}
    expected: dict[str, Row] = {
        "Machine": {"edits": 40, "comments": 1, "stands_out_by": ["edits"], "behaves_like": "bot", "is_odd": True},
        "Ada": {
            "edits": 8,
            "commented": 8,
            "comments": 6,
            "reverts_made": 3,
            "wikis": 2,
            "behaves_like": "person",
            "is_odd": False,
        },
        "Vic": {"edits": 3, "reverts_seen": 3, "damaging_share": 1.0, "stands_out_by": ["damage", "reverted"]},
        "Silent": {"edits": 40, "commented": 0, "behaves_like": None, "stands_out_by": [], "usual_edits": None},
        "Worst": {"stands_out_by": ["edits", "damage"], "usual_edits": 1.0, "usual_damaging_share": 0.25},
        "TidyBot": {"is_bot": None, "edits": 0, "reverts_seen": 3, "stands_out_by": ["reverted"], "is_odd": False},
        "TalkBot": {"is_bot": True, "behaves_like": "person", "is_odd": True, "wiki_users": 1, "stands_out_by": []},
    }
    assert {user: {name: first[user][name] for name in told} for user, told in expected.items()} == expected
    people = {"wiki_users": 11, "usual_edits": 51 / 10, "usual_damaging_share": 3 / 51}
    assert first["Ada"] | people | {"damaging_share": 0.0, "pages": 8} == first["Ada"]


def test_scores_furthest_apart_come_first(minutes: Of, rows: Rows) -> None:
    near = [revision(number, damaging_probability=0.125 + number / 1000) for number in range(25)]
    risk = revision(30, damaging_probability=None, revert_risk_probability=0.875, fallback_score=0.25)
    none = [revision(30, damaging_probability=None), revision(30, fallback_score=None)]

    found = rows(wiki_disagreement(minutes(*near, risk, *none, revision(600, damaging_probability=1.0))))

    in_time = [row for row in found if row["window_start"] == at(0)]
    assert [row["rank"] for row in in_time] == list(range(1, 21))
    assert (in_time[0]["wikimedia_model"], in_time[0]["distance"]) == ("revert_risk", 0.625)
    assert [row["revision_id"] for row in in_time[1:]] == [row["revision_id"] for row in near[:5:-1]]
    assert [row["distance"] for row in found if row["window_start"] == at(600)] == [0.875]


def test_what_is_late_or_unusable_is_kept(given: Given, rows: Rows) -> None:
    records = given(
        "judged_revisions", revision(0), revision(180.5), revision(59), {"error": "not_json", "record_time": at(0)},
        revision(60), revision(0, record_time=at(-301)),
    )  # fmt: skip
    timed = timed_revisions(records)

    assert [row["event_time"] for row in rows(too_late(timed, "wiki_users", 60, 120))] == [at(59)]
    assert len(rows(revisions_by_minute(timed, 120))) == 3
    assert [row["reason"] for row in rows(unusable(records, "wiki_users"))] == ["not_json", "future_event_time"]


def test_the_columns_of_each_output_are_the_sinks_and_all_state_ends_with_its_window(
    given: Given, fits_sink: Callable[[str, Table], bool], plan: Callable[[dict[str, Table]], str]
) -> None:
    written = outputs(given("judged_revisions"))

    assert [sink for sink, table in written.items() if not fits_sink(sink, table)] == []
    planned = plan(written)
    assert "PythonCalc" not in planned
    assert set(re.findall(r"\b(\w*(?:Aggregate|Deduplicate|Join|Rank)\w*)\(", planned)) == {
        "LocalWindowAggregate", "GlobalWindowAggregate", "WindowDeduplicate", "WindowJoin",
        "WindowRank",
        "OverAggregate",  # the newest time of each partition
    }  # fmt: skip
