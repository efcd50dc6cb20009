"""`python -m hop.probe URL`: whether a program answers 200 there, for a container's health check.

An image that holds Python needs no curl for this. It imports nothing of ours, since it is run every
few seconds. Exit status: 0 for a 200, 1 for anything else, said in one line; 2 for wrong arguments.
"""

import sys
from collections.abc import Sequence
from http.client import HTTPException
from typing import Final
from urllib.request import ProxyHandler, build_opener

LIMIT_S: Final = 3.0


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    if len(arguments) != 1 or not arguments[0].startswith("http://"):
        print("usage: python -m hop.probe http://HOST:PORT/PATH", file=sys.stderr)
        return 2
    # Without the proxy that the environment may name: what is asked is on this machine.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(arguments[0], timeout=LIMIT_S) as answer:
            status = answer.status
    except (OSError, HTTPException, ValueError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 1
    if status != 200:
        print(f"{arguments[0]}: status {status}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
