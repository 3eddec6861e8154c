"""A panel as the Elasticsearch search that it stands for, and the answer as a table: for the live view and its test.

The groups and figures are made as Kibana's Lens makes them: terms, date_histogram, filters and range aggregations
around one aggregation a figure; a filtered figure in a filter aggregation; a formula computed of its figures.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from kibana import formula, kql
from kibana.dashboards import (
    AGGREGATABLE,
    XY,
    Chart,
    Dashboard,
    DashboardError,
    DataTable,
    Dimension,
    Kql,
    Metric,
    Panel,
    fields,
    time_field,
)

Json = dict[str, Any]
Value = str | float | int | bool | None

INTERVALS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200, 86400, 604800]  # seconds, up to a week
BUCKETS = 60  # of a time axis, at most, when the interval is chosen here
MORE_BUCKETS = 200  # and when the panel wants an interval
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
MISSING = "(missing value)"


class RangeError(ValueError):
    """The time range is none; the message says why."""


def instant(text: str, now: datetime) -> datetime:
    """A time of Elasticsearch's date math: `now`, `now-90m`, or ISO 8601 (UTC where it names no zone).

    Raises RangeError.
    """
    found = re.fullmatch(r"now(?:([+-])(\d{1,6})([smhdw]))?", text)
    try:
        if found:
            sign, number, unit = found.groups()
            return now + timedelta(seconds=int(f"{sign}{number}") * UNITS[unit]) if sign else now
        then = datetime.fromisoformat(text)
        return then.astimezone(UTC) if then.tzinfo else then.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise RangeError(f"`{text}` is no time: give `now`, `now-1h` or 2026-01-31T12:00:00Z.") from None


@dataclass(frozen=True)
class View:
    """What people chose to see: a time range, and for some fields the values wanted."""

    start: datetime
    end: datetime
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise RangeError("The time range ends before it begins.")

    def query(self, index: str, more: Json | None = None) -> Json:
        """The documents of an index that are seen, and that `more` finds."""
        known = fields(index)
        span = {"gte": _iso(self.start), "lte": _iso(self.end), "format": "strict_date_optional_time"}
        wanted: list[Json] = [{"range": {time_field(index): span}}]
        wanted += [{"terms": {name: list(values)}} for name, values in self.filters.items() if values and name in known]
        return {"bool": {"filter": wanted + ([more] if more else [])}}

    def ignored(self, indices: set[str]) -> list[str]:
        """The fields of filters that not all of these indices have."""
        return sorted(name for name, values in self.filters.items() if values and not self._in_all(name, indices))

    def _in_all(self, name: str, indices: set[str]) -> bool:
        return all(name in fields(index) for index in indices)

    def interval(self, wanted: str | None) -> int:
        """Seconds of a group on a time axis: as `wanted` (as in `5m`) or chosen, longer where there were too many."""
        seconds = (self.end - self.start).total_seconds()
        least = int(wanted[:-1]) * UNITS[wanted[-1]] if wanted and wanted != "auto" else 0
        enough = seconds / (MORE_BUCKETS if least else BUCKETS)
        if least >= enough:
            return least
        return next((each for each in INTERVALS if each >= max(enough, least)), math.ceil(enough))


@dataclass(frozen=True)
class Search:
    """A search of one index: its name without prefix, and the body of the request."""

    index: str
    body: Json


@dataclass(frozen=True)
class Column:
    """A column of the answer. `role`: x, series, ring, row or metric; `type`: time, number or text; `field`: what the
    values of a group are values of, if that can be filtered by."""

    id: str
    label: str
    role: str
    type: str
    field: str | None = None
    format: Json | None = None
    axis: str | None = None
    color: Any = None


@dataclass(frozen=True)
class Answer:
    """The answer as a table: one row a group, times in ISO 8601; `interval_ms` of its time axis, if it has one."""

    columns: list[Column]
    rows: list[list[Value]]
    interval_ms: int | None = None

    def json(self) -> Json:
        """As the live view's page takes it."""
        return {"columns": [asdict(each) for each in self.columns], "rows": self.rows, "interval_ms": self.interval_ms}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def searches(panel: Panel, view: View) -> list[Search]:
    """What the panel asks Elasticsearch: one search for a chart, one a source for a drawing, none for texts.

    Raises DashboardError for a field that there is not or that cannot be used so.
    """
    if panel.lens:
        return [_chart(panel.lens, view)]
    return [_source(source, view) for source in panel.vega.sources()] if panel.vega else []


