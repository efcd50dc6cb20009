"""Which real servers the suite runs on, and the servers.

`BACKENDS` in the environment names them, with commas between: `mysql`, `opensearch`. A server that
is named and cannot be had is an error: a suite that quietly ran on less would prove less.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from harness.backends.mariadb import MariaDb, open_mariadb
from harness.tidy import ROOT

# What the files of each are called.
FILES: Final = {"mysql": "test_mysql", "opensearch": "test_opensearch"}
_CHOSEN: Final = [one for one in os.environ.get("BACKENDS", ",".join(FILES)).split(",") if one]


def pytest_configure() -> None:
    """A name that is none is a mistake."""
    if unknown := sorted(set(_CHOSEN) - set(FILES)):
        raise pytest.UsageError(f"BACKENDS: {', '.join(unknown)}: known are {', '.join(FILES)}")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the files of servers that were not named."""
    others = tuple(prefix for name, prefix in FILES.items() if name not in _CHOSEN)
    return True if others and collection_path.name.startswith(others) else None


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDb]:
    """A real MariaDB, running; whoever kills it starts it again."""
    with open_mariadb(ROOT / "var/backends/mariadb") as server:
        yield server
