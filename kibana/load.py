"""Data views and dashboards into Kibana: kibana/index_templates and kibana/dashboards/*.ndjson -> saved objects.

    python -m kibana.load              to Kibana on 127.0.0.1:5601, or to CROWDPULSE_KIBANA_URL
    python -m kibana.load --wait 600   a Kibana that starts for the first time can take minutes

Every index has a data view of its name, which is also its id: the compiled dashboards refer to it by that. Data views
and dashboards go in one import, so that nothing is changed when one of them conflicts or lacks something, and so that
Kibana itself can give them other ids where these are taken, in another of its spaces. A second import overwrites the
same objects; what someone changed in them by hand is lost, other objects stay as they are.

The two contracts: the `_import` of the saved objects API (every object is in `successResults` or in `errors`), and
`/api/status`. Kibana checks no reference from dashboard to dashboard, so this does, before it sends anything.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import requests
from rich.console import Console

from kibana.dashboards import FOLDER, TEMPLATES, outlines, time_field
from settings import settings

WAIT_SECONDS = 180.0
POLL_SECONDS = 1.0
ANSWER_SECONDS = 10.0
IMPORT_SECONDS = 120.0

SavedObject = dict[str, Any]


class LoadError(Exception):
    """What stands in the way, a sentence for each problem; the text is shown to a person as it is."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))


def data_views() -> list[SavedObject]:
    """One data view per index template, as Kibana exports it; its time field is the one that the template names.

    Its id is the index without the prefix, its title the index with it.
    """
    views = []
    for file in sorted(TEMPLATES.glob("*.json")):
        index = settings().prefix + file.stem
        views.append(
            {
                "type": "index-pattern",
                "id": file.stem,
                "attributes": {
                    "title": index,
                    "name": index,
                    "timeFieldName": time_field(file.stem),
                    "allowNoIndex": True,  # a job makes the index with its first document
                },
                "references": [],
                # The form that these attributes have since Kibana 8.0: without it, Kibana would mend it from 6.5 on.
                "coreMigrationVersion": "8.8.0",
                "typeMigrationVersion": "8.0.0",
            }
        )
    return views