def check(dashboards: Iterable[Dashboard]) -> None:
    """That every panel can be asked. Raises DashboardError, with dashboard and panel, for the first that cannot."""
    moment = datetime.now(UTC)
    for dashboard in dashboards:
        for panel in dashboard.panels:
            try:
                searches(panel, View(moment - timedelta(hours=1), moment))
            except DashboardError as error:
                raise DashboardError(f"{dashboard.id}, panel `{panel.id}`: {error}") from None


def answer(panel: Panel, responses: Sequence[Json], view: View) -> Answer:
    """The table of a chart; of a drawing, the groups of its first source."""
    if panel.lens:
        return _table(panel.lens, responses[0], view)
    return _flat(panel, responses[0])


def drawing(panel: Panel, responses: Sequence[Json], outlines: Json | None) -> Json:
    """The spec of a Vega panel with the responses in it, and with the countries' outlines where it wants them."""
    assert panel.vega
    spec = copy.deepcopy(panel.vega.spec)
    replies = iter(responses)
    for source in spec["data"]:
        if isinstance(source.get("url"), dict):
            source.pop("url")
            source["values"] = next(replies)
        elif source["name"] == "outlines" and outlines:
            source["values"] = outlines
    return spec


def options(index: str, name: str, view: View, search: str = "", size: int = 100) -> Search:
    """The values of a field among what is seen, for a control; `search`: only those that contain this."""
    kinds = fields(index)
    terms: Json = {"field": name, "size": size}
    if search and kinds[name] == "keyword":
        letters = (f"[{each.lower()}{each.upper()}]" if each.isalpha() else _escaped(each) for each in search)
        terms["include"] = f".*{''.join(letters)}.*"
    others = View(view.start, view.end, {key: values for key, values in view.filters.items() if key != name})
    return Search(index, {"size": 0, "query": others.query(index), "aggs": {"values": {"terms": terms}}})


def _escaped(letter: str) -> str:
    return f"\\{letter}" if letter in '.?+*|{}[]()"\\#@&<>~^$-' else letter


def _source(source: Json, view: View) -> Search:
    """A data source of a drawing; `%context%` and `%timefield%` are how Vega in Kibana says: only what is seen."""
    url = source["url"]
    if not url.get("%context%") or url.get("%timefield%") != time_field(url["index"]):
        raise DashboardError(
            f"data source `{source.get('name')}`: give `%context%: true` and `%timefield%: {time_field(url['index'])}`,"
            " else time range and filters would change nothing."
        )
    return Search(url["index"], {**url["body"], "query": view.query(url["index"], url["body"].get("query"))})


def _chart(chart: Chart, view: View) -> Search:
    figures = list(enumerate(chart.figures()))
    aggregations = dict(_figures(chart, figures))
    for dimension in reversed(chart.dimensions()):
        # Groups around other groups have that figure too which they are in order of.
        ordering = [_ordering(chart, dimension)] if dimension.type == "values" else []
        group = _group(chart, dimension, view)
        if inner := aggregations | dict(_figures(chart, ordering)):
            group["aggs"] = inner
        aggregations = {"group": group}
    more = _query(chart, chart.query) if chart.query else None
    body: Json = {"size": 0, "track_total_hits": True, "query": view.query(chart.data_view, more)}
    return Search(chart.data_view, {**body, "aggs": aggregations} if aggregations else body)


