"""What of the settings leaves a door open: addresses beyond this machine at which nobody is asked who they are."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from settings import settings


def warnings() -> list[str]:
    """A sentence for each of Flink, Kafka and Elasticsearch that is elsewhere than on this machine and open."""
    chosen = settings()
    said = []
    if _is_elsewhere(chosen.flink_url):
        said.append(
            f"Flink at {chosen.flink_url} is not on this machine: its REST interface has no login, and whoever reaches "
            "it runs programs there; keep it behind a firewall or a proxy that asks."
        )
    if chosen.kafka_security_protocol == "PLAINTEXT" and any(
        _is_elsewhere(f"//{broker}") for broker in chosen.kafka_bootstrap_servers.split(",")
    ):
        said.append(
            f"Kafka at {chosen.kafka_bootstrap_servers} is not on this machine and spoken to without TLS and login: "
            "CROWDPULSE_KAFKA_SECURITY_PROTOCOL=SASL_SSL, see docs/secured_stack.md."
        )
    has_login = bool(chosen.elasticsearch_api_key.get_secret_value() or chosen.elasticsearch_username)
    if any(
        _is_elsewhere(host) and not (has_login and host.startswith("https://"))
        for host in chosen.elasticsearch_hosts.split(";")
    ):
        said.append(
            f"Elasticsearch at {chosen.elasticsearch_hosts} is not on this machine and spoken to without TLS or login: "
            "https:// and CROWDPULSE_ELASTICSEARCH_API_KEY, see docs/secured_stack.md."
        )
    return said


def _is_elsewhere(url: str) -> bool:
    """Whether a host is not known to be this machine: a name other than localhost is not looked up."""
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
