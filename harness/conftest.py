"""What `make test` leaves out, and the run log of what `make test-contracts` plays."""

from pathlib import Path

import pytest

from harness.run_log import RunLog

# Targets of their own: other people's clients, the contract suite, and what only processes or real
# servers show.
collect_ignore = ["backends", "clients", "contracts", "faults", "scenarios", "web"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the suites that the gate reads write down what they played."""
    parser.addoption("--run-log", type=Path, help="file that the played worlds are added to")


@pytest.fixture(scope="session")
def run_log(pytestconfig: pytest.Config) -> RunLog:
    """The run log of this session."""
    return RunLog(pytestconfig.getoption("--run-log"))
