"""redaction.py: no password, key or token in what is written for people."""

from __future__ import annotations

import subprocess
import sys

import pytest

from redaction import redacted
from settings import ROOT


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("No answer from https://elastic:hunter2@es.example:9200/_bulk", "No answer from https://***@es.example:9200/_bulk"),
        ("http://a:p@ss@h/ and http://b:q@h/", "http://***@h/ and http://***@h/"),
        ("'password' = 'hunter2', 'index' = 'posts'", "'password' = ***, 'index' = 'posts'"),
        ('{"api_key": "VuaCfGcBCdbkQm-e5aOx", "index": "posts"}', '{"api_key": ***, "index": "posts"}'),
        ('{"said": "{\\"token\\": \\"hunter2\\"}"}', '{"said": "{\\"token\\": ***}"}'),
        ("CROWDPULSE_KIBANA_PASSWORD=hunter2 make up", "CROWDPULSE_KIBANA_PASSWORD=*** make up"),
        ("AWS_SECRET_ACCESS_KEY=wJalr/bPx AWS_REGION=x", "AWS_SECRET_ACCESS_KEY=*** AWS_REGION=x"),
        ("GET /b/k?X-Amz-Signature=abc123&X-Amz-Date=1", "GET /b/k?X-Amz-Signature=***&X-Amz-Date=1"),
        ("POST /hook?token=abc&room=1", "POST /hook?token=***&room=1"),
        ("Authorization: Bearer abc123def456ghi", "Authorization: Bearer ***"),
        ("{'Authorization': 'ApiKey VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6='}", "{'Authorization': 'ApiKey ***'}"),
        ("Authorization: Basic ZWxhc3RpYzpodW50ZXIy", "Authorization: Basic ***"),
        (
            "sasl.jaas.config=org.example.ScramLoginModule username=\"job\" password=\"hunter2\";",
            "sasl.jaas.config=org.example.ScramLoginModule username=\"job\" password=***;",
        ),
        ("basil.password: hunter2", "basil.password: ***"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Kafka at broker:9092 did not answer: NoBrokersAvailable. Is the stack up?",
        "https://de.wikipedia.org/wiki/User:A@B",
        "me@example.org wrote 3 posts, 12:00:01",
        "The password must not be empty.",
        "basic authentication is asked for; 5 tokens left",
        "1,204 events, 99/s, event time 3 s behind",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert redacted(text) == text


def test_the_secrets_of_the_settings_are_hidden_wherever_they_stand() -> None:
    assert redacted("user tiger, key c2VjcmV0LWtleQ, tigers", ["c2VjcmV0LWtleQ", "ab"]) == "user tiger, key ***, tigers"


def test_a_long_text_takes_no_longer_than_its_length() -> None:
    for long in ("password" * 250_000, "a" * 2_000_000, "://" * 700_000, "token = " * 250_000):  # minutes, if squared
        redacted(long)


PROGRAM = """
import logging, sys
from redaction import hide_secrets
from settings import settings
hide_secrets(settings().secrets())
logging.basicConfig(level=logging.INFO)
logging.info("asked with %s", "chat-key-1234")
print("Elasticsearch at http://u:first-of-all@h:1/ is away, thrown-it", file=sys.stderr)
try:
    raise ValueError("second-of-all: hooks.example/thrown-it")
except ValueError:
    logging.exception("It went wrong:")
print("moderators use desk-key-5678")
raise RuntimeError("password=third-of-all")
"""


def test_neither_logs_nor_tracebacks_of_a_process_show_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={
            "CROWDPULSE_ELASTICSEARCH_PASSWORD": "second-of-all",
            "CROWDPULSE_MODERATION_API_KEYS": "chat:chat-key-1234,desk:desk-key-5678:moderator",
            "CROWDPULSE_MODERATION_WEBHOOK": "https://hooks.example/thrown-it",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    said = done.stderr
    assert "asked with ***" in said
    assert "Elasticsearch at http://***@h:1/ is away" in said
    assert "ValueError: ***: hooks.example" in said
    assert "RuntimeError: password=***" in said
    assert "desk-key-5678" in done.stdout, "standard output carries data, and is left alone"
    assert not [
        secret for secret in ("chat-key-1234", "first-of-all", "second-of-all", "third-of-all") if secret in said
    ]
