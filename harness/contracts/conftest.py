"""Where the played cells of the order of events are written down, for the gate."""

from collections.abc import Callable

import pytest

from harness.order_breaks import Played
from harness.run_log import RunLog


@pytest.fixture(scope="session")
def keep(run_log: RunLog) -> Callable[[Played], None]:
    """Takes each played case; it becomes a line of the run log."""
    return lambda played: run_log.write(played.line())
