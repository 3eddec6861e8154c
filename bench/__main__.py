"""`make bench`: runs the benchmarks on the local stack, starting it if need be."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from bench import latency, scoring, social_posts, wiki_edits
from stack import cluster
from stack.errors import StackError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--events", type=int, help=f"how many events to load (default: 500000; social_posts: {social_posts.EVENTS})"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is measured (default: 3)")
    parser.add_argument(
        "--only", choices=["wiki_edits", "scoring", "social_posts", "latency"], help="only this benchmark"
    )
    options = parser.parse_args(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    ran = all(state.healthy for state in cluster.states() if state.part)
    try:
        cluster.up(console)
        if options.only in (None, "wiki_edits"):
            wiki_edits.main(console, options.events or 500_000, options.rounds)
        if options.only in (None, "scoring"):
            scoring.main(console, options.events or 500_000, options.rounds)
        if options.only in (None, "social_posts"):
            social_posts.main(console, options.events or social_posts.EVENTS, options.rounds)
        if options.only in (None, "latency"):
            latency.main(console)
    except StackError as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        return 1
    finally:
        if not ran:
            cluster.down(console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
