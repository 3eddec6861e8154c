"""What `python -m kibana.load` puts into a Kibana, and what it says when that cannot be done."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from rich.console import Console

from kibana import dashboards as files
from kibana import load
from settings import settings
from tests.kibana_server import Kibana, KibanaServer
from tests.local_server import LocalServer, QuietHandler

Json = dict[str, Any]


def dashboard(identifier: str, title: str, *references: tuple[str, str]) -> Json:
    """A dashboard as the compiler writes it, its panels left out."""
    return {
        "type": "dashboard",
        "id": identifier,
        "attributes": {"title": title, "panelsJSON": "[]", "timeRestore": False, "version": 1},
        "references": [
            {"type": kind, "id": target, "name": f"panel_{number}"} for number, (kind, target) in enumerate(references)
        ],
        "coreMigrationVersion": "8.8.0",
        "typeMigrationVersion": "10.2.0",
    }


OVERVIEW = dashboard(
    "overview", "Social overview", ("index-pattern", "social_posts"), ("dashboard", "people"), ("dashboard", "overview")
)
PEOPLE = dashboard("people", "Social people", ("index-pattern", "social_users"), ("dashboard", "overview"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the compiled dashboards, with two that link to one another."""
    monkeypatch.setattr(load, "FOLDER", tmp_path)
    monkeypatch.setattr(load, "POLL_SECONDS", 0.01)
    write(tmp_path / "overview.ndjson", OVERVIEW)
    write(tmp_path / "people.ndjson", PEOPLE)
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """`run(server, arguments …, KIBANA_SPACE="x")`: the command on that server, with these settings."""

    def run_with(server: LocalServer | str, *arguments: str, **values: str) -> int:
        monkeypatch.setenv("CROWDPULSE_KIBANA_URL", server if isinstance(server, str) else server.address)
        for name, value in values.items():
            monkeypatch.setenv(f"CROWDPULSE_{name}", value)
        settings.cache_clear()
        return load.main(["--wait", "5", *arguments])

    yield run_with
    monkeypatch.undo()
    settings.cache_clear()


def write(file: Path, *objects: Json) -> None:
    file.write_text("".join(json.dumps(saved) + "\n" for saved in objects), encoding="utf-8")


def without_version(objects: dict[tuple[str, str], Json]) -> dict[tuple[str, str], Json]:
    return {key: {name: value for name, value in saved.items() if name != "version"} for key, saved in objects.items()}


def test_dashboards_and_a_data_view_per_index_are_there_afterwards(run: Callable[..., int]) -> None:
    with KibanaServer() as server:
        assert run(server) == 0
        stored = server.kibana.objects["default"]

    templates = {file.stem for file in files.TEMPLATES.glob("*.json")}
    assert len(templates) >= 20
    assert {name for kind, name in stored if kind == "index-pattern"} == templates
    assert {name for kind, name in stored if kind == "dashboard"} == {"overview", "people"}
    assert stored["dashboard", "overview"]["references"] == OVERVIEW["references"]
    assert stored["index-pattern", "social_posts"]["attributes"] == {
        "title": "social_posts",
        "name": "social_posts",
        "timeFieldName": "posted_at",
        "allowNoIndex": True,
    }


def test_the_compiled_dashboards_can_be_loaded() -> None:
    objects = [*load.data_views(), *load.dashboards(files.FOLDER)]
    titles = {dashboard.id: dashboard.name for dashboard in files.load().values()}
    assert {saved["id"]: saved["attributes"]["title"] for saved in objects if saved["type"] == "dashboard"} == titles
    assert load.unresolved(objects) == []
    with KibanaServer() as server:
        assert load.Kibana(server.address).import_objects(objects) == {}
        assert set(server.kibana.objects["default"]) == {(saved["type"], saved["id"]) for saved in objects}


