"""The chain that all tests share, and the line that says how the suite went."""

from collections.abc import Iterator
from typing import Final

import pytest

from harness.faults.cases import RULES
from harness.faults.chain import make_whole, open_chain, unforeseen
from harness.faults.full_disk import UNREAL
from harness.faults.relay import ASKS, Relays
from harness.stack import Stack, free_ports

_FAILURES_TOLD: Final = 20


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The four programs, started once; whoever ends one of them need not start it again."""
    with open_chain(tmp_path_factory.mktemp("chain"), RULES) as stack:
        yield stack
        assert unforeseen(stack) == []


@pytest.fixture
def stack(chain: Stack) -> Stack:
    """The chain, whole."""
    make_whole(chain)
    return chain


@pytest.fixture(scope="session")
def relays() -> Relays:
    """The relays' ports, by the program that each stands before."""
    return free_ports(tuple(ASKS))


@pytest.fixture(scope="session")
def relayed_chain(tmp_path_factory: pytest.TempPathFactory, relays: Relays) -> Iterator[Stack]:
    """The four programs with a relay before each but the first."""
    urls = {url: f"http://127.0.0.1:{relays[host]}{path}" for host, (url, path) in ASKS.items()}
    with open_chain(tmp_path_factory.mktemp("relayed"), environ=urls) as stack:
        yield stack
        assert unforeseen(stack) == []


@pytest.fixture
def relayed(relayed_chain: Stack) -> Stack:
    """The same, whole."""
    make_whole(relayed_chain)
    return relayed_chain


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """One line for whoever reads a CI log, and how to play each failure alone."""
    reports = terminalreporter.stats
    failed = [*reports.get("failed", ()), *reports.get("error", ())]
    passed = reports.get("passed", ())
    report = config.getoption("xmlpath")
    where = f"; report: {report}" if report else ""
    terminalreporter.write_line(f"faults: {len(passed)} passed, {len(failed)} failed{where}")
    if any(UNREAL in one.user_properties for one in passed):
        terminalreporter.write_line(
            "  NOTE: this machine makes no mount namespace, so no disk was really full:"
            " the size of files was limited instead"
        )
    for one in failed[:_FAILURES_TOLD]:
        name = one.nodeid.rpartition("::")[2]
        terminalreporter.write_line(f"  alone: make test-faults ONLY='{name}'")
    if len(failed) > _FAILURES_TOLD:
        terminalreporter.write_line(f"  … and {len(failed) - _FAILURES_TOLD} more")
