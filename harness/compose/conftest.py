"""Collects nothing unless COMPOSE_TOOLS names the folder that holds Docker Compose and hadolint."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.compose.image import Image, built
from harness.compose.resolved import Compose

_TOOLS = os.environ.get("COMPOSE_TOOLS", "")
collect_ignore_glob = [] if _TOOLS else ["test_*.py"]


@pytest.fixture(scope="session")
def compose() -> Compose:
    """The real Docker Compose, over this checkout's files and the example settings."""
    packages = "lib/python*/site-packages"
    (binary,) = Path(_TOOLS).absolute().glob(f"{packages}/compose/docker-compose")
    return Compose(binary)


@pytest.fixture(scope="session")
def hadolint() -> Path:
    """The linter of Dockerfiles."""
    return Path(_TOOLS).absolute() / "bin/hadolint"


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """What the Dockerfile's build stage leaves behind, once for all of these tests."""
    with ExitStack() as kept:
        yield kept.enter_context(built(tmp_path_factory.mktemp("image")))