def dashboards(folder: Path) -> list[SavedObject]:
    """The objects of every .ndjson of `folder`; those that stand in two files, as in the compiler's summary, once.

    Raises LoadError when there are none, for a line that is no saved object, and for two objects under one id.
    """
    found: dict[tuple[str, str], SavedObject] = {}
    for file in sorted(folder.glob("*.ndjson")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            try:
                saved = json.loads(line)
                key = (saved["type"], saved["id"])
            except (ValueError, KeyError, TypeError) as error:
                raise LoadError(
                    f"Line {number} of {file.name} is no saved object ({error!r}): `make dashboards` compiles it again."
                ) from error
            if found.setdefault(key, saved) != saved:
                raise LoadError(f"{_name(saved)} stands in {file.name} and, with other contents, in a file before it.")
    if not found:
        raise LoadError(f"There are no compiled dashboards in {folder}: `make dashboards` makes them.")
    return list(found.values())


def drawn_here(dashboard: SavedObject, prefix: str) -> SavedObject:
    """`dashboard` with what its Vega drawings need here, any other object as it is.

    That is `prefix` before their indices, since they name an index and not a data view, and the countries' outlines,
    which are not in the compiled file.
    """
    if dashboard["type"] != "dashboard":
        return dashboard
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    for panel in panels:
        drawing = panel["embeddableConfig"].get("savedVis", {})
        if drawing.get("type") == "vega":
            spec = json.loads(drawing["params"]["spec"])
            for source in spec["data"]:
                if isinstance(source.get("url"), dict):
                    source["url"]["index"] = prefix + source["url"]["index"]
                elif source["name"] == "outlines" and outlines():
                    source["values"] = outlines()
            drawing["params"]["spec"] = json.dumps(spec)
    return {**dashboard, "attributes": {**dashboard["attributes"], "panelsJSON": json.dumps(panels)}}


def unresolved(objects: list[SavedObject]) -> list[str]:
    """A sentence for each object that refers to what is not among `objects`."""
    known = {(saved["type"], saved["id"]) for saved in objects}
    problems = []
    for saved in objects:
        missing = {(to["type"], to["id"]) for to in saved.get("references", [])} - known
        if missing:
            names = ", ".join(f"{kind} {identifier}" for kind, identifier in sorted(missing))
            problems.append(
                f"{_name(saved)} refers to {names}, which is no index of kibana/index_templates and no dashboard."
            )
    return problems


class Kibana:
    """A Kibana server, and the space of it that is written to.

    Args:
        url: its base address, with its base path if it has one.
        space: the id of the space; empty: the default one.
        username, password, api_key: who asks; all empty: no login.
        ca: PEM file of the authority that signed its certificate; empty: the authorities of this machine.
    """

    def __init__(
        self, url: str, *, space: str = "", username: str = "", password: str = "", api_key: str = "", ca: str = ""
    ) -> None:
        self.url = url.rstrip("/")
        self.space = space
        self._session = requests.Session()
        self._session.headers["kbn-xsrf"] = "crowdpulse"
        if ca and not Path(ca).is_file():
            raise LoadError(f"The certificate authority {ca} is no file: see --ca and CROWDPULSE_ELASTICSEARCH_SSL_CA.")
        # Given with each request: REQUESTS_CA_BUNDLE would go before the session's own.
        self._verify: str | None = ca or None
        if api_key:
            # A header of the session would lose against a machine's .netrc.
            self._session.auth = lambda request: _with_header(request, f"ApiKey {api_key}")
        elif username:
            self._session.auth = (username, password)

    def wait(self, seconds: float, console: Console) -> None:
        """Until Kibana can be written to. Raises LoadError when it cannot after `seconds`, or says that it never will.

        `degraded` will do: an optional part of Kibana, such as Fleet without the internet, is not what we need.
        """
        deadline = time.monotonic() + seconds
        said = ""
        with console.status(f"Waiting for Kibana at {self.url} …"):
            while True:
                reason = self._not_ready()
                if not reason:
                    return
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LoadError(
                        f"Kibana at {self.url} {reason}, after {seconds:.0f} s. Is it started, and is"
                        " CROWDPULSE_KIBANA_URL its address? A first start takes minutes: `--wait` gives it more."
                    )
                if reason != said:
                    console.print(f"Kibana at {self.url} {reason}; waiting up to {left:.0f} s.", highlight=False)
                    said = reason
                time.sleep(min(POLL_SECONDS, left))

    def _not_ready(self) -> str:
        try:
            answer = self._ask("GET", f"{self.url}/api/status", seconds=ANSWER_SECONDS)
        except requests.exceptions.SSLError as error:
            raise LoadError(
                f"The certificate of {self.url} is not trusted: give the PEM file of its authority by --ca ({error})."
            ) from error
        except (requests.ConnectionError, requests.Timeout):
            return "does not answer"
        except requests.RequestException as error:
            raise LoadError(f"{self.url} is no address of Kibana ({error}): see CROWDPULSE_KIBANA_URL.") from error
        if answer.status_code in (502, 503, 504):  # its own answer, or that of a proxy before it
            return f"is not ready ({_level(answer) or 'starting'})"
        self._check(answer)
        level = _level(answer)
        if not level:
            raise LoadError(f"What answers at {self.url} is not Kibana: its /api/status tells no level.")
        return "" if level in ("available", "degraded") else f"is {level}"

    def check_space(self) -> None:
        """Raises LoadError when there is no such space: Kibana would write into it all the same, where nobody looks."""
        if not self.space:
            return
        answer = self._ask("GET", f"{self.url}/api/spaces/space/{self.space}", seconds=ANSWER_SECONDS)
        if answer.status_code == requests.codes.not_found:
            raise LoadError(
                f"Kibana has no space {self.space}: make it under Stack Management, or change CROWDPULSE_KIBANA_SPACE."
            )
        self._check(answer)

    def import_objects(self, objects: list[SavedObject], *, overwrite: bool = True) -> dict[str, str]:
        """Write `objects`. Returns the ids that Kibana gave to those whose own were taken in another space, by old id.

        Raises LoadError with a sentence for each object that was not imported.
        """
        lines = "".join(json.dumps(saved, ensure_ascii=False) + "\n" for saved in objects)
        answer = self._ask(
            "POST",
            f"{self.in_space}/api/saved_objects/_import?overwrite={str(overwrite).lower()}",
            seconds=IMPORT_SECONDS,
            files={"file": ("crowdpulse.ndjson", lines.encode(), "application/ndjson")},
        )
        self._check(answer)
        try:
            result = answer.json()
            imported = {(done["type"], done["id"]): done for done in result.get("successResults", [])}
            problems = [problem_of(error) for error in result.get("errors", [])]
            failed = {(error["type"], error["id"]) for error in result.get("errors", [])}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LoadError(
                f"Kibana's answer to the import is not what its documentation says: {answer.text[:300]}"
            ) from error
        for saved in objects:
            key = (saved["type"], saved["id"])
            if key not in imported and key not in failed:
                problems.append(f"{_name(saved)} was not imported, and Kibana does not say why.")
        if not problems and not result.get("success"):
            problems.append("Kibana says that the import failed, and not why: see its log.")
        if problems:
            raise LoadError(*problems)
        return {done["id"]: done["destinationId"] for done in imported.values() if done.get("destinationId")}

    @property
    def in_space(self) -> str:
        """The address of its space."""
        return f"{self.url}/s/{self.space}" if self.space else self.url

    def _ask(self, method: str, address: str, *, seconds: float, files: Any = None) -> requests.Response:
        return self._session.request(
            method, address, files=files, timeout=seconds, allow_redirects=False, verify=self._verify
        )

    def _check(self, answer: requests.Response) -> None:
        """Raises LoadError for an answer that is not 200, with what to do about it."""
        status = answer.status_code
        if status == requests.codes.ok:
            return
        where = f" of the space {self.space}" if self.space else ""
        advice = {
            401: "Kibana wants a login that it knows: set CROWDPULSE_KIBANA_USERNAME and CROWDPULSE_KIBANA_PASSWORD, or"
            " CROWDPULSE_KIBANA_API_KEY",
            403: f"this user may not write dashboards and data views{where}: its role needs Dashboards and"
            " Data View Management, both with All",
            404: f"{self.url} has no such API: CROWDPULSE_KIBANA_URL is to be Kibana's address, with its base path",
            413: "the dashboards are larger than Kibana takes: see savedObjects.maxImportPayloadBytes in kibana.yml",
        }
        if 300 <= status < 400:
            target = answer.headers.get("Location", "nowhere")
            raise LoadError(f"{self.url} leads on to {target}: set CROWDPULSE_KIBANA_URL to where Kibana itself is.")
        known = advice.get(status, "its log says more")
        raise LoadError(f"Kibana answered {status}: {known} ({_message(answer)}).")


def problem_of(error: dict[str, Any]) -> str:
    """The sentence for one entry of `errors` of an import."""
    who = _name(error)
    why = error["error"]
    match why.get("type"):
        case "missing_references":
            missing = ", ".join(f"{to['type']} {to['id']}" for to in why["references"])
            return f"{who} refers to {missing}, which Kibana does not have."
        case "conflict":
            return f"{who} is in Kibana already and was not overwritten."
        case "ambiguous_conflict":
            others = ", ".join(str(other["id"]) for other in why["destinations"])
            return f"{who} could be any of {others} in Kibana: delete all of them but one there."
        case "unsupported_type":
            return f"{who} is of a type that this Kibana cannot import: is it older than 8.19?"
        case _:
            return f"{who} was refused: {why.get('message', why)}."


def _name(saved: dict[str, Any]) -> str:
    kind = {"dashboard": "The dashboard", "index-pattern": "The data view"}.get(saved["type"], f"The {saved['type']}")
    title = (saved.get("meta") or saved.get("attributes") or {}).get("title")
    return f"{kind} {title} ({saved['id']})" if title and title != saved["id"] else f"{kind} {saved['id']}"


def _with_header(request: requests.PreparedRequest, authorization: str) -> requests.PreparedRequest:
    request.headers["Authorization"] = authorization
    return request


def _level(answer: requests.Response) -> str:
    """The overall level in an answer of /api/status; empty when it tells none."""
    try:
        return str(answer.json()["status"]["overall"]["level"])
    except (ValueError, KeyError, TypeError):
        return ""


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json()["message"]).rstrip(".")
    except (ValueError, KeyError, TypeError):
        return answer.text[:300].strip() or answer.reason