def _query(chart: Chart, given: Kql) -> Json:
    return kql.query(given.kql, fields(chart.data_view))


def _figures(chart: Chart, metrics: Iterable[tuple[int, Metric]]) -> Iterator[tuple[str, Json]]:
    """Name -> aggregation of every figure, and of every function of a formula; a plain count needs none."""
    for number, metric in metrics:
        if metric.formula is not None:
            for order, call in enumerate(formula.parse(metric.formula).calls):
                made = _aggregation(chart.data_view, call.function, call.field, None)
                found = _query(chart, Kql(kql=call.kql)) if call.kql else None
                yield from _filtered(f"m{number}_{order}", made, found)
        else:
            made = _aggregation(chart.data_view, str(metric.aggregation), metric.field, metric)
            found = _query(chart, metric.filter) if metric.filter else None
            if metric.aggregation == "last_value":
                exists: Json = {"exists": {"field": metric.field}}
                found = {"bool": {"filter": [exists, found]}} if found else exists
            yield from _filtered(f"m{number}", made, found)


def _filtered(name: str, aggregation: Json | None, found: Json | None) -> Iterator[tuple[str, Json]]:
    if found is not None:
        yield name, {"filter": found, **({"aggs": {"value": aggregation}} if aggregation else {})}
    elif aggregation is not None:
        yield name, aggregation


def _aggregation(index: str, function: str, name: str | None, metric: Metric | None) -> Json | None:
    """None for a count of documents. Raises DashboardError for a field that cannot be used so."""
    kind = fields(index).get(name or "")
    if name is not None and kind is None:
        raise DashboardError(f"{index} has no field `{name}`.")
    if function == "last_value":
        assert metric
        if fields(index).get(metric.date_field or "") != "date":
            raise DashboardError(f"{index} has no date `{metric.date_field}`.")
        return {"top_hits": {"size": 1, "_source": [name], "sort": [{str(metric.date_field): "desc"}]}}
    if name is None:
        return None
    if kind not in AGGREGATABLE:
        raise DashboardError(f"`{name}` of {index} is of type {kind}: nothing can be computed of it.")
    if function == "count":
        return {"value_count": {"field": name}}
    if function == "unique_count":
        return {"cardinality": {"field": name}}
    if kind in ("keyword", "boolean") or (kind == "date" and function not in ("min", "max")):
        raise DashboardError(f"`{name}` of {index} is of type {kind}: it has no {function}.")
    match function:
        case "median" | "percentile":
            percent = 50 if function == "median" else (metric.percentile if metric else None)
            return {"percentiles": {"field": name, "percents": [percent]}}
        case "standard_deviation":
            return {"extended_stats": {"field": name}}
        case _:
            return {{"average": "avg"}.get(function, function): {"field": name}}


def _group(chart: Chart, dimension: Dimension, view: View) -> Json:
    kind = fields(chart.data_view).get(dimension.field or "")
    if dimension.field is not None and kind is None:
        raise DashboardError(f"{chart.data_view} has no field `{dimension.field}`.")
    match dimension.type:
        case "filters":
            return {"filters": {"filters": {each.label: _query(chart, each.query) for each in dimension.filters}}}
        case "intervals":
            ranges: list[Json] = [
                {"key": each.label}
                | ({"from": each.from_value} if each.from_value is not None else {})
                | ({"to": each.to_value} if each.to_value is not None else {})
                for each in dimension.intervals
            ]
            return {"range": {"field": dimension.field, "ranges": ranges}}
        case "date_histogram":
            seconds = view.interval(dimension.minimum_interval)
            bounds = {"min": int(view.start.timestamp() * 1000), "max": int(view.end.timestamp() * 1000)}
            histogram = {"field": dimension.field, "fixed_interval": f"{seconds}s", "min_doc_count": 0}
            return {"date_histogram": {**histogram, "extended_bounds": bounds}}
    if kind not in AGGREGATABLE:
        raise DashboardError(f"`{dimension.field}` of {chart.data_view} is of type {kind}: it makes no groups.")
    terms: Json = {"field": dimension.field, "size": dimension.size, "order": _order(chart, dimension)}
    if dimension.include_missing_values:
        terms["missing"] = MISSING
    for name, values in (("include", dimension.include), ("exclude", dimension.exclude)):
        if values:
            terms[name] = list(values)
    return {"terms": {**terms, "collect_mode": "breadth_first"}}