def test_loading_twice_changes_nothing(run: Callable[..., int]) -> None:
    with KibanaServer() as server:
        assert run(server) == 0
        first = without_version(dict(server.kibana.objects["default"]))
        assert run(server) == 0
        assert without_version(server.kibana.objects["default"]) == first
        assert len(first) == len(load.data_views()) + 2


def test_what_is_not_ours_stays_and_what_was_changed_by_hand_is_ours_again(run: Callable[..., int]) -> None:
    with KibanaServer() as server:
        stored = server.kibana.objects["default"]
        other = dashboard("other", "Somebody's") | {"version": "x"}
        stored["dashboard", "other"] = other
        stored["dashboard", "people"] = dashboard("people", "Changed by hand")
        assert run(server) == 0
        assert stored["dashboard", "other"] == other
        assert stored["dashboard", "people"]["attributes"]["title"] == "Social people"


def test_the_prefix_is_in_the_pattern_and_not_in_the_id(run: Callable[..., int]) -> None:
    with KibanaServer() as server:
        assert run(server, PREFIX="test.") == 0
        view = server.kibana.objects["default"]["index-pattern", "social_posts"]
    assert view["attributes"]["title"] == view["attributes"]["name"] == "test.social_posts"


def test_the_prefix_is_in_drawings_too() -> None:
    def indices(dashboard: Json) -> list[str]:
        panels = json.loads(dashboard["attributes"]["panelsJSON"])
        drawings = [panel["embeddableConfig"].get("savedVis", {}) for panel in panels]
        specs = [json.loads(drawing["params"]["spec"]) for drawing in drawings if drawing.get("type") == "vega"]
        urls = [source.get("url") for spec in specs for source in spec["data"]]
        return [url["index"] for url in urls if isinstance(url, dict)]

    found = {saved["id"]: saved for saved in load.dashboards(files.FOLDER)}
    before = indices(found["wikipedia-map"])
    assert before
    assert indices(load.drawn_here(found["wikipedia-map"], "test.")) == [f"test.{index}" for index in before]
    assert load.drawn_here(OVERVIEW, "test.") == OVERVIEW


def test_a_starting_kibana_is_waited_for(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    with KibanaServer(Kibana(unavailable_answers=3)) as server:
        assert run(server) == 0
        asked = [path for path in server.kibana.requests if path == "GET /api/status"]
    assert len(asked) == 4
    said = capsys.readouterr().out
    assert said.count("is not ready (starting); waiting up to") == 1
    assert said.count("is not ready (unavailable); waiting up to") == 1


def test_a_kibana_with_an_optional_part_down_will_do(run: Callable[..., int]) -> None:
    with KibanaServer(Kibana(level="degraded")) as server:
        assert run(server) == 0


@pytest.mark.parametrize("kibana", [Kibana(unavailable_answers=10**6), Kibana(level="critical")])
def test_waiting_ends(run: Callable[..., int], capsys: pytest.CaptureFixture[str], kibana: Kibana) -> None:
    began = time.monotonic()
    with KibanaServer(kibana) as server:
        assert run(server, "--wait", "0.3") == 1
    assert 0.3 <= time.monotonic() - began < 5
    assert kibana.objects == {"default": {}}
    problem = capsys.readouterr().err
    assert "is not ready" in problem
    assert "after 0 s. Is it started, and is CROWDPULSE_KIBANA_URL its address?" in problem


def test_nobody_at_the_address(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert run(address, "--wait", "0.2") == 1
    assert f"Kibana at {address} does not answer, after 0 s." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (200, "<html>It works!</html>", "is not Kibana: its /api/status tells no level"),
        (404, "nothing", "has no such API: CROWDPULSE_KIBANA_URL is to be Kibana's address, with its base path"),
        (302, "", "leads on to /elsewhere: set CROWDPULSE_KIBANA_URL to where Kibana itself is"),
        (500, '{"message": "no memory."}', "Kibana answered 500: its log says more (no memory)."),
    ],
)
def test_something_else_at_the_address(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], status: int, body: str, problem: str
) -> None:
    class Other(QuietHandler):
        def do_GET(self: BaseHTTPRequestHandler) -> None:
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body.encode())

    began = time.monotonic()
    with LocalServer(Other) as server:
        assert run(server) == 1
    assert time.monotonic() - began < 3  # that will not get better: it is not waited for
    assert problem in capsys.readouterr().err


