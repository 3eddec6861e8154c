"""The dashboards of kibana/dashboards/*.yaml, read and checked: one definition for Kibana, its test and the live view.

The files are what kb-dashboard compiles for Kibana (`make dashboards`). This module knows the part of that language
which we use and refuses the rest with a sentence, so that what the live view shows is what Kibana shows. The fields
mean what they mean in its documentation; the sizes are in Kibana's grid of 48 columns.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from settings import ROOT

FOLDER = ROOT / "kibana" / "dashboards"
TEMPLATES = ROOT / "kibana" / "index_templates"
OUTLINES = ROOT / "services" / "live_view" / "node_modules" / "world-atlas" / "countries-110m.json"
GRID_COLUMNS = 48
REFRESH_SECONDS = 30  # of every dashboard, in Kibana and in the live view
AGGREGATABLE = frozenset({"keyword", "date", "boolean", "long", "integer", "short", "byte", "double", "float", "ip"})


class DashboardError(Exception):
    """A dashboard's file is wrong; the message says where and what to do."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Kql(_Model):
    """A query in Kibana's language; of it, what kibana/kql.py knows."""

    kql: str


class Format(_Model):
    """How a number is written; a percent is given as a share, 0 to 1."""

    type: Literal["number", "percent", "bytes", "duration"]
    decimals: int | None = None
    compact: bool | None = None
    suffix: str | None = None


class Threshold(_Model):
    """This color, for values up to this."""

    up_to: float
    color: str


class MetricColor(_Model):
    """The color of a figure by its value."""

    apply_to: Literal["value", "background", "cell", "text"] | None = None
    range_type: Literal["number", "percent"] = "number"
    range_min: float | None = None
    range_max: float | None = None
    thresholds: tuple[Threshold, ...]


class Metric(_Model):
    """One figure of a group of documents: an aggregation of a field, or a formula of such."""

    id: str | None = None
    label: str
    aggregation: (
        Literal[
            "count", "unique_count", "sum", "average", "min", "max", "median", "standard_deviation", "percentile",
            "last_value",
        ]
        | None
    ) = None  # fmt: skip
    formula: str | None = None
    field: str | None = None
    date_field: str | None = None
    percentile: int | None = None
    filter: Kql | None = None
    format: Format | None = None
    axis: Literal["left", "right"] | None = None
    color: str | MetricColor | None = None
    appearance: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Metric:
        if (self.formula is None) == (self.aggregation is None):
            raise ValueError("give either `aggregation` or `formula`")
        if self.aggregation and self.aggregation != "count" and self.field is None:
            raise ValueError(f"`{self.aggregation}` needs a `field`")
        if self.aggregation == "last_value" and self.date_field is None:
            raise ValueError("`last_value` needs the `date_field` by which a value is the last")
        if (self.aggregation == "percentile") != (self.percentile is not None):
            raise ValueError("`percentile` goes with `aggregation: percentile`, and only with it")
        return self


class Sort(_Model):
    """By which metric (its label) groups are chosen and put in order."""

    by: str
    direction: Literal["asc", "desc"]


class NamedQuery(_Model):
    """One group of a `filters` dimension."""

    label: str
    query: Kql


class Interval(_Model):
    """One group of an `intervals` dimension: from (with) to (without)."""

    from_value: int | None = Field(None, alias="from")
    to_value: int | None = Field(None, alias="to")
    label: str


class Dimension(_Model):
    """What documents are put into groups by."""

    type: Literal["values", "date_histogram", "filters", "intervals"]
    label: str
    id: str | None = None
    field: str | None = None
    size: int = 3
    sort: Sort | None = None
    show_other_bucket: bool = True
    include_missing_values: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    minimum_interval: str | None = None
    filters: tuple[NamedQuery, ...] = ()
    intervals: tuple[Interval, ...] = ()
    appearance: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Dimension:
        if self.type == "filters":
            if not self.filters:
                raise ValueError("a dimension of type `filters` needs `filters`")
        elif self.field is None:
            raise ValueError(f"a dimension of type `{self.type}` needs a `field`")
        if self.type == "intervals" and not self.intervals:
            raise ValueError("a dimension of type `intervals` needs `intervals`")
        if self.type == "values" and self.show_other_bucket:
            raise ValueError("say `show_other_bucket: false`: what is left out is not added up here")
        return self


