"""One running program: its process group, its output, its end.

The process leads a session of its own, so that the terminal's Ctrl-C reaches only the supervisor,
and hangs on a leash, so that it cannot outlive it. `subprocess.Popen` is called right here, in the
main thread, although that blocks for a few milliseconds: `trio.lowlevel.open_process` starts
processes from a worker thread, and the leash would pull when that thread retires.
"""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import trio
from attrs import Factory, define

from scripts import leash

TAIL_LINES = 12
LINE_BYTES_MAX = 65_536
READ_BYTES = 65_536
LAST_WORDS_S = 0.3  # after the exit, for what is still in the pipe


def start(
    argv: Sequence[str], environment: Mapping[str, str], cwd: Path, output: int | None
) -> "subprocess.Popen[bytes]":
    """Starts `argv` on a leash; its stdout and stderr go to `output` (None: the terminal)."""
    leashed = (sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *argv)
    return subprocess.Popen(  # noqa: S603 - the plan's own commands, no shell
        leashed,
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        start_new_session=True,
    )


async def wait(process: "subprocess.Popen[bytes]") -> int:
    """The exit status. Waits in a thread, the one way that every Unix has."""
    return await trio.to_thread.run_sync(process.wait, abandon_on_cancel=True)


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to the process and whatever it started; nothing where all are gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def how_it_ended(returncode: int) -> str:
    """`exit 3`, `SIGKILL`: an exit status in a person's words."""
    if returncode >= 0:
        return f"exit {returncode}"
    with suppress(ValueError):
        return signal.Signals(-returncode).name
    return f"signal {-returncode}"


@define(eq=False)
class Child:
    """A started program. `attend` must run for as long as it lives."""

    process: "subprocess.Popen[bytes]"
    log: BinaryIO
    on_line: Callable[[bytes], None]
    gone: trio.Event = Factory(trio.Event)
    tail: deque[str] = Factory(lambda: deque(maxlen=TAIL_LINES))

    async def attend(self) -> None:
        """Relays its output until it has ended, then clears its process group away."""
        relayed = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._relay, relayed)
            await wait(self.process)
            # A grandchild would hold the pipe open, and the port.
            kill_group(self.process)
            with trio.move_on_after(LAST_WORDS_S):
                await relayed.wait()
            nursery.cancel_scope.cancel()
        self.gone.set()

    async def _relay(self, relayed: trio.Event) -> None:
        assert self.process.stdout is not None
        rest = b""
        async with trio.lowlevel.FdStream(os.dup(self.process.stdout.fileno())) as output:
            self.process.stdout.close()
            while data := await output.receive_some(READ_BYTES):
                # A full disk must not take the programs down with it.
                with suppress(OSError):
                    self.log.write(data)
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > LINE_BYTES_MAX:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._heed(line)
        self._heed(rest)
        relayed.set()

    def _heed(self, line: bytes) -> None:
        if line.strip():
            self.tail.append(line.decode("utf-8", "replace").rstrip())
            self.on_line(line)

    def terminate(self) -> None:
        """SIGTERM to the program alone: it stops what it started."""
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL to its whole group."""
        kill_group(self.process)

    @property
    def ended(self) -> str:
        """How it ended, in words; only after `gone`."""
        assert self.process.returncode is not None
        return how_it_ended(self.process.returncode)
