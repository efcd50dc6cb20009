"""The supervisor over real processes, real sockets and real signals: order, budget, no orphan."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define

from scripts.stack import Program
from scripts.supervisor import Limits, Supervisor
from scripts.tests.standins import ROOT, free_ports, plan, program

ENOUGH_S = 15.0


@define
class Run:
    """A supervisor at work, what it said, and what it returned."""

    supervisor: Supervisor
    said: list[str]
    fault: str | None = None


def journal_of(path: Path) -> list[str]:
    """`what name` of every line."""
    return [line.rsplit(" ", 1)[0] for line in path.read_text().splitlines()]


def alive(path: Path) -> list[int]:
    """The stand-ins of this journal that still run (a zombie nobody reaped counts as gone)."""
    pids = {int(line.split()[-1]) for line in path.read_text().splitlines()}
    return [pid for pid in pids if _runs(pid)]


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


async def eventually(condition: Callable[[], bool]) -> None:
    """Waits for the world; fails when it takes too long."""
    with trio.fail_after(ENOUGH_S):
        while not condition():  # noqa: ASYNC110 - another process has no event to wait for
            await trio.sleep(0.02)


@asynccontextmanager
async def running(path: Path, programs: tuple[Program, ...], limits: Limits) -> AsyncIterator[Run]:
    """A run that became ready; stopped when the block ends."""
    run = Run(Supervisor(plan(programs), ROOT, path.parent / "log", lambda _: None), [])
    run.supervisor.say = run.said.append
    run.supervisor.limits = limits
    ready = trio.Event()

    async def go() -> None:
        run.fault = await run.supervisor.run(ready.set)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go)
        with trio.fail_after(ENOUGH_S):
            await ready.wait()
        yield run
        run.supervisor.stop()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    path.touch()
    return path


def standins(journal: Path, *options: tuple[str, ...]) -> tuple[Program, ...]:
    ports = free_ports(len(options))
    rows = zip(ports, options, strict=True)
    return tuple(program(f"p{i}", port, journal, *words) for i, (port, words) in enumerate(rows))


async def test_programs_start_in_order_and_stop_in_reverse(journal: Path) -> None:
    async with running(journal, standins(journal, ("drain=0.1",), ("drain=0.1",)), Limits()) as run:
        assert journal_of(journal) == ["ready p0", "ready p1"]
    assert run.fault is None
    stops = ["term p1", "end p1", "term p0", "end p0"]
    assert journal_of(journal) == ["ready p0", "ready p1", *stops]
    assert alive(journal) == []


async def test_output_is_in_the_log_and_only_warnings_on_the_terminal(journal: Path) -> None:
    async with running(journal, standins(journal, ()), Limits()) as run:
        await eventually(lambda: bool(run.said))
    assert run.said == ["p0: warning: careful path=$.x"]
    assert "started" in (journal.parent / "log" / "p0.log").read_text()


async def test_deaf_programs_are_killed_within_the_budget(journal: Path) -> None:
    programs = standins(journal, (), ("deaf",), ("deaf",))
    async with running(journal, programs, Limits(stop_s=0.9, stop_reserve_s=0.3)) as run:
        began = trio.current_time()
    assert trio.current_time() - began < 1.2
    assert run.fault == "killed, not stopped in time: p2, p1"
    assert "end p0" in journal_of(journal)
    assert alive(journal) == []


async def test_second_stop_kills_at_once(journal: Path) -> None:
    async with running(journal, standins(journal, ("deaf",), ("deaf",)), Limits()) as run:
        began = trio.current_time()
        run.supervisor.stop()
        await eventually(lambda: "term p1" in journal_of(journal))
    assert trio.current_time() - began < 1.5
    assert run.fault == "killed, as asked: p1, p0"
    assert alive(journal) == []


async def test_killed_program_is_started_again_and_the_others_stay(journal: Path) -> None:
    async with running(journal, standins(journal, (), ()), Limits()) as run:
        run.supervisor.children["p0"].process.kill()
        await eventually(lambda: "p0 is back" in run.said)
    assert run.fault is None
    assert "p0 ended (SIGKILL): starting it again" in run.said
    assert journal_of(journal)[:3] == ["ready p0", "ready p1", "ready p0"]


async def test_third_death_within_ten_seconds_ends_the_run(journal: Path) -> None:
    async with running(journal, standins(journal, (), ()), Limits()) as run:
        for back in range(3):
            await eventually(lambda: run.said.count("p0 is back") == back)  # noqa: B023 - awaited
            run.supervisor.children["p0"].process.kill()
        await eventually(lambda: run.fault is not None)
    assert run.fault is not None
    assert run.fault.startswith("p0 ended 3 times within 10 s, the last with SIGKILL")
    assert alive(journal) == []


async def test_program_that_ends_before_it_is_ready_is_named_with_its_last_words(
    journal: Path,
) -> None:
    programs = standins(journal, (), ("dies",))
    supervisor = Supervisor(plan(programs), ROOT, journal.parent / "log", lambda _: None)
    fault = await supervisor.run(lambda: None)
    assert fault is not None
    assert fault.startswith("p1 ended before it was ready (exit 1)\n  p1 cannot live like this")
    assert journal_of(journal) == ["ready p0", "term p0", "end p0"]


async def test_program_that_is_never_ready_is_named(journal: Path) -> None:
    (port,) = free_ports(1)
    mute = (sys.executable, "-c", "import time; time.sleep(60)")
    programs = (Program("p0", mute, f"http://127.0.0.1:{port}/"),)
    supervisor = Supervisor(plan(programs), ROOT, journal.parent / "log", lambda _: None)
    supervisor.limits = Limits(ready_s=0.5)
    fault = await supervisor.run(lambda: None)
    assert fault is not None
    assert fault.startswith("not ready within 0.5 s: p0")


async def test_first_command_that_fails_ends_the_run_before_any_program(journal: Path) -> None:
    first = (sys.executable, "-c", "raise SystemExit(3)")
    supervisor = Supervisor(
        plan(standins(journal, ())), ROOT, journal.parent / "log", lambda _: None, first
    )
    fault = await supervisor.run(lambda: None)
    assert fault == "`-c raise SystemExit(3)` failed (exit 3)"
    assert journal_of(journal) == []


def supervising(journal: Path) -> "subprocess.Popen[str]":
    """A supervisor in a process of its own, ready."""
    argv = [sys.executable, "-m", "scripts.tests.standins", "supervise", str(journal)]
    argv += [str(port) for port in free_ports(2)]
    process = subprocess.Popen(  # noqa: S603 - our own stand-ins, no shell
        argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ready "):
            return process
    raise AssertionError(f"ended with {process.wait()}")


@pytest.fixture
def hanging_up_is_heard() -> Iterator[None]:
    """Also where the tests run under `nohup`, whose children would inherit a deaf ear."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hanging_up_is_heard")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_stops_everything_with_status_0(journal: Path, signum: signal.Signals) -> None:
    with supervising(journal) as process:
        os.killpg(process.pid, signum)  # as a terminal does: to the whole foreground group
        assert process.wait(ENOUGH_S) == 0
    assert journal_of(journal)[-4:] == ["term p1", "end p1", "term p0", "end p0"]
    assert alive(journal) == []


def test_killed_supervisor_leaves_no_process(journal: Path) -> None:
    with supervising(journal) as process:
        process.kill()
        process.wait(ENOUGH_S)
    until = time.monotonic() + ENOUGH_S
    while alive(journal) and time.monotonic() < until:
        time.sleep(0.02)
    assert alive(journal) == []
