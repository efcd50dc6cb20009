"""Tasks that are ready at once run in an order of each test's own, the same in every run of it.

Trio shuffles them, so that nobody comes to rely on one order. Here a test's name decides, and what
failed fails again. `ORDER=7` in the environment, or after `make test`, deals every test another.
"""

import os
import random
import zlib

import pytest
import trio._core._run as trio_run


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Deal the order of the test that begins. Hypothesis deals its own to each example."""
    dice = trio_run._r
    assert isinstance(dice, random.Random)
    dice.seed(zlib.crc32(f"{os.environ.get('ORDER', '')}{item.nodeid}".encode()))
