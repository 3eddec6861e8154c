"""Every setting of Crowdpulse, read once from the environment (and from `.env`) and checked by type.

A field `kafka_bootstrap_servers` is the environment variable `CROWDPULSE_KAFKA_BOOTSTRAP_SERVERS`; the table
declarations in `connectors/*.sql` use it as `${KAFKA_BOOTSTRAP_SERVERS}`. `.env.example` lists them all.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from redaction import redacted

ROOT = Path(__file__).resolve().parent

# Who takes part: on a secured cluster each has credentials of its own, with the rights of deploy/security.
Role = Literal["admin", "producer", "job", "service", "reader"]

PREFIX_PATTERN = r"^([a-z0-9][a-z0-9_-]*\.)?$"


class Settings(BaseSettings):
    """The settings, with their defaults for the local stack."""

    model_config = SettingsConfigDict(
        env_prefix="CROWDPULSE_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    port_base: int = Field(9000, ge=1024, le=64000, description="First port of the local stack; all others follow.")
    state_dir: Path = Field(
        ROOT / ".stack", description="Where the local stack keeps jars, data and logs; default: .stack here."
    )
    prefix: str = Field(
        "", pattern=PREFIX_PATTERN, description="Put before every topic, index and job, for example `test.`."
    )

    kafka_bootstrap_servers: str = Field(
        "", description="Kafka brokers, host:port[,host:port]; empty: the local stack."
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="What the brokers speak: SSL for TLS, SASL for a login."
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="How Kafka checks the login."
    )
    kafka_username: str = Field("", description="Kafka user, for SASL.")
    kafka_password: SecretStr = Field(SecretStr(""), description="Password of that user.")
    kafka_ssl_ca: str = Field(
        "", description="PEM file of the certificate authority of Kafka; empty: those that the system trusts."
    )
    elasticsearch_hosts: str = Field(
        "", description="Elasticsearch nodes, http(s)://host:port[;…]; empty: the local stack."
    )
    elasticsearch_username: str = Field("", description="Elasticsearch user; empty: no login.")
    elasticsearch_password: SecretStr = Field(SecretStr(""), description="Password of that user.")
    elasticsearch_api_key: SecretStr = Field(SecretStr(""), description="API key, instead of user and password.")
    elasticsearch_ssl_ca: str = Field("", description="PEM file of the certificate authority of Elasticsearch.")

    secured: bool = Field(
        False, description="The local stack is that of `python -m stack up --secured`: TLS and logins for all of it."
    )
    role: Role = Field("admin", description="Whose credentials of the secured local stack a process takes.")

    flink_url: str = Field("", description="Address of Flink's REST interface; empty: the local stack.")
    kibana_url: str = Field(
        "http://127.0.0.1:5601", description="Where `python -m kibana.load` finds Kibana; KIBANA_URL does the same."
    )
    kibana_space: str = Field("", pattern=r"^[a-z0-9_-]*$", description="Kibana's space; empty: the default one.")
    kibana_username: str = Field("", description="Kibana user; empty: Elasticsearch's settings above.")
    kibana_password: SecretStr = Field(SecretStr(""), description="Password of that user.")
    kibana_api_key: SecretStr = Field(SecretStr(""), description="API key, instead of user and password.")

    startup_mode: Literal["earliest-offset", "latest-offset", "group-offsets"] = Field(
        "earliest-offset", description="Where a job without a checkpoint begins to read its topics."
    )
    bounded_mode: Literal["unbounded", "latest-offset"] = Field(
        "unbounded", description="`latest-offset`: a job reads what is there now, closes its windows and ends."
    )
    max_record_bytes: int = Field(
        524288,
        ge=1024,
        le=1572864,
        description="A longer record is a dead letter, in bytes; Kafka's topics take 2 MiB.",
    )

    wiki_out_of_order_seconds: int = Field(
        10, ge=0, le=86400, description="How far behind the newest event an event may be and still be on time."
    )
    wiki_score_wait_seconds: int = Field(
        120,
        ge=1,
        le=86400,
        description="How long the events about a revision (its score above all) may be told after one another.",
    )
    wiki_languages: str = Field(
        "", pattern=r"^([a-z-]+(,[a-z-]+)*)?$", description="Keep only these languages, as in `en,de`; empty: all."
    )
    social_out_of_order_seconds: int = Field(
        20,
        ge=0,
        le=86400,
        description="How far behind the newest post a post, or a correction of it, is still on time.",
    )
    viral_engagements: int = Field(
        1000, ge=1, description="A viral post has at least this many likes, shares and comments together, and"
    )
    viral_views_per_follower: float = Field(
        3.0, ge=0, description="at least this many views for each follower of its author."
    )
    alert_minutes: int = Field(
        30, ge=10, le=1440, description="The usual band of a platform or topic is made of this many minutes before."
    )
    alert_width: float = Field(4.0, gt=0, description="An alert is further from the usual than this many deviations.")
    toxic_from: float = Field(0.5, ge=0, le=1, description="A post whose toxicity is this high is toxic.")

    wikimedia_url: str = Field(
        "https://stream.wikimedia.org/v2/stream", description="Base address of Wikimedia EventStreams."
    )
    wikimedia_user_agent: str = Field(
        "", description="Who you are, compulsory for live streams: `name/1.0 (https://you.example; you@example.org)`."
    )
    liftwing: bool = Field(
        False, description="Ask Wikimedia's public Lift Wing for scores of revisions that have none."
    )
    liftwing_url: str = Field(
        "https://api.wikimedia.org/service/lw/inference/v1/models/revertrisk-language-agnostic:predict",
        description="Address of its revert-risk model.",
    )

    background_retention_days: int = Field(
        30, ge=1, le=3650, description="How long what a background check gathers and finds is kept, in days."
    )
    keywords_file: Path | None = Field(
        None, description="The words that a background check looks for, by theme; empty: config/keywords.yaml."
    )
    score_file: Path | None = Field(
        None, description="The weights of its summary score; empty: config/background_score.yaml."
    )
    s3_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Address of S3; empty: the local stack. Flink has its own, s3.endpoint.",
    )
    s3_bucket: str = Field(
        "crowdpulse", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="Bucket of pictures and archives."
    )
    aws_region: str = Field(
        "eu-west-1", pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="Region of Comprehend and Rekognition."
    )
    aws_endpoint: str = Field(
        "", pattern=r"^(https?://\S+)?$", description="Address of Comprehend and Rekognition; empty: AWS's own."
    )
    enrich_sentiment: Literal["local", "aws"] = Field("local", description="Who judges a caption's sentiment.")
    enrich_key_phrases: Literal["local", "aws"] = Field("local", description="Who finds a caption's key phrases.")
    enrich_toxicity: Literal["local", "aws"] = Field("local", description="Who judges a caption's toxicity.")
    enrich_language: Literal["local", "aws"] = Field("local", description="Who finds a caption's language.")
    enrich_images: Literal["local", "aws"] = Field(
        "local", description="Who labels images; `local` needs requirements-images.txt, else they are unscored."
    )
    enrich_max_units: int = Field(
        10_000, ge=0, description="What may be spent a day (UTC), in AWS's units; over it: unscored, `budget`."
    )
    enrich_concurrency: int = Field(4, ge=1, le=64, description="Requests to AWS at once, of each Python worker.")
    enrich_timeout_seconds: float = Field(10, gt=0, le=300, description="How long an answer of AWS is waited for.")
    enrich_attempts: int = Field(5, ge=1, le=20, description="How often a throttled request is made.")
    enrich_send_again: bool = Field(
        False, description="Send once more what was under way when a worker ended, or timed out: it may be paid twice."
    )
    enrich_ledger: Path = Field(
        ROOT / ".stack/data/enrichment.sqlite",
        description="SQLite file of AWS's answers and of what was spent; default: in the data of the local stack.",
    )

    chat_tick_ms: int = Field(
        250, ge=20, le=10_000, description="How often a writer of chat messages tells the time to a silent topic."
    )
    chat_out_of_order_ms: int = Field(
        300,
        ge=0,
        le=60_000,
        description="How much later than its time a chat message may reach Kafka, with two writers.",
    )
    moderation_policy_file: Path | None = Field(
        None, description="The policy before one is published; empty: config/moderation_policy.yaml."
    )
    moderation_strike_minutes: int = Field(
        60, ge=1, le=1440, description="How long a strike counts: at first wholly, less by the minute, then not at all."
    )
    moderation_burst_seconds: int = Field(
        10, ge=1, le=600, description="Within how many seconds many messages of one user are a flood."
    )
    moderation_copies_seconds: int = Field(
        60, ge=1, le=3600, description="Within how many seconds copies of one message of a user are spam."
    )
    moderation_challenger: str = Field(
        "",
        pattern=r"^[a-z0-9_.-]*$",
        description="Folder in models/challengers whose models run in shadow; empty: none.",
    )
    moderation_host: str = Field("127.0.0.1", description="Address that the moderation service listens on.")
    moderation_api_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys of the moderation service: name:key or name:key:moderator, by commas; empty: none is asked.",
    )
    moderation_rate_limit: int = Field(
        1200, ge=1, description="Requests a minute of each key, or of each address where no key is asked."
    )
    moderation_max_body_bytes: int = Field(
        2_000_000, ge=1000, description="The largest body of a request to the moderation service."
    )
    moderation_history_minutes: int = Field(
        720, ge=1, le=10_080, description="How far back the moderation service knows messages, in memory."
    )
    moderation_unscored_seconds: float = Field(
        5, gt=0, le=600, description="After so long without a decision a message is shown as unscored."
    )
    moderation_review_share: float = Field(
        0.01, ge=0, le=1, description="Share of the allowed messages that moderators are asked to look at."
    )
    moderation_retention_days: int = Field(
        30, ge=1, le=3650, description="How long chat messages, decisions and verdicts are kept in Kafka, in days."
    )
    moderation_webhook: str = Field(
        "", pattern=r"^(https?://\S+)?$", description="Where alerts of the watched models are sent; empty: only logged."
    )
    kinesis_endpoint: str = Field("", pattern=r"^(https?://\S+)?$", description="Address of Kinesis; empty: AWS's own.")

    data: str = Field("", description="Folder of the data sets for training; empty: ../shared/data beside the project.")
    model_artifacts: str = Field(
        "", description="Where MLflow keeps trained models, for example s3://models; empty: .stack/mlflow."
    )

    parallelism: int = Field(2, ge=1, le=64, description="Parallelism of each Flink job.")
    task_slots: int = Field(24, ge=1, le=256, description="Slots of the local Flink cluster.")
    taskmanager_memory: str = Field("4g", pattern=r"^\d+[mg]$", description="Memory of the local TaskManager process.")
    elasticsearch_heap: str = Field("1g", pattern=r"^\d+[mg]$", description="Heap of the local Elasticsearch.")
    kafka_heap: str = Field("512m", pattern=r"^\d+[mg]$", description="Heap of the local Kafka broker.")

    @model_validator(mode="before")
    @classmethod
    def _follow_port_base(cls, values: dict[str, object]) -> dict[str, object]:
        """Addresses that are not given point at the local stack."""
        base = str(values.get("port_base", 9000))
        if base.isdecimal() and len(base) < 9:  # else the field's own check tells
            local = {
                "kafka_bootstrap_servers": f"127.0.0.1:{int(base) + 92}",
                "elasticsearch_hosts": f"http://127.0.0.1:{int(base) + 200}",
                "flink_url": f"http://127.0.0.1:{int(base) + 81}",
                "s3_endpoint": f"http://127.0.0.1:{int(base) + 500}",
            }
            local |= _secured_defaults(values, local)
            values |= {name: values.get(name) or address for name, address in local.items()}
        if state_dir := values.get("state_dir"):
            values["enrich_ledger"] = values.get("enrich_ledger") or f"{state_dir}/data/enrichment.sqlite"
        return values

    @model_validator(mode="after")
    def _connections_make_sense(self) -> Self:
        """A login or an authority that nothing would use is a mistake: what was meant to be secured is not."""
        protocol = self.kafka_security_protocol
        has_login = bool(self.kafka_username and self.kafka_password.get_secret_value())
        if protocol.startswith("SASL") and not has_login:
            raise ValueError(
                f"CROWDPULSE_KAFKA_SECURITY_PROTOCOL={protocol} needs CROWDPULSE_KAFKA_USERNAME and _PASSWORD"
            )
        if self.kafka_username and not protocol.startswith("SASL"):
            raise ValueError(
                f"CROWDPULSE_KAFKA_USERNAME is of no use with CROWDPULSE_KAFKA_SECURITY_PROTOCOL={protocol}:"
                " SASL_SSL is what logs in"
            )
        if self.kafka_ssl_ca and not protocol.endswith("SSL"):
            raise ValueError(
                f"CROWDPULSE_KAFKA_SSL_CA is of no use with CROWDPULSE_KAFKA_SECURITY_PROTOCOL={protocol}:"
                " SSL and SASL_SSL are what checks certificates"
            )
        # Kibana is checked by the same authority.
        if self.elasticsearch_ssl_ca and "https://" not in self.elasticsearch_hosts + self.kibana_url:
            raise ValueError(
                "CROWDPULSE_ELASTICSEARCH_SSL_CA is of no use with CROWDPULSE_ELASTICSEARCH_HOSTS="
                f"{self.elasticsearch_hosts}: https:// is what checks certificates"
            )
        return self

    def secrets(self) -> list[str]:
        """The values that no log may show: of the secret settings, the keys in them, the webhook with what it holds."""
        values = [getattr(self, name).get_secret_value() for name in _secret_fields()] + [self.moderation_webhook]
        keys = [entry.split(":")[1] for entry in self.moderation_api_keys.get_secret_value().split(",") if ":" in entry]
        return [*filter(None, values), *keys]

    def port(self, offset: int) -> int:
        """The port of a part of the local stack, by its offset from `port_base`."""
        return self.port_base + offset


def credentials_file(state_dir: Path) -> Path:
    """Where the secured local stack keeps the credentials of its roles, readable by its user only."""
    return state_dir.expanduser().absolute() / "data/security/credentials.json"


def _secured_defaults(values: dict[str, object], local: dict[str, str]) -> dict[str, str]:
    """Addresses and credentials of the secured local stack for the role of this process; none before its first start.

    What is set for another cluster than the local one is left alone.
    """
    file = credentials_file(Path(str(values.get("state_dir") or ROOT / ".stack")))
    if str(values.get("secured", "")).lower() not in ("1", "true", "yes", "on", "t", "y") or not file.exists():
        return {}
    mine: dict[str, str] = json.loads(file.read_text(encoding="utf-8")).get(str(values.get("role") or "admin"), {})
    authority = str(file.with_name("ca.pem"))
    defaults: dict[str, str] = {}
    if not values.get("kafka_bootstrap_servers") and "kafka_password" in mine:
        defaults |= {
            "kafka_security_protocol": "SASL_SSL",
            "kafka_username": str(values.get("role") or "admin"),
            "kafka_password": mine["kafka_password"],
            "kafka_ssl_ca": authority,
        }
    if not values.get("elasticsearch_hosts"):
        defaults |= {
            "elasticsearch_hosts": local["elasticsearch_hosts"].replace("http://", "https://"),
            "elasticsearch_ssl_ca": authority,
            "elasticsearch_api_key": mine.get("elasticsearch_api_key", ""),
        }
    return defaults


def take_role(role: Role) -> None:
    """From now on this process takes the credentials of `role`, unless its environment names one."""
    os.environ.setdefault("CROWDPULSE_ROLE", role)
    settings.cache_clear()


def example() -> str:
    """The text of `.env.example`: each setting with what it means and its default. Written by `python settings.py`."""
    lines = ["# Settings of Crowdpulse: for .env or the environment. What is commented out is the default."]
    for name, field in Settings.model_fields.items():
        secret = isinstance(field.default, SecretStr)
        default = "" if secret or isinstance(field.default, Path | None) else field.default
        lines += ["", f"# {field.description}", f"#CROWDPULSE_{name.upper()}={default}"]
    return "\n".join(lines) + "\n"


@cache
def settings() -> Settings:
    """The settings of this process. Ends the process with a sentence for each wrong value."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors():
            if not problem["loc"]:  # several settings together; its input would be all of them, secrets too
                said = problem["msg"].removeprefix("Value error, ")
            else:
                field = "_".join(map(str, problem["loc"]))
                hidden = field in (*_secret_fields(), "moderation_webhook")
                given = "what it was is not shown" if hidden else f"got {problem['input']!r}"
                said = f"CROWDPULSE_{field.upper()} is wrong: {problem['msg']} ({given})"
            print(f"{redacted(said)}. See .env.example.", file=sys.stderr)
        sys.exit(2)


def _secret_fields() -> list[str]:
    return [name for name, field in Settings.model_fields.items() if field.annotation is SecretStr]


if __name__ == "__main__":
    (ROOT / ".env.example").write_text(example(), encoding="utf-8")
