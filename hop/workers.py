"""Several processes of one program on one address: a parent that only watches, and its workers.

    run_workers(count, work, log) -> exit code      `work(parent_left)` runs in each worker

Workers are forked from a parent that already listens, so that the kernel gives each connection to
whoever takes it first. The parent serves nothing. SIGTERM or SIGINT to it is a SIGTERM to all: each
drains by itself. A worker that dies is replaced; one that dies within `YOUNG_S` of its start would
die again: then all of them end, and the exit code is 1. A parent that is killed takes its workers
with it: `parent_left` is a descriptor that becomes readable then, and asks for a drain.

Nothing is shared: slots, breakers, rates and metrics are each worker's own.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Final

from attrs import define, field

from hop.log import Log

YOUNG_S: Final = 1.0
_EXIT_FAILED: Final = 1
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
Work = Callable[[int], int]
"""What a worker does, by the descriptor that tells of its parent; its exit code."""


def run_workers(count: int, work: Work, log: Log) -> int:
    """Keep so many workers running until told to stop; the exit code. The main thread's alone."""
    return _Parent(work, log).run(count)


@define
class _Parent:
    _work: Work
    _log: Log
    _started: dict[int, float] = field(factory=dict)  # by process id, on the monotonic clock
    _stopping: bool = False
    _exit_code: int = 0
    _lifeline: tuple[int, int] = field(factory=os.pipe)

    def run(self, count: int) -> int:
        before = {number: signal.signal(number, lambda *_: self._stop()) for number in _STOPS}
        try:
            for _ in range(count):
                self._start()
            while self._started:
                pid, status = os.waitpid(-1, 0)
                self._ended(pid, os.waitstatus_to_exitcode(status))
            return self._exit_code
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for end in self._lifeline:
                os.close(end)

    def _start(self) -> None:
        """A worker more. A signal to stop that comes meanwhile is heeded by parent and worker."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        if (pid := os.fork()) == 0:
            os._exit(self._as_worker())
        self._started[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)

    def _as_worker(self) -> int:
        """Ctrl-C reaches a terminal's whole group: a worker minds only what its parent tells it."""
        code = _EXIT_FAILED
        try:
            os.close(self._lifeline[1])
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            code = self._work(self._lifeline[0])
        except BaseException:
            self._log.exception("unforeseen")
        return code

    def _stop(self) -> None:
        self._stopping = True
        for pid in self._started:
            os.kill(pid, signal.SIGTERM)

    def _ended(self, pid: int, code: int) -> None:
        lived_s = time.monotonic() - self._started.pop(pid)
        if self._stopping:
            self._exit_code = self._exit_code or (_EXIT_FAILED if code > 0 else 0)
            return
        self._log.error("worker died", worker=pid, exit_code=code)
        if lived_s >= YOUNG_S:
            self._start()
        else:
            self._exit_code = _EXIT_FAILED
            self._stop()
