"""The server of the live view: each panel's search goes to Elasticsearch, its answer as a table to the page.

It reads only: `_msearch`, and of Elasticsearch nothing else. The dashboards are read at the start: a changed file is
there after a restart.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from elasticsearch import ApiError, Elasticsearch, TransportError
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from markdown_it import MarkdownIt
from pydantic import BaseModel, ConfigDict, Field

from kibana import queries
from kibana.dashboards import REFRESH_SECONDS, Dashboard, Panel, outlines, time_field
from kibana.queries import Json, Search, View
from settings import settings

HERE = Path(__file__).parent
VENDOR = HERE / "node_modules"
SEARCH_SECONDS = 20
MAX_VALUES = 500  # of a filter
MAX_BODY_BYTES = 1_000_000  # of a question
# An index may have nothing new for so long: the longest windows that jobs write are ten minutes apart. Samples come
# every ten seconds; people are gathered when somebody wants to know of them, and post when they like. A chat sleeps at
# night, strikes are rarer, and the models are looked at once a day.
MAY_BE_SILENT_SECONDS = 20 * 60
SILENT_SECONDS = {
    "job_metrics": 120,
    "index_metrics": 120,
    "background_checks": 62 * 86_400,
    "background_captions": 62 * 86_400,
    "background_images": 62 * 86_400,
    "moderation_messages": 12 * 3600,
    "moderation_metrics": 12 * 3600,
    "moderation_users": 7 * 86_400,
    "model_monitoring": 26 * 3600,
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Seen(BaseModel):
    """What the page wants to see: times as Elasticsearch's date math or ISO 8601, and values by field."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    start: str = Field("now-1h", alias="from", max_length=40)
    end: str = Field("now", alias="to", max_length=40)
    filters: dict[str, Annotated[list[str], Field(max_length=MAX_VALUES)]] = {}

    def view(self) -> View:
        """Absolute times. Raises HTTPException 422 with a sentence."""
        now = datetime.now(UTC)
        try:
            return View(queries.instant(self.start, now), queries.instant(self.end, now), self.filters)
        except queries.RangeError as error:
            raise HTTPException(422, str(error)) from None


class PanelsWanted(Seen):
    """Which panels; all where none are named."""

    panels: list[str] | None = None


class OptionsWanted(Seen):
    """The values of a control that contain a text."""

    control: str
    search: str = Field("", max_length=100)


def _dashboard(name: str, request: Request) -> Dashboard:
    dashboards: Mapping[str, Dashboard] = request.app.state.dashboards
    if name not in dashboards:
        raise HTTPException(404, f"There is no dashboard `{name}`; there are {', '.join(dashboards)}.")
    return dashboards[name]


def _client(request: Request) -> Elasticsearch:
    client: Elasticsearch = request.app.state.elasticsearch
    return client


Chosen = Annotated[Dashboard, Depends(_dashboard)]
Client = Annotated[Elasticsearch, Depends(_client)]
routes = APIRouter()


@routes.get("/", include_in_schema=False)
def first(request: Request) -> RedirectResponse:
    """The first dashboard."""
    return RedirectResponse(f"/d/{next(iter(request.app.state.dashboards))}")


@routes.get("/d/{name}", include_in_schema=False)
def page(chosen: Chosen) -> FileResponse:
    """The page, which shows the dashboard that its address names."""
    return FileResponse(HERE / "static" / "index.html", media_type="text/html")


@routes.get("/api/dashboards")
def listed(request: Request) -> list[Json]:
    """All dashboards."""
    return [
        {"id": each.id, "name": each.name, "description": each.description}
        for each in request.app.state.dashboards.values()
    ]


@routes.get("/api/dashboards/{name}")
def described(chosen: Chosen) -> Json:
    """One dashboard."""
    return description(chosen)


@routes.post("/api/dashboards/{name}/data")
def data(chosen: Chosen, client: Client, wanted: PanelsWanted) -> Json:
    """What its panels show."""
    panels = [panel for panel in chosen.panels if wanted.panels is None or panel.id in wanted.panels]
    return shown(client, chosen, panels, wanted.view())


@routes.post("/api/dashboards/{name}/options")
def values(chosen: Chosen, client: Client, wanted: OptionsWanted) -> Json:
    """The values that a control offers, the most frequent first."""
    control = next((each for each in chosen.controls if each.id == wanted.control), None)
    if control is None:
        raise HTTPException(404, f"{chosen.id} has no control `{wanted.control}`.")
    search = queries.options(control.data_view, control.field, wanted.view(), wanted.search)
    (response,) = answers(client, [search])
    if "error" in response:
        raise HTTPException(503, problem(response))
    buckets = response.get("aggregations", {}).get("values", {}).get("buckets", [])
    return {"options": [{"value": _text(each), "count": each["doc_count"]} for each in buckets]}


