"""connections.py: what each client is given for each way in which Kafka may be secured."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from connections import confluent_kafka_options, flink_kafka_options, kafka_options
from jobs._tables import ddl, declared_tables
from services.elasticsearch import request_options
from settings import Settings, settings

Choose = Callable[..., None]


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Choose]:
    """`choose(KAFKA_USERNAME="ann", …)`: the settings of this process, and nothing of another cluster."""
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CROWDPULSE_{name.upper()}", raising=False)

    def chosen(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"CROWDPULSE_{name}", value)
        settings.cache_clear()

    yield chosen
    monkeypatch.undo()
    settings.cache_clear()


LOGIN = {"KAFKA_USERNAME": "ann", "KAFKA_PASSWORD": 'it\'s "so" \\ secret'}


def test_an_open_broker_is_asked_for_nothing(choose: Choose) -> None:
    choose()
    assert kafka_options() == {"bootstrap_servers": "127.0.0.1:9092", "security_protocol": "PLAINTEXT"}
    assert confluent_kafka_options() == {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "PLAINTEXT"}
    assert flink_kafka_options() == {}
    assert "security" not in ddl("wiki_recentchange")


def test_tls_and_a_login(choose: Choose) -> None:
    choose(KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SSL_CA="/etc/kafka/ca.pem", **LOGIN)
    assert kafka_options() == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ann",
        "sasl_plain_password": LOGIN["KAFKA_PASSWORD"],
        "ssl_cafile": "/etc/kafka/ca.pem",
    }
    assert confluent_kafka_options()["ssl.ca.location"] == "/etc/kafka/ca.pem"
    options = flink_kafka_options()
    assert options["properties.ssl.truststore.type"] == "PEM"
    assert options["properties.sasl.jaas.config"].endswith(
        r'scram.ScramLoginModule required username="ann" password="it' + r"'s \"so\" \\ secret" + '";'
    )


def test_tls_without_a_login_by_an_authority_that_the_system_knows(choose: Choose) -> None:
    choose(KAFKA_SECURITY_PROTOCOL="SSL")
    assert kafka_options() == {"bootstrap_servers": "127.0.0.1:9092", "security_protocol": "SSL"}
    assert flink_kafka_options() == {"properties.security.protocol": "SSL"}


def test_another_mechanism_has_another_module(choose: Choose) -> None:
    choose(KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SASL_MECHANISM="PLAIN", **LOGIN)
    assert "plain.PlainLoginModule required" in flink_kafka_options()["properties.sasl.jaas.config"]


def test_every_table_on_kafka_gets_them_and_no_other(choose: Choose) -> None:
    choose(KAFKA_SECURITY_PROTOCOL="SASL_SSL", **LOGIN)
    for table in declared_tables():
        statement = ddl(table)
        on_kafka = "'properties.bootstrap.servers'" in statement
        assert ("'properties.security.protocol' = 'SASL_SSL'" in statement) == on_kafka
        assert ("password=\"it''s" in statement) == on_kafka  # as SQL quotes it


def test_an_api_key_goes_before_a_password(choose: Choose) -> None:
    choose()
    assert request_options() == {"verify": True}
    login = {"ELASTICSEARCH_USERNAME": "ann", "ELASTICSEARCH_PASSWORD": "secret"}
    choose(ELASTICSEARCH_HOSTS="https://es:9200", ELASTICSEARCH_SSL_CA="/ca.pem", **login)
    assert request_options() == {"verify": "/ca.pem", "auth": ("ann", "secret")}
    choose(ELASTICSEARCH_API_KEY="a2V5")
    assert request_options() == {"verify": "/ca.pem", "headers": {"Authorization": "ApiKey a2V5"}}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "needs CROWDPULSE_KAFKA_USERNAME and _PASSWORD"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_USERNAME": "ann"}, "needs CROWDPULSE_KAFKA_USERNAME and"),
        (LOGIN, "CROWDPULSE_KAFKA_USERNAME is of no use with CROWDPULSE_KAFKA_SECURITY_PROTOCOL=PLAINTEXT"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", **LOGIN}, "SASL_SSL is what logs in"),
        ({"KAFKA_SSL_CA": "/ca.pem"}, "CROWDPULSE_KAFKA_SSL_CA is of no use"),
        ({"ELASTICSEARCH_SSL_CA": "/ca.pem"}, "https:// is what checks certificates"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "CROWDPULSE_KAFKA_SECURITY_PROTOCOL is wrong"),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, "CROWDPULSE_KAFKA_SASL_MECHANISM is wrong"),
    ],
)
def test_what_does_not_fit_is_one_sentence_without_the_password(
    values: dict[str, str], sentence: str, choose: Choose, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(ELASTICSEARCH_PASSWORD="not-to-be-seen", **values)  # noqa: S106 (it must not be shown)
    with pytest.raises(SystemExit, match="2"):
        settings()
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert "not-to-be-seen" not in said
    assert "secret" not in said