class ColorAssignment(_Model):
    """The color of a value of the breakdown."""

    value: str | None = None
    values: tuple[str, ...] = ()
    color: str


class Colors(_Model):
    """Colors by value, the rest from a palette."""

    palette: str | None = None
    assignments: tuple[ColorAssignment, ...] = ()

    def by_value(self) -> dict[str, str]:
        """Value of the breakdown -> its color."""
        return {
            value: each.color
            for each in self.assignments
            for value in (*each.values, *([each.value] if each.value is not None else []))
        }


class _Chart(_Model):
    data_view: str  # the index, without prefix
    query: Kql | None = None
    appearance: dict[str, Any] | None = None

    def dimensions(self) -> Sequence[Dimension]:
        """What it groups by, in the order in which Kibana puts the groups into one another."""
        raise NotImplementedError

    def figures(self) -> Sequence[Metric]:
        """Its metrics."""
        raise NotImplementedError


class Figure(_Chart):
    """A big number."""

    type: Literal["metric"]
    primary: Metric

    def dimensions(self) -> Sequence[Dimension]:
        """None: it is of all documents."""
        return ()

    def figures(self) -> Sequence[Metric]:
        """The number."""
        return (self.primary,)


class XY(_Chart):
    """Lines, areas or bars over a dimension, with a series for each value of the breakdown and each metric."""

    type: Literal["line", "area", "bar"]
    dimension: Dimension
    metrics: tuple[Metric, ...] = Field(min_length=1)
    breakdown: Dimension | None = None
    mode: Literal["stacked", "unstacked", "percentage"] | None = None
    color: Colors | None = None

    def dimensions(self) -> Sequence[Dimension]:
        """The breakdown goes around a time axis, so that its top values are those of the whole time."""
        if self.breakdown is None:
            return (self.dimension,)
        over_time = self.dimension.type == "date_histogram"
        return (self.breakdown, self.dimension) if over_time else (self.dimension, self.breakdown)

    def figures(self) -> Sequence[Metric]:
        """One series each."""
        return self.metrics


class Pie(_Chart):
    """Shares of a whole; a second breakdown is a second ring."""

    type: Literal["pie"]
    metrics: tuple[Metric, ...] = Field(min_length=1, max_length=1)
    breakdowns: tuple[Dimension, ...] = Field(min_length=1, max_length=2)
    color: Colors | None = None

    def dimensions(self) -> Sequence[Dimension]:
        """The inner ring first."""
        return self.breakdowns

    def figures(self) -> Sequence[Metric]:
        """What the slices measure."""
        return self.metrics


class Sorting(_Model):
    """The column (its `id`) that the rows are in order of."""

    column_id: str
    direction: Literal["asc", "desc"] = "asc"


class DataTable(_Chart):
    """A table: a row for each group, a column for each metric."""

    type: Literal["datatable"]
    metrics: tuple[Metric, ...] = Field(min_length=1)
    breakdowns: tuple[Dimension, ...] = Field(min_length=1)
    sorting: Sorting | None = None
    paging: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_in_order_of_a_column(self) -> DataTable:
        if self.sorting and self.sorting.column_id not in self.column_ids():
            raise ValueError(f"`sorting` names `{self.sorting.column_id}`, which is no column's `id`")
        return self

    def column_ids(self) -> list[str | None]:
        """The `id` of each column, None where it has none."""
        return [*(each.id for each in self.breakdowns), *(each.id for each in self.metrics)]

    def dimensions(self) -> Sequence[Dimension]:
        """The first columns."""
        return self.breakdowns

    def figures(self) -> Sequence[Metric]:
        """The other columns."""
        return self.metrics


