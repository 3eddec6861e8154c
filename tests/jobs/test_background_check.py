"""jobs/background_check.py on literal rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from pyflink.table import DataTypes, Table, TableEnvironment
from pyflink.table.expressions import col
from pyflink.table.types import LocalZonedTimestampType

from jobs.background_check import OPTIONS, declare_functions, outputs
from settings import settings
from tests.conftest import Row, at
from udfs.background import PARTS
from udfs.background_functions import functions

Given = Callable[..., Table]
Rows = Callable[[Table], list[Row]]
# From the newest state that a row had, by the columns of its key.
KEYS = {
    "background_checks": ["username"],
    "background_captions": ["username", "period_start"],
    "background_images": ["username", "post_id", "content_hash"],
}

_numbers = count()


@pytest.fixture(scope="module", autouse=True)
def _functions(t_env: TableEnvironment) -> Iterator[None]:
    declare_functions(t_env, settings())
    for option, value in OPTIONS.items():
        t_env.get_config().set(option, value)
    yield
    for option in OPTIONS:
        if option.endswith(".enabled"):
            t_env.get_config().set(option, "false")
    for name in functions(settings()):
        t_env.drop_temporary_function(name)


def record(username: str | None, **fields: Any) -> Row:
    number = next(_numbers)
    return {
        "record_key": "YW5u", "record_value": "e30=", "record_topic": "instagram", "record_partition": 0,
        "record_offset": number, "record_time": at(number), "username": username, "taken_at": at(-60),
    } | fields  # fmt: skip


def profile(username: str, status: str = "ok", **fields: Any) -> Row:
    return record(username, status=status, number_of_posts=3, is_private=status == "private", **fields)


def post(username: str, post_id: str, caption: str | None, **fields: Any) -> Row:
    return record(username, **({"post_id": post_id, "caption": caption, "timestamp": at(-3600)} | fields))


def picture(username: str, post_id: str, **fields: Any) -> Row:
    digest = sha256(post_id.encode()).hexdigest()
    return record(
        username, **{
            "post_id": post_id, "media_type": "image", "timestamp": at(-3600), "bucket": settings().s3_bucket,
            "s3_path": f"images/{digest[:2]}/{digest}.jpg", "content_hash": digest, **fields,
        },
    )  # fmt: skip


def tombstone() -> Row:
    """Of ann, by its record_key."""
    return record(None, record_value=None, taken_at=None)


@pytest.fixture
def results(given: Given) -> Callable[..., dict[str, Table]]:
    """`results(profiles, posts, pictures)`: the tables that the job writes."""

    def tables(profiles: list[Row], posts: list[Row] | None = None, pictures: list[Row] | None = None) -> Any:
        # A file needs a row: one of somebody else, who has no profile.
        return outputs(
            given("user_basic_info", *profiles),
            given("user_posts_description", *(posts or []), post("nobody", "p", "hello")),
            given("user_post_images", *(pictures or []), picture("nobody", "p")),
            toxic_from=0.5,
        )

    return tables


def latest(table: Table, key: list[str]) -> dict[str, Row]:
    """The rows that are left when all changes are made, by their key."""
    names = table.get_schema().get_field_names()
    for name, kind in zip(names, table.get_schema().get_field_data_types(), strict=True):
        if isinstance(kind, LocalZonedTimestampType):
            table = table.add_or_replace_columns(col(name).cast(DataTypes.TIMESTAMP(3)).alias(name))
    left: dict[str, Row] = {}
    with table.execute().collect() as changes:
        for change in changes:
            row = dict(zip(names, change, strict=True))
            name = "/".join(str(row[column]) for column in key)
            if change.get_row_kind().name in ("DELETE", "UPDATE_BEFORE"):
                left.pop(name, None)
            else:
                left[name] = row
    return left


def of(tables: Mapping[str, Table], name: str) -> dict[str, Row]:
    return latest(tables[name], KEYS[name])


def test_profile_captions_and_pictures_are_one_record(results: Callable[..., dict[str, Table]]) -> None:
    tables = results(
        [profile("ann", followers_count=7, bio="Hi")],
        [
            post("ann", "p1", "What a lovely day at the lake!"),
            post("ann", "p2", "My new rifle and a cold beer", timestamp=at(-90 * 86400)),
            post("ann", "p3", "Shut up, you stupid idiot"),
            post("ann", "p4", None),
        ],
        [picture("ann", "p1"), picture("ann", "p1"), picture("ann", "p2")],
    )

    (ann,) = of(tables, "background_checks").values()
    assert {name: ann[name] for name in ("username", "status", "followers_count", "bio", "posts", "captions")} == {
        "username": "ann", "status": "ok", "followers_count": 7, "bio": "Hi", "posts": 4, "captions": 3,
    }  # fmt: skip
    assert (ann["images"], ann["unscored_images"]) == (2, 2)
    assert ann["missing"] == ["images: 2 of 2 not scored"]
    assert (ann["toxic_captions"], ann["toxic_share"]) == (1, pytest.approx(1 / 3))
    found = [(theme, word, posts, list(ids)) for theme, word, posts, _, ids in ann["present_keywords"]]
    assert found == [("alcohol", "beer", 1, ["p2"]), ("weapons", "rifle", 1, ["p2"])]
    assert ann["evidence"] == ["alcohol: beer in 1 post (p2)", "weapons: rifle in 1 post (p2)"]
    assert ann["score"] > 60
    assert sum(times for _, times in ann["cyberbullying"]) == 3
    months = of(tables, "background_captions")
    assert {row["posts"] for row in months.values() if row["username"] == "ann"} == {3, 1}


WITHOUT = {
    "private": (profile("pia", "private"), ["posts: the profile is private"]),
    "missing": (profile("max", "missing"), ["profile: there is none of this name"]),
    "no posts": (profile("new"), ["captions: none", "images: none"]),
}


def test_who_has_no_posts_is_there_with_what_is_missing(results: Callable[..., dict[str, Table]]) -> None:
    people = of(results([told for told, _ in WITHOUT.values()]), "background_checks")

    assert {name: person["missing"] for name, person in people.items()} == {
        told["username"]: missing for told, missing in WITHOUT.values()
    }
    for person in people.values():
        assert (person["posts"], person["images"], person["score"]) == (0, 0, None)
        assert {person[f"{part}_points"] for part in PARTS} == {None}


def test_what_is_told_again_replaces_what_was_told(results: Callable[..., dict[str, Table]]) -> None:
    tables = results(
        [profile("ann", followers_count=1), profile("ann", followers_count=2)],
        [post("ann", "p1", "My new rifle"), post("ann", "p2", "hello there"), post("ann", "p1", "My new kite")],
    )

    (ann,) = of(tables, "background_checks").values()
    assert (ann["followers_count"], ann["posts"], ann["present_keywords"]) == (2, 2, [])
    assert ann["version"] == 2 + 2 + 3


def test_a_tombstone_ends_all_that_was_told_before(results: Callable[..., dict[str, Table]]) -> None:
    gone = results(
        [profile("ann"), profile("bob"), tombstone()],
        [post("ann", "p1", "My new rifle"), post("bob", "p2", "hello there"), tombstone()],
        [picture("ann", "p1"), tombstone()],
    )
    back = results(
        [profile("ann"), tombstone(), profile("ann", followers_count=5)],
        [post("ann", "p1", "My new rifle"), tombstone(), post("ann", "p3", "hello there")],
        [picture("ann", "p1"), tombstone()],
    )

    assert set(of(gone, "background_checks")) == {"bob"}
    assert {row["username"] for name in KEYS for row in of(gone, name).values()} == {"bob", "nobody"}
    (ann,) = of(back, "background_checks").values()
    assert (ann["followers_count"], ann["posts"], ann["images"], ann["evidence"]) == (5, 1, 0, [])


def test_the_archive_ends_with_the_state_of_the_index(results: Callable[..., dict[str, Table]]) -> None:
    tables = results(
        [profile("ann"), profile("bob", "private")],
        [post("ann", "p1", "My new rifle"), post("ann", "p2", "hello there"), post("ann", "p1", "My new kite")],
        [picture("ann", "p1"), picture("ann", "p2")],
    )

    states = latest(tables["background_checks_archive"], ["username", "updated_at", "version"]).values()
    newest = {
        state["username"]: state for state in sorted(states, key=lambda state: (state["updated_at"], state["version"]))
    }
    index = of(tables, "background_checks")
    assert {name: {**state, "date": None} for name, state in newest.items()} == {
        name: {**state, "date": None} for name, state in index.items()
    }
    told = [(state["updated_at"], state["version"]) for state in states if state["username"] == "ann"]
    assert told == sorted(set(told))
    archived = latest(tables["background_images_archive"], KEYS["background_images"])
    assert {key: {**row, "date": None} for key, row in archived.items()} == {
        key: {**row, "date": None} for key, row in of(tables, "background_images").items()
    }


UNUSABLE = {
    "a path": (profile("../etc/passwd"), "out_of_range"),
    "SQL": (profile("a'; DROP TABLE users; --"), "out_of_range"),
    "capitals": (profile("Ann"), "out_of_range"),
    "31 characters": (profile("a" * 31), "out_of_range"),
    "two dots": (profile("a..b"), "out_of_range"),
    "a dot first": (profile(".ann"), "out_of_range"),
    "a status that is none": (profile("ann", "closed"), "unknown_status"),
    "gathered tomorrow": (profile("ann", taken_at=at(86400)), "future_event_time"),
    "broken": (record(None, error="not_json", error_detail="…", taken_at=None), "not_json"),
}


def test_what_cannot_be_used_is_a_dead_letter(results: Callable[..., dict[str, Table]], rows: Rows) -> None:
    pictures = [picture("ann", "p1", bucket="another"), picture("ann", "p2", s3_path="salaries.csv")]
    tables = results([*(told for told, _ in UNUSABLE.values()), profile("bob")], pictures=pictures)

    kept = rows(tables["dead_letters"].select(col("offset"), col("reason")))
    assert {row["offset"]: row["reason"] for row in kept} == {
        told["record_offset"]: reason for told, reason in UNUSABLE.values()
    } | {told["record_offset"]: "unknown_picture" for told in pictures}
    assert set(of(tables, "background_checks")) == {"bob"}


def test_the_plan_enriches_once_and_loses_no_update(
    results: Callable[..., dict[str, Table]], plan: Callable[[Mapping[str, Table]], str]
) -> None:
    text = plan(results([profile("ann")]))

    assert text.count("enriched_caption(") == 1
    assert text.count("enriched_image(") == 1
    # By which a row of the same rank is never replaced: docs/decisions/0010-background-check.md.
    assert "UpdateFastStrategy" not in text


def test_the_plan_has_no_join_that_ends_taskmanagers(
    results: Callable[..., dict[str, Table]], plan: Callable[[Mapping[str, Table]], str]
) -> None:
    """Which are those of two tables in mini-batches: docs/decisions/0010-background-check.md."""
    joins = re.findall(r"\b(\w*Join)\(", plan(results([profile("ann")])))

    assert joins == ["MultiJoin"] * 3


def test_the_columns_are_the_sinks(
    results: Callable[..., dict[str, Table]], fits_sink: Callable[[str, Table], bool]
) -> None:
    for sink, table in results([profile("ann")]).items():
        assert fits_sink(sink, table), sink
