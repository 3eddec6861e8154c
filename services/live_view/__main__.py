"""`python -m services.live_view`: the dashboards in the browser, from Elasticsearch, on this machine only."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

import uvicorn

from kibana.dashboards import DashboardError, load
from kibana.queries import check
from redaction import hide_secrets
from services.elasticsearch import elasticsearch_client
from services.live_view.server import VENDOR, application
from settings import settings
from stack import ports


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted. Exit codes: 0 ended, 1 a problem (a sentence says which)."""
    parser = argparse.ArgumentParser(prog="python -m services.live_view", description=__doc__)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; there is no login (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=ports.port("live-view"), help="default: %(default)s")
    parser.add_argument(
        "--name", action="append", default=[], help="answer to this host name too, not to 127.0.0.1 and localhost alone"
    )
    options = parser.parse_args(arguments)
    try:
        dashboards = load()
        check(dashboards.values())
    except DashboardError as error:
        print(error, file=sys.stderr)
        return 1
    if not dashboards:
        print("kibana/dashboards has no dashboard.", file=sys.stderr)
        return 1
    if not VENDOR.is_dir():
        print("The chart library is missing: `make view` fetches it with npm.", file=sys.stderr)
        return 1
    if options.host not in ("127.0.0.1", "localhost", "::1"):
        print(f"Listening on {options.host}: whoever reaches it reads everything, there is no login.", file=sys.stderr)
    print(f"The live view: http://{options.host}:{options.port}", flush=True)
    logging.getLogger("elastic_transport").setLevel(logging.ERROR)
    uvicorn.run(
        application(dashboards, elasticsearch_client(), options.name),
        host=options.host,
        port=options.port,
        log_level="warning",
    )
    return 0


if __name__ == "__main__":
    hide_secrets(settings().secrets())
    sys.exit(main())