Chart = Annotated[Figure | XY | Pie | DataTable, Field(discriminator="type")]


class Markdown(_Model):
    """Text for people."""

    content: str
    font_size: int | None = None
    links_in_new_tab: bool | None = None


class Link(_Model):
    """To a dashboard of ours, or elsewhere."""

    label: str
    dashboard: str | None = None
    url: str | None = None
    new_tab: bool | None = None
    with_time: bool | None = None
    with_filters: bool | None = None


class Links(_Model):
    """Links to other dashboards."""

    layout: Literal["horizontal", "vertical"] = "horizontal"
    items: tuple[Link, ...]


class Vega(_Model):
    """A drawing in Vega's language; each of its data sources with an `index` is a search."""

    spec: dict[str, Any]

    def sources(self) -> Iterator[dict[str, Any]]:
        """Its data sources that ask Elasticsearch."""
        for source in self.spec.get("data", []):
            if isinstance(source.get("url"), dict):
                yield source


class Size(_Model):
    """In columns and rows of the grid."""

    w: int = Field(gt=0, le=GRID_COLUMNS)
    h: int = Field(gt=0)


class Drilldown(_Model):
    """Where a click on the panel leads."""

    name: str
    dashboard: str
    id: str | None = None
    with_filters: bool = True
    with_time: bool = True
    triggers: tuple[str, ...] = ("click",)


class Panel(_Model):
    """One panel: exactly one of `lens`, `markdown`, `links` and `vega` is given."""

    title: str
    size: Size
    id: str
    description: str = ""
    hide_title: bool = False
    drilldowns: tuple[Drilldown, ...] = ()
    lens: Chart | None = None
    markdown: Markdown | None = None
    links: Links | None = None
    vega: Vega | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> Panel:
        if sum(part is not None for part in (self.lens, self.markdown, self.links, self.vega)) != 1:
            raise ValueError("a panel is one of `lens`, `markdown`, `links` and `vega`")
        return self

    def indices(self) -> set[str]:
        """The indices that it reads, without prefix."""
        if self.lens:
            return {self.lens.data_view}
        return {source["url"]["index"] for source in self.vega.sources()} if self.vega else set()


class Control(_Model):
    """A filter that people set: some values of a field."""

    id: str
    type: Literal["options"]
    label: str
    data_view: str
    field: str
    multiple: bool = True
    width: Literal["small", "medium", "large"] | None = None
    fill_width: bool | None = None


class TimeRange(_Model):
    """What is shown when nothing else was chosen."""

    from_time: str = Field(alias="from")
    to_time: str = Field("now", alias="to")


class Dashboard(_Model):
    """A dashboard as its file tells it."""

    id: str
    name: str
    description: str
    time_range: TimeRange
    settings: dict[str, Any] | None = None
    controls: tuple[Control, ...] = ()
    panels: tuple[Panel, ...] = Field(min_length=1)

    def panel(self, name: str) -> Panel:
        """The panel of this id. Raises KeyError."""
        return next((panel for panel in self.panels if panel.id == name), None) or _no(name)

    def indices(self) -> set[str]:
        """The indices that its panels read, without prefix."""
        return set().union(*(panel.indices() for panel in self.panels))

    def places(self) -> dict[str, tuple[int, int]]:
        """Panel id -> (column, row) of its upper left corner: each panel as high, then as far left as it fits.

        That is kb-dashboard's layout `up-left`.
        """
        taken: dict[int, int] = defaultdict(int)  # row -> its taken columns, as bits
        found = {}
        for panel in self.panels:
            width, height = panel.size.w, panel.size.h
            bits, column, row = (1 << width) - 1, 0, 0
            while any(taken[row + below] & bits << column for below in range(height)):
                column, row = (column + 1, row) if column + 1 + width <= GRID_COLUMNS else (0, row + 1)
            for below in range(height):
                taken[row + below] |= bits << column
            found[panel.id] = (column, row)
        return found