def from_settings(ca: str = "") -> Kibana:
    """The Kibana of the settings; KIBANA_URL, as other tools know it, counts where CROWDPULSE_KIBANA_URL is not set.

    Who has no login of Kibana's own asks with that of Elasticsearch, which Kibana knows too. `ca`: see Kibana; empty:
    the authority of Elasticsearch, if that is set. Raises LoadError for a user without a password.
    """
    chosen = settings()
    url = chosen.kibana_url
    if "kibana_url" not in chosen.model_fields_set:
        url = os.environ.get("KIBANA_URL") or url
    login = "kibana" if chosen.kibana_username or chosen.kibana_api_key.get_secret_value() else "elasticsearch"
    username, password, api_key = (getattr(chosen, f"{login}_{part}") for part in ("username", "password", "api_key"))
    if username and not password.get_secret_value() and not api_key.get_secret_value():
        raise LoadError(
            f"CROWDPULSE_{login.upper()}_USERNAME is set, CROWDPULSE_{login.upper()}_PASSWORD is not: set both or none."
        )
    return Kibana(
        url,
        space="" if chosen.kibana_space == "default" else chosen.kibana_space,
        username=username,
        password=password.get_secret_value(),
        api_key=api_key.get_secret_value(),
        ca=ca or chosen.elasticsearch_ssl_ca,
    )


