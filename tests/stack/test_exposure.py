"""stack/exposure.py: a sentence for each address beyond this machine at which nobody is asked who they are."""

from __future__ import annotations

import pytest

from settings import Settings
from stack import exposure

LOGIN = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_USERNAME": "ann", "KAFKA_PASSWORD": "secret"}


@pytest.mark.parametrize(
    ("values", "subjects"),
    [
        ({}, []),
        ({"FLINK_URL": "http://localhost:8081", "KAFKA_BOOTSTRAP_SERVERS": "[::1]:9092,127.0.0.2:9092"}, []),
        ({"FLINK_URL": "http://flink.example:8081"}, ["Flink"]),
        ({"FLINK_URL": "http://0.0.0.0:8081"}, ["Flink"]),
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092,broker:9092"}, ["Kafka"]),
        ({"KAFKA_BOOTSTRAP_SERVERS": "broker:9092", **LOGIN}, []),
        ({"ELASTICSEARCH_HOSTS": "http://10.0.0.1:9200", "ELASTICSEARCH_API_KEY": "a2V5"}, ["Elasticsearch"]),
        ({"ELASTICSEARCH_HOSTS": "https://10.0.0.1:9200"}, ["Elasticsearch"]),
        ({"ELASTICSEARCH_HOSTS": "https://10.0.0.1:9200", "ELASTICSEARCH_API_KEY": "a2V5"}, []),
        (
            {"FLINK_URL": "http://f:1", "KAFKA_BOOTSTRAP_SERVERS": "k:1", "ELASTICSEARCH_HOSTS": "http://e:1"},
            ["Flink", "Kafka", "Elasticsearch"],
        ),
    ],
)
def test_what_is_open_is_said(values: dict[str, str], subjects: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CROWDPULSE_{name.upper()}", raising=False)
    for name, value in values.items():
        monkeypatch.setenv(f"CROWDPULSE_{name}", value)
    monkeypatch.setattr(exposure, "settings", Settings)

    assert [sentence.split()[0] for sentence in exposure.warnings()] == subjects