def _no(panel: str) -> Panel:
    raise KeyError(panel)


@cache
def outlines() -> dict[str, Any] | None:
    """The countries' outlines as TopoJSON, for the data source `outlines` of a drawing; None where npm has not run.

    They are Natural Earth's, in the public domain, as the npm package world-atlas has them.
    """
    if not OUTLINES.is_file():
        return None
    found: dict[str, Any] = json.loads(OUTLINES.read_text(encoding="utf-8"))
    return found


@cache
def fields(index: str) -> dict[str, str]:
    """Field -> its type, as kibana/index_templates declares it; of subfields too. Raises DashboardError."""
    file = TEMPLATES / f"{index}.json"
    if not file.is_file():
        raise DashboardError(f"There is no index `{index}`: kibana/index_templates has no {file.name}.")
    template = json.loads(file.read_text(encoding="utf-8"))["template"]
    return dict(_fields(template["mappings"]["properties"]))


def _fields(properties: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Those of a mapping; of objects within a document too, whose fields Elasticsearch keeps as lists of values."""
    for name, mapping in properties.items():
        yield prefix + name, mapping.get("type", "object")
        for subfield, more in mapping.get("fields", {}).items():
            yield f"{prefix}{name}.{subfield}", more["type"]
        yield from _fields(mapping.get("properties", {}), f"{prefix}{name}.")


@cache
def time_field(index: str) -> str:
    """The field that the time range of a dashboard is about. Raises DashboardError."""
    fields(index)
    template = json.loads((TEMPLATES / f"{index}.json").read_text(encoding="utf-8"))
    name = template["_meta"].get("time_field")
    if fields(index).get(name) != "date":
        raise DashboardError(f"kibana/index_templates/{index}.json names no date as its `_meta.time_field`.")
    return str(name)


def read(file: Path) -> list[Dashboard]:
    """The dashboards of one file. Raises DashboardError with every problem of it."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        found = [Dashboard.model_validate(each) for each in content["dashboards"]]
    except ValidationError as error:
        problems = [f"  {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise DashboardError("\n".join([f"{file.name} is wrong:", *problems])) from None
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DashboardError(f"{file.name} is no file of dashboards: {error}") from None
    for dashboard in found:
        problems = list(_problems(dashboard))
        if problems:
            raise DashboardError("\n".join([f"{file.name} is wrong:", *(f"  {problem}" for problem in problems)]))
    return found


def _problems(dashboard: Dashboard) -> Iterator[str]:
    names = [panel.id for panel in dashboard.panels]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two panels have the id `{name}`"
    for control in dashboard.controls:
        if fields(control.data_view).get(control.field) not in AGGREGATABLE:
            yield f"control `{control.id}`: `{control.field}` of {control.data_view} is no field to choose values of"


def load(folder: Path = FOLDER) -> dict[str, Dashboard]:
    """Id -> dashboard, of all files, by name of the file. Raises DashboardError, also for a link that leads nowhere."""
    found: dict[str, Dashboard] = {}
    for file in sorted(folder.glob("*.yaml")):
        for dashboard in read(file):
            if dashboard.id in found:
                raise DashboardError(f"{file.name}: there already is a dashboard with the id `{dashboard.id}`.")
            found[dashboard.id] = dashboard
    for dashboard in found.values():
        for panel in dashboard.panels:
            targets = [link.dashboard for link in panel.links.items if link.dashboard] if panel.links else []
            for target in (*targets, *(drilldown.dashboard for drilldown in panel.drilldowns)):
                if target not in found:
                    raise DashboardError(f"{dashboard.id}, panel `{panel.id}`: there is no dashboard `{target}`.")
    return found
