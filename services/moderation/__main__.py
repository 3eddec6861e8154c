"""`python -m services.moderation`: the chat, its moderators' desk and the API, over the chat's topics in Kafka."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

import uvicorn

from models import runtime
from models.policy import MODELS
from redaction import hide_secrets
from services.moderation.access import LOOPBACK, Keys, KeysError
from services.moderation.server import application
from settings import settings
from stack import ports

MAX_SAID_BYTES = 64 * 1024  # of one message over a WebSocket
UNFINISHED = "ASGI callable returned without completing handshake."


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Exit codes: 0 ended, 1 a problem (a sentence says which)."""
    parser = argparse.ArgumentParser(prog="python -m services.moderation", description=__doc__)
    parser.add_argument("--host", default=settings().moderation_host, help="default: %(default)s")
    parser.add_argument("--port", type=int, default=ports.port("moderation"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the reader says what matters
    # An error for each WebSocket that is refused, though it was answered as it should be.
    logging.getLogger("uvicorn.error").addFilter(lambda record: UNFINISHED not in record.getMessage())
    try:
        keys = Keys(settings().moderation_api_keys.get_secret_value())
        if not keys and options.host not in LOOPBACK:
            print(
                f"Without keys everybody who reaches {options.host} is a moderator: set CROWDPULSE_MODERATION_API_KEYS,"
                " or listen on 127.0.0.1.",
                file=sys.stderr,
            )
            return 1
        app = application({name: runtime.load(name) for name in MODELS}, keys)
    except (KeysError, LookupError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The moderation service: http://{options.host}:{options.port}", flush=True)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        ws_max_size=MAX_SAID_BYTES,
        ws_per_message_deflate=False,  # memory and time for each of those in a room, to save little
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    return 0


if __name__ == "__main__":
    hide_secrets(settings().secrets())
    sys.exit(main())