def test_an_address_that_is_none(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("127.0.0.1:5601") == 1
    assert "127.0.0.1:5601 is no address of Kibana" in capsys.readouterr().err


def secured() -> Kibana:
    """A Kibana that wants a login, and lets one of its users only read."""
    return Kibana(users={"ada": "secret", "reader": "secret"}, readers={"reader"}, api_keys={"a2V5"})


@pytest.mark.parametrize(
    "login",
    [
        {"KIBANA_USERNAME": "ada", "KIBANA_PASSWORD": "secret"},
        {"KIBANA_API_KEY": "a2V5"},
        {"ELASTICSEARCH_USERNAME": "ada", "ELASTICSEARCH_PASSWORD": "secret"},
        # Kibana's own counts, where both are set.
        {"KIBANA_API_KEY": "a2V5", "ELASTICSEARCH_USERNAME": "ada", "ELASTICSEARCH_PASSWORD": "of Elasticsearch alone"},
    ],
)
def test_who_has_a_login_comes_in(run: Callable[..., int], login: dict[str, str]) -> None:
    with KibanaServer(secured()) as server:
        assert run(server, **login) == 0
        assert ("dashboard", "overview") in server.kibana.objects["default"]


@pytest.mark.parametrize(
    ("login", "problem"),
    [
        ({}, "Kibana answered 401: Kibana wants a login that it knows: set CROWDPULSE_KIBANA_USERNAME"),
        ({"KIBANA_USERNAME": "ada", "KIBANA_PASSWORD": "wrong"}, "Kibana answered 401"),
        ({"KIBANA_API_KEY": "wrong"}, "Kibana answered 401"),
        (
            {"KIBANA_USERNAME": "reader", "KIBANA_PASSWORD": "secret"},
            "this user may not write dashboards and data views",
        ),
        ({"KIBANA_USERNAME": "ada"}, "CROWDPULSE_KIBANA_USERNAME is set, CROWDPULSE_KIBANA_PASSWORD is not"),
    ],
)
def test_who_has_none_is_told(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], login: dict[str, str], problem: str
) -> None:
    with KibanaServer(secured()) as server:
        assert run(server, **login) == 1
        assert server.kibana.objects == {"default": {}}
    error = capsys.readouterr().err
    assert problem in error
    assert "secret" not in error


def test_the_login_of_a_netrc_does_not_replace_the_key(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with KibanaServer(secured()) as server:
        assert run(server, KIBANA_API_KEY="a2V5") == 0


def test_kibana_url_counts_where_the_setting_is_absent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., int]
) -> None:
    with KibanaServer() as by_url, KibanaServer() as by_setting:
        monkeypatch.setenv("KIBANA_URL", by_url.address)
        monkeypatch.delenv("CROWDPULSE_KIBANA_URL", raising=False)
        settings.cache_clear()
        assert load.main(["--wait", "5"]) == 0
        assert by_url.kibana.objects["default"]
        by_url.kibana.objects["default"].clear()
        assert run(by_setting) == 0
        assert by_setting.kibana.objects["default"]
        assert not by_url.kibana.objects["default"]


def test_a_space_gets_its_own_objects(run: Callable[..., int]) -> None:
    with KibanaServer(Kibana(spaces={"social"})) as server:
        assert run(server, KIBANA_SPACE="social") == 0
        assert not server.kibana.objects["default"]
        assert ("dashboard", "overview") in server.kibana.objects["social"]
        assert [path for path in server.kibana.requests if path.startswith("POST")] == [
            "POST /s/social/api/saved_objects/_import?overwrite=true"
        ]


