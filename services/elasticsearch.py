"""How everything reaches Elasticsearch, with address, login and authority from the settings."""

from __future__ import annotations

from typing import Any

from elasticsearch import Elasticsearch

from settings import settings


def elasticsearch_client(timeout_seconds: float = 10) -> Elasticsearch:
    """A client of all nodes; an API key goes before user and password."""
    chosen = settings()
    options: dict[str, Any] = {}
    if chosen.elasticsearch_api_key.get_secret_value():
        options["api_key"] = chosen.elasticsearch_api_key.get_secret_value()
    elif chosen.elasticsearch_username:
        options["basic_auth"] = (chosen.elasticsearch_username, chosen.elasticsearch_password.get_secret_value())
    if chosen.elasticsearch_ssl_ca:
        options["ca_certs"] = chosen.elasticsearch_ssl_ca
    return Elasticsearch(chosen.elasticsearch_hosts.split(";"), request_timeout=timeout_seconds, **options)


def request_options() -> dict[str, Any]:
    """The same for a call of `requests`: `requests.get(url, **request_options())`."""
    chosen = settings()
    options: dict[str, Any] = {"verify": chosen.elasticsearch_ssl_ca or True}
    if chosen.elasticsearch_api_key.get_secret_value():
        options["headers"] = {"Authorization": f"ApiKey {chosen.elasticsearch_api_key.get_secret_value()}"}
    elif chosen.elasticsearch_username:
        options["auth"] = (chosen.elasticsearch_username, chosen.elasticsearch_password.get_secret_value())
    return options
