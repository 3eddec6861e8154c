"""How clients reach Kafka, from the settings: the options of kafka-python, of confluent-kafka and of Flink's connector.

Each takes what the broker asks for, TLS and a login, from the settings `kafka_…`; without them a plain connection. The
client of Elasticsearch is in services/elasticsearch.py.
"""

from __future__ import annotations

from settings import settings

# Flink's SQL connector brings Kafka's client under a name of its own.
_FLINK_LOGIN_MODULES = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"


def kafka_options() -> dict[str, str]:
    """Arguments of every KafkaProducer, KafkaConsumer and KafkaAdminClient: brokers, protocol, login, authority."""
    chosen = settings()
    options: dict[str, str] = {
        "bootstrap_servers": chosen.kafka_bootstrap_servers,
        "security_protocol": chosen.kafka_security_protocol,
    }
    if chosen.kafka_username:
        options |= {
            "sasl_mechanism": chosen.kafka_sasl_mechanism,
            "sasl_plain_username": chosen.kafka_username,
            "sasl_plain_password": chosen.kafka_password.get_secret_value(),
        }
    if chosen.kafka_ssl_ca:
        options["ssl_cafile"] = chosen.kafka_ssl_ca
    return options


def confluent_kafka_options() -> dict[str, str]:
    """The same for a Producer, Consumer or AdminClient of confluent-kafka."""
    chosen = settings()
    options: dict[str, str] = {
        "bootstrap.servers": chosen.kafka_bootstrap_servers,
        "security.protocol": chosen.kafka_security_protocol,
    }
    if chosen.kafka_username:
        options |= {
            "sasl.mechanism": chosen.kafka_sasl_mechanism,
            "sasl.username": chosen.kafka_username,
            "sasl.password": chosen.kafka_password.get_secret_value(),
        }
    if chosen.kafka_ssl_ca:
        options["ssl.ca.location"] = chosen.kafka_ssl_ca
    return options


def flink_kafka_options() -> dict[str, str]:
    """Options of a Flink table on Kafka beside its `properties.bootstrap.servers`; none for a plain connection.

    Flink hides the value of an option whose name holds `jaas.config` or `password` where it shows options.
    """
    chosen = settings()
    if chosen.kafka_security_protocol == "PLAINTEXT":
        return {}
    options: dict[str, str] = {"properties.security.protocol": chosen.kafka_security_protocol}
    if chosen.kafka_username:
        module = "plain.PlainLoginModule" if chosen.kafka_sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
        user, password = map(_quoted, (chosen.kafka_username, chosen.kafka_password.get_secret_value()))
        options |= {
            "properties.sasl.mechanism": chosen.kafka_sasl_mechanism,
            "properties.sasl.jaas.config": f"{_FLINK_LOGIN_MODULES}.{module} required"
            f" username={user} password={password};",
        }
    if chosen.kafka_ssl_ca:
        options |= {
            "properties.ssl.truststore.type": "PEM",
            "properties.ssl.truststore.location": chosen.kafka_ssl_ca,
        }
    return options


def _quoted(text: str) -> str:
    """A value of a JAAS line."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