def test_the_default_space_has_a_name(run: Callable[..., int]) -> None:
    with KibanaServer() as server:
        assert run(server, KIBANA_SPACE="default") == 0
        assert server.kibana.objects["default"]


def test_a_second_space_gets_other_ids_that_hold_together_and_stay(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with KibanaServer(Kibana(spaces={"social"})) as server:
        assert run(server) == 0
        assert run(server, KIBANA_SPACE="social") == 0
        second = server.kibana.objects["social"]
        ids = {saved["originId"]: saved["id"] for saved in second.values()}
        overview = second["dashboard", ids["overview"]]
        assert {to["id"] for to in overview["references"]} == {ids["social_posts"], ids["people"], ids["overview"]}
        before = without_version(dict(second))
        assert run(server) == 0
        assert without_version(second) == before
        address = f"{server.address}/s/social/app/dashboards#/view/{ids['overview']}"
        assert f"Social overview: {address}\n" in capsys.readouterr().out


def test_a_space_that_is_not_there_is_not_written_to(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    with KibanaServer() as server:
        assert run(server, KIBANA_SPACE="nowhere") == 1
        assert server.kibana.objects == {"default": {}}
    assert "Kibana has no space nowhere: make it under Stack Management" in capsys.readouterr().err


@pytest.mark.parametrize("missing", [("index-pattern", "social_nothing"), ("dashboard", "gone"), ("search", "gone")])
def test_a_reference_that_does_not_resolve_stops_it_before_kibana_is_asked(
    run: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str], missing: tuple[str, str]
) -> None:
    write(folder / "people.ndjson", dashboard("people", "Social people", missing))
    with KibanaServer() as server:
        assert run(server) == 1
        assert server.kibana.requests == []
    assert f"The dashboard Social people (people) refers to {' '.join(missing)}, which is no" in capsys.readouterr().err


def test_every_refused_object_is_said(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    kibana = Kibana(refused={"people": "too new", "social_posts": "mapping"}, lost={"overview"})
    with KibanaServer(kibana) as server:
        assert run(server) == 1
    problems = capsys.readouterr().err.splitlines()
    assert problems == [
        "The data view social_posts was refused: mapping.",
        "The dashboard Social people (people) was refused: too new.",
        "The dashboard Social overview (overview) was not imported, and Kibana does not say why.",
    ]


def test_an_object_of_an_unknown_type_is_said(
    run: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "canvas.ndjson", {"type": "canvas", "id": "c", "attributes": {"title": "Sketch"}, "references": []})
    with KibanaServer() as server:
        assert run(server) == 1
    assert "The canvas Sketch (c) is of a type that this Kibana cannot import" in capsys.readouterr().err


def test_an_import_that_is_too_large_is_said(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    with KibanaServer(Kibana(max_bytes=1000)) as server:
        assert run(server) == 1
    assert "larger than Kibana takes: see savedObjects.maxImportPayloadBytes" in capsys.readouterr().err


def test_without_overwriting_each_conflict_is_said_and_nothing_changed() -> None:
    with KibanaServer() as server:
        kibana = load.Kibana(server.address)
        kibana.import_objects([*load.data_views(), PEOPLE])
        changed = dashboard("people", "Changed")
        with pytest.raises(load.LoadError, match=r"Changed \(people\) is in Kibana already and was not overwritten"):
            kibana.import_objects([changed, OVERVIEW], overwrite=False)
        stored = server.kibana.objects["default"]
        assert stored["dashboard", "people"]["attributes"]["title"] == "Social people"
        assert ("dashboard", "overview") not in stored


def test_a_data_view_that_kibana_lacks_is_said_by_kibana_too() -> None:
    with KibanaServer() as server:
        lacking = dashboard("lacking", "Lacking", ("index-pattern", "social_posts"), ("index-pattern", "social_posts"))
        with pytest.raises(load.LoadError) as problem:
            load.Kibana(server.address).import_objects([lacking])
        assert server.kibana.objects["default"] == {}
    assert str(problem.value) == (
        "The dashboard Lacking (lacking) refers to index-pattern social_posts, which Kibana does not have."
    )


def test_one_object_that_could_be_several_is_said() -> None:
    error = {"type": "ambiguous_conflict", "destinations": [{"id": "a", "title": "A"}, {"id": "b", "title": "B"}]}
    assert load.problem_of({"type": "dashboard", "id": "x", "meta": {"title": "T"}, "error": error}) == (
        "The dashboard T (x) could be any of a, b in Kibana: delete all of them but one there."
    )


def test_an_import_without_the_header_is_refused_by_the_server(folder: Path) -> None:
    with KibanaServer() as server:
        kibana = load.Kibana(server.address)
        del kibana._session.headers["kbn-xsrf"]
        with pytest.raises(load.LoadError, match=r"400: .*\(Request must contain a kbn-xsrf header\)"):
            kibana.import_objects([OVERVIEW])


@pytest.mark.parametrize("answer", ["[]", "no json", '{"success": true, "successResults": [{"type": "dashboard"}]}'])
def test_an_answer_that_is_not_understood_is_said(answer: str) -> None:
    class Odd(QuietHandler):
        def do_POST(self: BaseHTTPRequestHandler) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

    with LocalServer(Odd) as server, pytest.raises(load.LoadError, match="is not what its documentation says"):
        load.Kibana(server.address).import_objects([PEOPLE])


def test_a_kibana_that_goes_away_is_said(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    class Leaving(QuietHandler):
        def do_GET(self: BaseHTTPRequestHandler) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": {"overall": {"level": "available"}}}')

        def do_POST(self: BaseHTTPRequestHandler) -> None:
            self.connection.close()

    with LocalServer(Leaving) as server:
        assert run(server) == 1
    assert "Kibana went away during the import" in capsys.readouterr().err


def test_no_dashboards_at_all(run: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in folder.glob("*.ndjson"):
        file.unlink()
    assert run("http://127.0.0.1:9") == 1
    assert "There are no compiled dashboards in" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["{", "[]", '{"type": "dashboard"}'])
def test_a_file_that_is_broken(
    run: Callable[..., int], folder: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    (folder / "people.ndjson").write_text(json.dumps(PEOPLE) + f"\n\n{line}\n")
    assert run("http://127.0.0.1:9") == 1
    assert "Line 3 of people.ndjson is no saved object" in capsys.readouterr().err


def test_the_compilers_summary_beside_the_files_does_no_harm_but_another_object_does(folder: Path) -> None:
    write(folder / "compiled_dashboards.ndjson", OVERVIEW, PEOPLE)
    assert len(load.dashboards(folder)) == 2
    write(folder / "compiled_dashboards.ndjson", dashboard("people", "Another"))
    with pytest.raises(
        load.LoadError, match=r"The dashboard Social people \(people\) stands in people.ndjson and, with"
    ):
        load.dashboards(folder)


def test_a_certificate_is_trusted_by_its_authority_alone(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kibana")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, key_file = tmp_path / "kibana.pem", tmp_path / "kibana.key"
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = KibanaServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
    with server:
        address = server.address.replace("http:", "https:")
        assert run(address) == 1
        assert f"The certificate of {address} is not trusted" in capsys.readouterr().err
        assert run(address, "--ca", str(pem)) == 0
        assert run(address, ELASTICSEARCH_SSL_CA=str(pem)) == 0
        assert run(address, "--ca", str(tmp_path / "none.pem")) == 1
        assert "none.pem" in capsys.readouterr().err


def test_waiting_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    with KibanaServer(Kibana(unavailable_answers=1)) as server:
        load.Kibana(server.address + "/").wait(5, Console())
        assert f"Kibana at {server.address} is not ready" in capsys.readouterr().out