def load(kibana: Kibana, objects: list[SavedObject], wait_seconds: float, console: Console) -> None:
    """Wait for Kibana, then import `objects`. Raises LoadError, a sentence a problem."""
    if problems := unresolved(objects):
        raise LoadError(*problems)
    kibana.wait(wait_seconds, console)
    kibana.check_space()
    console.print(f"Kibana at {kibana.url} is ready: importing {len(objects)} objects.", highlight=False)
    others = kibana.import_objects(objects)
    for saved in objects:
        if saved["type"] == "dashboard":
            address = f"{kibana.in_space}/app/dashboards#/view/{others.get(saved['id'], saved['id'])}"
            console.print(f"  {saved['attributes']['title']}: {address}", highlight=False)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kibana.load",
        description="Import the data views and the compiled dashboards into Kibana; again changes nothing.",
        epilog="CROWDPULSE_KIBANA_URL (or KIBANA_URL) and the settings beside it say where: see .env.example.",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for a Kibana that starts (default: {WAIT_SECONDS:.0f})",
    )
    parser.add_argument("--ca", default="", metavar="FILE", help="PEM file of the authority of Kibana's certificate")
    options = parser.parse_args(arguments)
    console = Console(soft_wrap=True)
    try:
        found = [drawn_here(saved, settings().prefix) for saved in dashboards(FOLDER)]
        if outlines() is None:
            console.print("The maps have no outlines of countries: `make chart-libraries` fetches them with npm.")
        load(from_settings(options.ca), [*data_views(), *found], options.wait, console)
    except LoadError as error:
        print(error, file=sys.stderr)
        return 1
    except requests.RequestException as error:
        print(f"Kibana went away during the import ({error}): run this again, it overwrites.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
