"""settings.py: a wrong value stops the start with a sentence that names it."""

from __future__ import annotations

import re

import pytest
from pydantic import SecretStr

from settings import ROOT, Settings, example, settings


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    settings.cache_clear()
    monkeypatch.setitem(Settings.model_config, "env_file", None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT_BASE", "high"),
        ("PORT_BASE", "80"),
        ("PORT_BASE", "²"),
        pytest.param("PORT_BASE", "1" * 5000, id="a long number"),
        ("PREFIX", "test"),  # without the dot, `test` and `testing` would share names
        ("PREFIX", "Test."),
        ("STARTUP_MODE", "newest"),
        ("BOUNDED_MODE", "yes"),
        ("MAX_RECORD_BYTES", "10"),
        ("WIKI_OUT_OF_ORDER_SECONDS", "-1"),
        ("WIKI_LANGUAGES", "en;de'"),
        ("TASK_SLOTS", "0"),
        ("S3_ENDPOINT", "127.0.0.1:9500"),
        ("AWS_ENDPOINT", "localhost:9600"),
        ("TASKMANAGER_MEMORY", "4 GB"),
    ],
)
def test_a_wrong_value_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"CROWDPULSE_{name}", value)

    with pytest.raises(SystemExit, match="2"):
        settings()

    assert f"CROWDPULSE_{name} is wrong" in capsys.readouterr().err


def test_addresses_follow_the_port_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROWDPULSE_PORT_BASE", "20000")
    monkeypatch.setenv("CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS", "broker:1234")
    monkeypatch.delenv("CROWDPULSE_ELASTICSEARCH_HOSTS", raising=False)

    found = settings()

    assert found.kafka_bootstrap_servers == "broker:1234"
    assert found.elasticsearch_hosts == "http://127.0.0.1:20200"


def test_a_secret_is_not_shown() -> None:
    assert "hush" not in repr(Settings(elasticsearch_password=SecretStr("hush")))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODERATION_WEBHOOK", "hooks.example/hunter2"),
        ("S3_ENDPOINT", "s3://someone:hunter2@store.example"),
        ("AWS_REGION", "eu-west-1&token=hunter2"),
    ],
)
def test_a_wrong_value_with_a_secret_is_not_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"CROWDPULSE_{name}", value)

    with pytest.raises(SystemExit, match="2"):
        settings()

    said = capsys.readouterr().err
    assert f"CROWDPULSE_{name} is wrong" in said
    assert "hunter2" not in said


def test_no_setting_can_change_a_declared_table_into_other_sql() -> None:
    """`ddl` doubles quotes: so a setting that is a text may stand within quotes only, and elsewhere a number."""
    texts = {name.upper() for name, field in Settings.model_fields.items() if field.annotation not in (int, float)}
    for file in (ROOT / "connectors").glob("*.sql"):
        code = re.sub(r"--[^\n]*", "", file.read_text(encoding="utf-8"))
        outside = re.findall(r"\$\{(\w+)\}", re.sub(r"'[^']*'", "", code))
        assert not texts & set(outside), file.name


def test_the_example_lists_every_setting() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == example(), "run: python settings.py"
