"""Collects nothing unless FIDELITY_PYTHON names the environment that holds the real server."""

import os
from collections.abc import Iterator

import pytest

from harness.fidelity.real_server import RealServer, serving

_PYTHON = os.environ.get("FIDELITY_PYTHON", "")
collect_ignore_glob = [] if _PYTHON else ["test_*.py"]


@pytest.fixture(scope="session")
def real() -> Iterator[RealServer]:
    """One real server for all of these tests."""
    with serving(_PYTHON) as server:
        yield server
