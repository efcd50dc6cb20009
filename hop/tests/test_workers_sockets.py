"""Several workers behind one address, as real processes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
import trio

from harness.raw_client import dial
from harness.stack import Running, Stack, open_stack
from hop.log import make_log
from hop.workers import YOUNG_S, run_workers

LIMIT_S = 15.0


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with open_stack(tmp_path, {"a.md": "# A\n\nNothing.\n"}, LLM_PROVIDER="toy") as stack:
        yield stack


def workers_of(program: Running) -> list[int]:
    listed = Path(f"/proc/{program.process.pid}/task/{program.process.pid}/children")
    return [int(pid) for pid in listed.read_text("ascii").split()]


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def serving(program: Running) -> int:
    return sum(1 for line in program.lines() if line["event"] == "serving")


def started(stack: Stack, count: int = 2) -> Running:
    program = stack.start("llmgw", WORKERS=str(count))
    wait_until(lambda: serving(program) == count)
    return program


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError, FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    return False


async def answers(port: int) -> bool:
    async with dial(port) as client:
        return b'"ok"' in await client.get("/health")


def test_workers_share_the_address_and_all_drain_when_the_parent_is_told(stack: Stack) -> None:
    program = started(stack, 3)
    pids = workers_of(program)
    assert len(pids) == 3
    assert trio.run(answers, program.port)
    program.terminate()
    assert program.wait_ended() == 0
    assert not any(map(is_alive, pids))
    assert sum(1 for line in program.lines() if line["event"] == "stopped") == 3


def test_worker_is_replaced_when_it_dies(stack: Stack) -> None:
    program = started(stack)
    first, other = workers_of(program)
    time.sleep(YOUNG_S + 0.1)  # it is not young any more
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: serving(program) == 3)
    now = workers_of(program)
    assert len(now) == 2
    assert other in now
    assert first not in now
    (line,) = [line for line in program.lines() if line["event"] == "worker died"]
    assert (line["worker"], line["exit_code"]) == (first, -signal.SIGKILL)
    assert trio.run(answers, program.port)


def test_all_end_when_a_worker_dies_young() -> None:
    """It would die again, and again."""
    log = make_log("probe", "error", out := StringIO())
    assert run_workers(2, lambda _: 3, log) == 1
    assert '"exit_code": 3' in out.getvalue()


def test_workers_go_when_their_parent_was_killed(stack: Stack) -> None:
    program = started(stack)
    pids = workers_of(program)
    program.kill()
    wait_until(lambda: not any(map(is_alive, pids)))
    assert sum(1 for line in program.lines() if line["event"] == "stopped") == 2, "drained, not cut"
