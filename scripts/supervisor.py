"""Runs a plan's programs: starts them in order, brings back one that died, stops them in order.

One nursery holds everything. `_running` is cancelled by the first `stop`, or by a fault that ends
the run; then the programs get SIGTERM one after the other, outermost first, within one budget, and
whatever has not ended by its share of it is killed. When `run` returns, no process is left.
"""

import math
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import httpx
import trio
from attrs import define, field, frozen

from scripts import child as processes
from scripts.child import Child
from scripts.deaths import DEATHS_MAX, WITHIN_S, Deaths
from scripts.loglines import terminal_line
from scripts.stack import Plan, Program, stop_by

POLL_S = 0.05
POLL_TIMEOUT_S = 1.0
KILLED_S = 0.5  # for the kernel to carry out a SIGKILL


@frozen
class Limits:
    """Seconds. The whole stop is promised within five; what is missing here is make's and ours."""

    ready_s: float = 60.0
    stop_s: float = 4.5
    stop_reserve_s: float = 0.65  # an idle program drains in this


class Ended(Exception):
    """The run cannot go on; the message says which program and why."""


@define(eq=False)
class Supervisor:
    """`say` gets every line meant for a person; `first` runs to its end before any program."""

    plan: Plan
    cwd: Path
    log_dir: Path
    say: Callable[[str], None]
    first: tuple[str, ...] | None = None
    limits: Limits = Limits()
    children: dict[str, Child] = field(init=False, factory=dict)
    killed: list[str] = field(init=False, factory=list)
    _ready: dict[str, trio.Event] = field(init=False, factory=dict)
    _running: trio.CancelScope = field(init=False, factory=trio.CancelScope)
    _patience: trio.CancelScope = field(init=False, factory=trio.CancelScope)
    asked: int = field(init=False, default=0)
    _stopping: bool = field(init=False, default=False)
    _fault: str | None = field(init=False, default=None)

    def stop(self) -> None:
        """First call: stop in order. From the second on: kill at once."""
        self.asked += 1
        self._running.cancel()
        if self.asked > 1:
            self._patience.cancel()

    async def run(self, when_ready: Callable[[], None]) -> str | None:
        """Until `stop`; None after a clean stop, else what went wrong."""
        self.log_dir.mkdir(parents=True, exist_ok=True)
        try:
            async with trio.open_nursery() as nursery:
                with self._running:
                    await self._start_all(nursery)
                    when_ready()
                    await trio.sleep_forever()
                self._stopping = True
                await self._stop_all()
                nursery.cancel_scope.cancel()
        finally:
            for child in self.children.values():
                child.kill()
        if self.killed and not self._fault:
            why = "as asked" if self.asked > 1 else "not stopped in time"
            return f"killed, {why}: {', '.join(self.killed)}"
        return self._fault

    # Starting

    async def _start_all(self, nursery: trio.Nursery) -> None:
        try:
            await self._run_first()
            with trio.fail_after(self.limits.ready_s):
                for program in self.plan.programs:
                    nursery.start_soon(self._keep, program)
                    await self._ready_event(program).wait()
        except Ended as ended:
            self._end(str(ended))
        except trio.TooSlowError:
            late = [p.name for p in self.plan.programs if not self._ready_event(p).is_set()]
            self._end(
                f"not ready within {self.limits.ready_s:g} s: {late[0]}" + self._tail(late[0])
            )
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _run_first(self) -> None:
        if self.first is None:
            return
        process = processes.start(self.first, self.plan.environment, self.cwd, output=None)
        try:
            status = await processes.wait(process)
        finally:
            processes.kill_group(process)
        if status:
            command = " ".join(self.first[1:])
            raise Ended(f"`{command}` failed ({processes.how_it_ended(status)})")

    def _ready_event(self, program: Program) -> trio.Event:
        return self._ready.setdefault(program.name, trio.Event())

    # Running

    async def _keep(self, program: Program) -> None:
        """One program, for as long as the run lasts: started again when it dies."""
        deaths = Deaths()
        with self._open_log(program) as log:
            while not self._stopping:
                child = self._start(program, log)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._await_ready, program, bool(deaths.times))
                    await child.attend()
                    nursery.cancel_scope.cancel()
                if not self._stopping:
                    await self._after_death(program, child, deaths)

    def _open_log(self, program: Program) -> BinaryIO:
        path = self.log_dir / f"{program.name}.log"
        with suppress(FileNotFoundError):
            path.replace(path.with_suffix(".log.1"))
        return path.open("wb", buffering=0)

    def _start(self, program: Program, log: BinaryIO) -> Child:
        def show(raw: bytes) -> None:
            # What a program says in dying before it is ready comes with the verdict, once.
            if not raw.startswith(b"{") and not self._ready_event(program).is_set():
                return
            line = terminal_line(program.name, raw) if program.logs_json else None
            if line is not None:
                self.say(line)

        process = processes.start(program.argv, self.plan.environment, self.cwd, subprocess.PIPE)
        self.children[program.name] = Child(process, log, show)
        return self.children[program.name]

    async def _await_ready(self, program: Program, again: bool) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=POLL_TIMEOUT_S) as client:
            # Another process's readiness has no event to wait for.
            while not await _answers(client, program.ready_url):  # noqa: ASYNC110 - as said
                await trio.sleep(POLL_S)
        self._ready_event(program).set()
        if again:
            self.say(f"{program.name} is back")

    async def _after_death(self, program: Program, child: Child, deaths: Deaths) -> None:
        name = program.name
        if not self._ready_event(program).is_set():
            self._end(f"{name} ended before it was ready ({child.ended})" + self._tail(name))
            return
        pause = deaths.pause_after(trio.current_time())
        if pause is None:
            often = f"{DEATHS_MAX} times within {WITHIN_S:g} s"
            self._end(f"{name} ended {often}, the last with {child.ended}" + self._tail(name))
            return
        self.say(f"{name} ended ({child.ended}): starting it again")
        await trio.sleep(pause)

    # Stopping

    def _end(self, fault: str) -> None:
        self._fault = self._fault or fault
        self._running.cancel()

    def _tail(self, name: str) -> str:
        child = self.children.get(name)
        lines = list(child.tail) if child else []
        where = f"\n  the whole log: {self.log_dir / name}.log"
        return "".join(f"\n  {line}" for line in lines) + where

    async def _stop_all(self) -> None:
        began = trio.current_time()
        names = [program.name for program in reversed(self.plan.programs)]
        started = [name for name in names if name in self.children]
        shares = stop_by(len(started), self.limits.stop_s, self.limits.stop_reserve_s)
        for name, share in zip(started, shares, strict=True):
            if not await self._stop_one(self.children[name], began + share):
                self.killed.append(name)

    async def _stop_one(self, child: Child, deadline: float) -> bool:
        """True when it ended by itself, False when it had to be killed."""
        if child.gone.is_set():
            return True
        child.terminate()
        self._patience = trio.CancelScope(deadline=-math.inf if self.asked > 1 else deadline)
        with self._patience:
            await child.gone.wait()
            return True
        child.kill()
        with trio.move_on_after(KILLED_S):
            await child.gone.wait()
        return False


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
