"""`python -m scripts.with_env COMMAND…`: becomes COMMAND, with `.env.local` under the environment.

For the targets that run one program alone: `make fake`, `make ingest`.
"""

import os
import sys

from scripts.local_settings import load


def main(command: list[str]) -> None:
    """Never returns."""
    os.execvpe(command[0], command, load())  # noqa: S606 - the Makefile's own command, no shell


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("usage: python -m scripts.with_env COMMAND…")
    main(sys.argv[1:])