@routes.get("/healthz")
def alive() -> Json:
    """Whether this process answers."""
    return {"status": "ok"}


@routes.get("/readyz")
def ready(request: Request, client: Client) -> Json:
    """Whether Elasticsearch does, too."""
    first_of_all = next(iter(request.app.state.dashboards.values()))
    for response in answers(client, [newest_of(index) for index in first_of_all.indices()]):
        if "error" in response:
            raise HTTPException(503, problem(response))
    return {"status": "ok"}


async def small_questions(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuses a body that is too long, or does not say how long it is, before it is read."""
    length = request.headers.get("content-length", "")
    if request.method == "POST" and not (length.isdecimal() and int(length[:20]) <= MAX_BODY_BYTES):
        return JSONResponse({"detail": f"A question has at most {MAX_BODY_BYTES:,} bytes, and says its length."}, 413)
    return await call(request)


async def with_headers(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
    """Nothing from elsewhere, and a page that is asked for anew after an update."""
    response = await call(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def application(dashboards: Mapping[str, Dashboard], client: Elasticsearch, names: Sequence[str] = ()) -> FastAPI:
    """The web application over these dashboards and this Elasticsearch.

    It answers to 127.0.0.1, localhost and `names` only: without a login, a foreign page could otherwise read everything
    by giving its own name this machine's address (DNS rebinding).
    """
    app = FastAPI(title="Crowdpulse live view", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.dashboards, app.state.elasticsearch = dashboards, client
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", *names])
    app.middleware("http")(small_questions)
    app.middleware("http")(with_headers)
    app.include_router(routes)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.mount("/vendor", StaticFiles(directory=VENDOR, check_dir=False))
    return app


def _text(bucket: Json) -> str:
    return str(bucket.get("key_as_string", bucket["key"]))


def description(dashboard: Dashboard) -> Json:
    """The dashboard as the page needs it: where each panel stands, what kind it is, how it looks."""
    places = dashboard.places()
    return {
        "id": dashboard.id,
        "name": dashboard.name,
        "description": dashboard.description,
        "time_range": {"from": dashboard.time_range.from_time, "to": dashboard.time_range.to_time},
        "refresh_seconds": REFRESH_SECONDS,
        "controls": [
            {"id": each.id, "label": each.label, "field": each.field, "multiple": each.multiple}
            for each in dashboard.controls
        ],
        "panels": [_panel(panel, places[panel.id]) for panel in dashboard.panels],
    }


def _panel(panel: Panel, place: tuple[int, int]) -> Json:
    found: Json = {
        "id": panel.id,
        "title": panel.title,
        "hide_title": panel.hide_title,
        "description": panel.description,
        "grid": {"x": place[0], "y": place[1], "w": panel.size.w, "h": panel.size.h},
        "drilldowns": [
            each.model_dump(include={"name", "dashboard", "with_filters", "with_time"}) for each in panel.drilldowns
        ],
    }
    if panel.markdown:
        # Without HTML in it: the text of a dashboard's file, and nothing else, is made into HTML here.
        html = MarkdownIt("commonmark", {"html": False}).enable("table").render(panel.markdown.content)
        return {**found, "kind": "markdown", "html": html}
    if panel.links:
        items = [
            {"label": each.label, **({"dashboard": each.dashboard} if each.dashboard else {"url": each.url})}
            for each in panel.links.items
        ]
        return {**found, "kind": "links", "items": items, "layout": panel.links.layout}
    if panel.vega:
        return {**found, "kind": "vega"}
    chart = panel.lens
    assert chart
    look = chart.appearance or {}
    match chart.type:
        case "metric":
            color = chart.primary.color
            by_value = color.model_dump() if color is not None and not isinstance(color, str) else None
            return {
                **found,
                "kind": "metric",
                "color": by_value,
                "static_color": color if isinstance(color, str) else None,
            }
        case "pie":
            colors = chart.color.by_value() if chart.color else {}
            return {**found, "kind": "pie", "donut": "donut" in look, "colors": colors}
        case "datatable":
            return {**found, "kind": "table"}
        case _:
            axes = {"x": "x_axis", "left": "y_left_axis", "right": "y_right_axis"}
            return {
                **found,
                "kind": "xy",
                "chart": chart.type,
                "mode": chart.mode or ("unstacked" if chart.type == "line" else "stacked"),
                "colors": chart.color.by_value() if chart.color else {},
                "axis_titles": {side: (look.get(name) or {}).get("title") for side, name in axes.items()},
            }


def shown(client: Elasticsearch, dashboard: Dashboard, panels: Sequence[Panel], view: View) -> Json:
    """The data of these panels, all of one moment; a panel that cannot be answered has an `error` instead.

    Raises HTTPException 503 when Elasticsearch does not answer.
    """
    began, as_of = time.monotonic(), datetime.now(UTC)
    asked = [(panel, queries.searches(panel, view)) for panel in panels]
    indices = sorted(dashboard.indices())
    newest = [newest_of(index) for index in indices]
    responses = iter(answers(client, [search for _, searches in asked for search in searches] + newest))
    replies = [(panel, [next(responses) for _ in searches]) for panel, searches in asked if searches]
    times = {index: _newest(response) for index, response in zip(indices, responses, strict=True)}
    return {
        "as_of": as_of.isoformat(),
        "from": view.start.isoformat(),
        "to": view.end.isoformat(),
        "newest": max(filter(None, times.values()), default=None),
        "took_ms": round((time.monotonic() - began) * 1000),
        "panels": {
            panel.id: panel_data(panel, found, view) | old(panel, times, as_of if view.end >= as_of else view.end)
            for panel, found in replies
        },
    }


def _newest(response: Json) -> str | None:
    found: str | None = response.get("aggregations", {}).get("newest", {}).get("value_as_string")
    return found


def old(panel: Panel, newest: Mapping[str, str | None], until: datetime) -> Json:
    """A warning where the newest document of the panel's indices is much older than the end of the time shown."""
    times = [when for index in panel.indices() if (when := newest.get(index))]
    if not times:
        return {}
    age = until - datetime.fromisoformat(max(times))
    if age.total_seconds() < min(SILENT_SECONDS.get(index, MAY_BE_SILENT_SECONDS) for index in panel.indices()):
        return {}
    minutes = age.total_seconds() / 60
    return {"warning": f"Nothing newer than {max(times)[:16].replace('T', ' ')} UTC, {minutes:,.0f} minutes before."}


def newest_of(index: str) -> Search:
    """The search for the time of the newest document of an index."""
    return Search(index, {"size": 0, "aggs": {"newest": {"max": {"field": time_field(index)}}}})


def panel_data(panel: Panel, responses: Sequence[Json], view: View) -> Json:
    """The table of one panel (for a drawing its spec too), or its error as a sentence."""
    for response in responses:
        if "error" in response:
            return {"error": problem(response), "columns": [], "rows": []}
    found = queries.answer(panel, responses, view).json()
    found["ignored_filters"] = view.ignored(panel.indices())
    if panel.vega:
        found["spec"] = queries.drawing(panel, responses, outlines())
    failed = sum(response.get("_shards", {}).get("failed", 0) for response in responses)
    if failed or any(response.get("timed_out") for response in responses):
        found["warning"] = "Elasticsearch answered for a part of the data only."
    return found


def answers(client: Elasticsearch, searches: Sequence[Search]) -> list[Json]:
    """The answers of all searches, in one request. Raises HTTPException 503 when Elasticsearch does not answer."""
    if not searches:
        return []
    lines: list[Json] = []
    for search in searches:
        # An index without documents so far is empty, not an error.
        lines += [{"index": settings().prefix + search.index, "ignore_unavailable": True}, search.body]
    try:
        found = client.options(request_timeout=SEARCH_SECONDS).msearch(searches=lines)
    except TransportError as error:
        raise HTTPException(503, f"Elasticsearch does not answer ({type(error).__name__}).") from None
    except ApiError as error:
        raise HTTPException(503, f"Elasticsearch answers {error.status_code}: {error.message}.") from None
    responses: list[Json] = found["responses"]
    return responses


def problem(response: Json) -> str:
    """What Elasticsearch says is wrong with a search, as a sentence."""
    error: Any = response["error"]
    causes = [*(error.get("root_cause") or []), error.get("caused_by") or {}, error]
    reason = next((each["reason"] for each in causes if each.get("reason")), error.get("type", "it does not say why"))
    return f"Elasticsearch cannot answer this panel: {str(reason).rstrip('.')}."
