"""The dashboards' files, without Elasticsearch: whole, what was compiled of them, and wrong ones refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from kibana import formula, kql, queries
from kibana.compile import STAMPS, stamps
from kibana.dashboards import FOLDER, REFRESH_SECONDS, Dashboard, DashboardError, load, read

Json = dict[str, Any]
NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOUR = queries.View(NOW - timedelta(hours=1), NOW)
DASHBOARDS = load()


def saved_objects() -> dict[str, Json]:
    files = sorted(FOLDER.glob("*.ndjson"))
    found = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return {each["id"]: each for each in found}


def test_what_is_compiled_is_compiled_of_these_files() -> None:
    compiled = json.loads((FOLDER / STAMPS).read_text(encoding="utf-8"))
    assert compiled == stamps(), "a dashboard was changed since: `make dashboards` compiles it"


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=list(DASHBOARDS))
def test_a_compiled_dashboard_has_the_same_panels_in_the_same_places(dashboard: Dashboard) -> None:
    saved = saved_objects()[dashboard.id]
    grids = [panel["gridData"] for panel in json.loads(saved["attributes"]["panelsJSON"])]

    assert {grid["i"]: (grid["x"], grid["y"]) for grid in grids} == dashboard.places()
    assert {grid["i"]: (grid["w"], grid["h"]) for grid in grids} == {
        panel.id: (panel.size.w, panel.size.h) for panel in dashboard.panels
    }
    assert saved["attributes"]["refreshInterval"] == {"pause": False, "value": REFRESH_SECONDS * 1000}
    assert {each["id"] for each in saved["references"] if each["type"] == "dashboard"} <= set(DASHBOARDS)


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=list(DASHBOARDS))
def test_every_panel_is_a_search_of_fields_that_are_declared(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        assert len(queries.searches(panel, HOUR)) == len(panel.indices())
    explained = next(panel for panel in dashboard.panels if panel.markdown)
    assert explained.id == "about", "the first text says what the dashboard shows"
    assert any(panel.links for panel in dashboard.panels)
    assert dashboard.controls


def test_the_same_thing_has_the_same_color_everywhere() -> None:
    colors: dict[str, set[str]] = {}
    for dashboard in DASHBOARDS.values():
        for panel in dashboard.panels:
            color = getattr(panel.lens, "color", None)
            for value, shown in (color.by_value() if color else {}).items():
                colors.setdefault(value, set()).add(shown)
    assert {value: shown for value, shown in colors.items() if len(shown) > 1} == {}
    assert {"Bots", "People", "vandalism", "Twitter", "other_cyberbullying"} <= set(colors)


FIELDS = ("a", "b", "c", "is_viral", "topic", "text", "likes", "bytes_changed")
PANEL: Json = {
    "id": "likes",
    "title": "Likes",
    "size": {"w": 12, "h": 5},
    "lens": {
        "type": "metric",
        "data_view": "social_posts",
        "primary": {"aggregation": "sum", "field": "likes", "label": "likes"},
    },
}
BARS: Json = {
    "type": "bar",
    "data_view": "social_posts",
    "dimension": {"type": "values", "field": "topic", "label": "topic", "size": 8, "show_other_bucket": False},
    "metrics": [{"aggregation": "count", "label": "posts"}],
}


def dashboard_file(tmp_path: Path, *panels: Json, **more: Any) -> Path:
    file = tmp_path / "one.yaml"
    one = {"id": "one", "name": "One", "description": "One.", "time_range": {"from": "now-1h"}, "panels": list(panels)}
    file.write_text(yaml.safe_dump({"dashboards": [one | more]}), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("panel", "said"),
    [
        (PANEL | {"markdown": {"content": "x"}}, "a panel is one of"),
        (PANEL | {"titel": "Likes"}, "Extra inputs are not permitted"),
        (
            PANEL | {"lens": PANEL["lens"] | {"primary": {"aggregation": "sum", "label": "likes"}}},
            "`sum` needs a `field`",
        ),
        (PANEL | {"lens": PANEL["lens"] | {"primary": {"label": "likes"}}}, "either `aggregation` or `formula`"),
        (PANEL | {"lens": BARS | {"dimension": BARS["dimension"] | {"show_other_bucket": True}}}, "show_other_bucket"),
        (PANEL | {"size": {"w": 49, "h": 5}}, "less than or equal to 48"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_and_the_reason(tmp_path: Path, panel: Json, said: str) -> None:
    with pytest.raises(DashboardError, match=said) as refused:
        read(dashboard_file(tmp_path, panel))
    assert str(refused.value).startswith("one.yaml is wrong:")


@pytest.mark.parametrize(
    ("lens", "said"),
    [
        (PANEL["lens"] | {"data_view": "social_postings"}, "no index `social_postings`"),
        (PANEL["lens"] | {"primary": {"aggregation": "sum", "field": "hearts", "label": "x"}}, "no field `hearts`"),
        (PANEL["lens"] | {"primary": {"aggregation": "sum", "field": "topic", "label": "x"}}, "it has no sum"),
        (PANEL["lens"] | {"primary": {"aggregation": "unique_count", "field": "text", "label": "x"}}, "of type text"),
        (BARS | {"dimension": BARS["dimension"] | {"field": "text"}}, "makes no groups"),
        (PANEL["lens"] | {"query": {"kql": "is_toxik: true"}}, "no field `is_toxik`"),
        (PANEL["lens"] | {"primary": {"formula": "cuont()", "label": "x"}}, "function `cuont` is not known"),
        (BARS | {"metrics": [{"formula": "count() / 2", "label": "half"}]}, "cannot be in order of `half`"),
        (BARS | {"dimension": BARS["dimension"] | {"sort": {"by": "x", "direction": "asc"}}}, "which is no metric"),
    ],
)
def test_a_field_that_a_job_no_longer_writes_is_noticed(tmp_path: Path, lens: Json, said: str) -> None:
    (dashboard,) = read(dashboard_file(tmp_path, PANEL | {"lens": lens}))
    with pytest.raises(DashboardError, match=f"one, panel `likes`: .*{said}"):
        queries.check([dashboard])


def test_a_link_that_leads_nowhere_and_two_of_one_id_are_refused(tmp_path: Path) -> None:
    links = {**PANEL, "id": "links", "links": {"items": [{"label": "x", "dashboard": "gone"}]}}
    del links["lens"]
    dashboard_file(tmp_path, PANEL, links)
    with pytest.raises(DashboardError, match="there is no dashboard `gone`"):
        load(tmp_path)
    with pytest.raises(DashboardError, match="two panels have the id `likes`"):
        read(dashboard_file(tmp_path, PANEL, PANEL))


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", {"match_all": {}}),
        ("is_viral: true", {"match": {"is_viral": "true"}}),
        ('topic: "very new"', {"match_phrase": {"topic": "very new"}}),
        ("text: *", {"exists": {"field": "text"}}),
        ("likes >= 10", {"range": {"likes": {"gte": "10"}}}),
        ("bytes_changed < -1", {"range": {"bytes_changed": {"lt": "-1"}}}),
        ("not a: 1", {"bool": {"must_not": [{"match": {"a": "1"}}]}}),
        ("a: 1 and b: 2", {"bool": {"filter": [{"match": {"a": "1"}}, {"match": {"b": "2"}}]}}),
        (
            "a: (1 or 2)",
            {"bool": {"should": [{"match": {"a": "1"}}, {"match": {"a": "2"}}], "minimum_should_match": 1}},
        ),
        (
            "a: 1 or b: 2 and c: 3",  # `and` binds closer
            {
                "bool": {
                    "should": [
                        {"match": {"a": "1"}},
                        {"bool": {"filter": [{"match": {"b": "2"}}, {"match": {"c": "3"}}]}},
                    ],
                    "minimum_should_match": 1,
                }
            },
        ),
    ],
)
def test_kql_is_elasticsearchs_query(text: str, query: Json) -> None:
    assert kql.query(text, FIELDS) == query


@pytest.mark.parametrize(
    "text", ["a", "a:", "a: 1 b: 2", "(a: 1", 'a: "1', "a: new*", "and", "a: 1 or", "not", ": 1", "d: 1", "not d: *"]
)
def test_what_is_no_kql_is_refused(text: str) -> None:
    with pytest.raises(kql.KqlError):
        kql.query(text, FIELDS)


@pytest.mark.parametrize(
    ("text", "figures", "value"),
    [
        ("count() / 2", [10], 5),
        ("count(kql='a: 1') / count()", [3, 4], 0.75),
        ("(sum(likes) + sum(shares)) / unique_count(user_id)", [6, 2, 4], 2),
        ("-average(likes) * 2 - 1", [3], -7),
        ("count() / sum(likes)", [3, 0], None),
        ("1 - average(likes)", [None], None),
        ("count() / count()", [7], 1),  # one figure, used twice
    ],
)
def test_a_formula_is_computed_of_its_figures(text: str, figures: list[float | None], value: float | None) -> None:
    parsed = formula.parse(text)
    assert parsed.value(dict(zip(parsed.calls, figures, strict=True))) == value


@pytest.mark.parametrize(
    "text",
    ["", "count(", "likes", "open('x')", "count().real", "sum()", "sum(a, b)", "count(kql=1+1)", "a if b else c"],
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(formula.FormulaError):
        formula.parse(text)


@pytest.mark.parametrize(
    ("hours", "wanted", "seconds"),
    [
        (1, None, 60),
        (0.25, None, 30),
        (24, None, 1800),
        (1, "1m", 60),
        (0.25, "1m", 60),
        (168, "1m", 3600),
        (1, "5m", 300),
    ],
)
def test_a_time_axis_has_a_fitting_interval(hours: float, wanted: str | None, seconds: int) -> None:
    assert queries.View(NOW - timedelta(hours=hours), NOW).interval(wanted) == seconds


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("now", NOW),
        ("now-90m", NOW - timedelta(minutes=90)),
        ("now+1d", NOW + timedelta(days=1)),
        ("2026-01-02T11:00:00Z", NOW - timedelta(hours=1)),
        ("2026-01-02T11:00:00", NOW - timedelta(hours=1)),
        ("2026-01-02T13:00:00+02:00", NOW - timedelta(hours=1)),
    ],
)
def test_times_are_as_elasticsearch_writes_them(text: str, then: datetime) -> None:
    assert queries.instant(text, NOW) == then


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "now-1y", "now - 1h", "2026-13-01", "now-9999999d", "now-999999w", "0001-01-01T00:00:00+05:00"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(queries.RangeError):
        queries.instant(text, NOW)


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(queries.RangeError):
        queries.View(NOW, NOW)