def _ordering(chart: Chart, dimension: Dimension) -> tuple[int, Metric]:
    """Number and metric that `sort` names, else the first; Lens puts nothing in order of a formula."""
    number, metric = 0, chart.figures()[0]
    if dimension.sort:
        by = dimension.sort.by
        named = [each for each in enumerate(chart.figures()) if by in (each[1].label, each[1].id)]
        if not named:
            raise DashboardError(f"`{dimension.label}` is to be in order of `{by}`, which is no metric here.")
        number, metric = named[0]
    if metric.formula is not None or metric.aggregation == "last_value":
        raise DashboardError(f"`{dimension.label}` cannot be in order of `{metric.label}`: name another with `sort`.")
    return number, metric


def _order(chart: Chart, dimension: Dimension) -> Json:
    number, metric = _ordering(chart, dimension)
    direction = dimension.sort.direction if dimension.sort else "desc"
    if metric.aggregation == "count" and metric.field is None:
        return {f"m{number}" if metric.filter else "_count": direction}
    path = f"m{number}>value" if metric.filter else f"m{number}"
    suffix = {"median": ".50", "percentile": f".{metric.percentile}", "standard_deviation": ".std_deviation"}
    return {path + suffix.get(str(metric.aggregation), ""): direction}


def _table(chart: Chart, response: Json, view: View) -> Answer:
    dimensions = list(chart.dimensions())
    columns = [_dimension_column(chart, number, each) for number, each in enumerate(dimensions)]
    columns += [_metric_column(chart, number, each) for number, each in enumerate(chart.figures())]
    top = {**response.get("aggregations", {}), "doc_count": response["hits"]["total"]["value"]}
    rows = list(_rows(chart, dimensions, top, []))
    if isinstance(chart, XY) and len(dimensions) == 2 and dimensions[1].type == "date_histogram":
        columns[0], columns[1] = columns[1], columns[0]
        rows = [[row[1], row[0], *row[2:]] for row in rows]
    over_time = next((each for each in dimensions if each.type == "date_histogram"), None)
    if isinstance(chart, DataTable) and chart.sorting:
        by = chart.column_ids().index(chart.sorting.column_id)
        rows.sort(key=lambda row: (row[by] is not None, row[by]), reverse=chart.sorting.direction == "desc")
    return Answer(columns, rows, view.interval(over_time.minimum_interval) * 1000 if over_time else None)


def _dimension_column(chart: Chart, number: int, dimension: Dimension) -> Column:
    if isinstance(chart, XY):
        role = "x" if dimension == chart.dimension else "series"
    else:
        role = "row" if isinstance(chart, DataTable) else "ring"
    kind = fields(chart.data_view).get(dimension.field or "", "keyword")
    shown = "time" if kind == "date" and dimension.type in ("values", "date_histogram") else "text"
    filtered = dimension.field if dimension.type == "values" else None
    return Column(f"d{number}", dimension.label, role, shown, filtered)


def _metric_column(chart: Chart, number: int, metric: Metric) -> Column:
    kind = fields(chart.data_view).get(metric.field or "", "number")
    shown = "number"
    if metric.aggregation in ("last_value", "min", "max"):
        shown = {"date": "time", "keyword": "text", "text": "text", "boolean": "text"}.get(kind, "number")
    color = metric.color if isinstance(metric.color, str) or metric.color is None else metric.color.model_dump()
    form = metric.format.model_dump(exclude_none=True) if metric.format else None
    return Column(f"m{number}", metric.label, "metric", shown, None, form, metric.axis or "left", color)


