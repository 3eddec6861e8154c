"""`python -m stack`: the local stack from the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from stack import cluster
from stack.errors import StackError


def main(arguments: Sequence[str] | None = None) -> int:
    c = Console(highlight=False, soft_wrap=True)
    a = argparse.ArgumentParser()
    a.add_argument("command")
    a.add_argument("--data", action="store_true")
    a.add_argument("--skip-build", action="store_true")
    o = a.parse_args(arguments)
    try:
        if o.command == "up":
            cluster.up(c, build=not o.skip_build)
        elif o.command == "down":
            cluster.down(c, data=o.data)
        else:
            for s in cluster.states():
                c.print(s)
    except StackError as e:
        c.print(str(e), highlight=False, markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
