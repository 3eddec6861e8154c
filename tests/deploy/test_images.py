"""docker-compose.yml, docker/Dockerfile and its stand-in: nothing runs as root, and nothing can become it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import ROOT

FILES = ("docker-compose.yml", "docker/no-security.yml", "tests/compose/override.yml")
# Who the images of others run as, by their own Dockerfiles.
OTHERS = {
    "apache/kafka": "appuser (1000)",
    "docker.elastic.co/elasticsearch/elasticsearch": "elasticsearch (1000)",
    "docker.elastic.co/kibana/kibana": "kibana (1000)",
}


class _Loader(yaml.SafeLoader):
    """Knows Compose's `!reset` and `!override`."""


def _plain(loader: _Loader, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


_Loader.add_multi_constructor("!", _plain)


def services(file: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.load((ROOT / file).read_text(encoding="utf-8"), _Loader)["services"]  # noqa: S506
    return found


ALL = services("docker-compose.yml")


def test_the_files_are_read() -> None:
    assert {"kafka", "elasticsearch", "kibana", "taskmanager", "moderation"} <= set(ALL)


@pytest.mark.parametrize("file", ["docker/Dockerfile", "tests/compose/Dockerfile"])
def test_an_image_ends_as_another_user_than_root(file: str) -> None:
    last = re.split(r"^FROM ", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)[-1]
    users = re.findall(r"^USER (\S+)", last, re.MULTILINE)
    assert users, f"{file} names no user"
    assert users[-1] == "9999"


@pytest.mark.parametrize("name", ALL)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = ALL[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["image"].startswith("crowdpulse:") or service["image"].partition(":")[0] in OTHERS
    ports = [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")]
    assert not ports, "other machines could reach it"


@pytest.mark.parametrize("file", FILES)
def test_nothing_gives_rights_back(file: str) -> None:
    for name, service in services(file).items():
        given = set(service) & {"user", "privileged", "cap_add", "pid", "ipc", "network_mode", "devices", "userns_mode"}
        assert not given, f"{file}: {name}"
        sockets = [volume for volume in service.get("volumes", []) if "docker.sock" in volume]
        assert not sockets, f"{file}: {name}"


def test_no_secret_is_copied_into_an_image() -> None:
    kept = [line for line in Path(ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert kept[0] == "*", "only what is named is copied"
    assert kept[-1] == "**/.*", "and of that, no .env and nothing else that begins with a dot"