def _rows(chart: Chart, dimensions: Sequence[Dimension], bucket: Json, before: list[Value]) -> Iterator[list[Value]]:
    if not dimensions:
        yield before + [_figure(metric, number, bucket) for number, metric in enumerate(chart.figures())]
        return
    for key, inner in _groups(dimensions[0], bucket.get("group", {})):
        if inner["doc_count"] or dimensions[0].type != "values":
            yield from _rows(chart, dimensions[1:], inner, [*before, key])


def _groups(dimension: Dimension, group: Json) -> Iterator[tuple[Value, Json]]:
    buckets = group.get("buckets", [])
    if isinstance(buckets, dict):  # of filters; in the order of the definition
        yield from ((each.label, buckets[each.label]) for each in dimension.filters if each.label in buckets)
        return
    if dimension.type == "intervals":  # Elasticsearch puts them in order of their bounds
        named = {bucket["key"]: bucket for bucket in buckets}
        yield from ((each.label, named[each.label]) for each in dimension.intervals if each.label in named)
        return
    for bucket in buckets:
        yield bucket.get("key_as_string", bucket["key"]), bucket


def _figure(metric: Metric, number: int, bucket: Json) -> Value:
    if metric.formula is not None:
        parsed = formula.parse(metric.formula)
        figures = {
            call: _number(call.function, call.field, bool(call.kql), bucket, f"m{number}_{order}")
            for order, call in enumerate(parsed.calls)
        }
        return parsed.value(figures)
    if metric.aggregation == "last_value":
        hits = bucket.get(f"m{number}", {}).get("value", {}).get("hits", {}).get("hits", [])
        value: Any = hits[0]["_source"].get(metric.field) if hits else None
        if isinstance(value, list):
            return ", ".join(map(str, value))
        return str(value).lower() if isinstance(value, bool) else cast(Value, value)
    return cast(Value, _number(str(metric.aggregation), metric.field, bool(metric.filter), bucket, f"m{number}"))


def _number(function: str, name: str | None, filtered: bool, bucket: Json, key: str) -> Any:
    """A figure out of a bucket: a number, a time as text, or None where there is nothing to compute it of."""
    inner = bucket if not filtered else bucket.get(key, {"doc_count": 0})
    if name is None:
        return inner["doc_count"]
    found = inner.get("value", {}) if filtered else bucket.get(key, {})
    if function in ("median", "percentile"):
        return next(iter(found.get("values", {}).values()), None)
    if function == "standard_deviation":
        return found.get("std_deviation")
    return found.get("value_as_string") or found.get("value")


def _flat(panel: Panel, response: Json) -> Answer:
    """The groups of a drawing's first source, with the figures in them."""
    assert panel.vega
    (name, group), *_ = next(panel.vega.sources())["url"]["body"]["aggs"].items()
    buckets = response.get("aggregations", {}).get(name, {}).get("buckets", [])
    figures = [each for each, inner in group.get("aggs", {}).items() if "geo_centroid" not in inner]
    columns = [Column("d0", name, "row", "text", group.get("terms", {}).get("field"))]
    columns += [Column(f"m{number}", each.replace("_", " "), "metric", "number") for number, each in enumerate(figures)]
    return Answer(
        columns,
        [
            [bucket.get("key_as_string", bucket["key"]), *(_plain(bucket[each]) for each in figures)]
            for bucket in buckets
        ],
    )


def _plain(found: Json) -> Value:
    """The value of an aggregation; of a filter with one aggregation in it, that one's."""
    if "value" in found:
        return cast(Value, found["value"])
    inner = [each["value"] for each in found.values() if isinstance(each, dict) and "value" in each]
    return cast(Value, inner[0] if len(inner) == 1 else found.get("doc_count"))
