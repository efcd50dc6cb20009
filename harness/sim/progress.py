"""How far a run is, for whoever waits: a bar in a terminal, a line now and then elsewhere.

All of it is on standard error. What failed is said on standard output, in between.
"""

import sys
import time
from types import TracebackType
from typing import Final

from attrs import define, field
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from harness.sim.tally import Tally

_EVERY_S: Final = 30.0


def _bar() -> Progress:
    columns = (
        TextColumn("worlds"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@define
class Shown:
    """What is shown of a run of so many worlds."""

    runs: int
    _progress: Progress = field(factory=_bar, init=False)
    _before: int = field(default=0, init=False)
    _began: float = field(factory=time.perf_counter, init=False)
    _said_at: float = field(factory=time.perf_counter, init=False)

    def __enter__(self) -> "Shown":
        self._progress.start()
        self._progress.add_task("", total=self.runs)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, before: int) -> None:
        """So many worlds were judged in an earlier run; the rest is played from now on."""
        self._before = before
        self._began = self._said_at = time.perf_counter()
        (bar,) = self._progress.task_ids
        self._progress.reset(bar, completed=before)

    def world(self, tally: Tally) -> None:
        """One more is judged."""
        now = time.perf_counter()
        rate = (tally.worlds - self._before) / max(now - self._began, 0.001)
        said = f"{rate:.1f} a second, {tally.failed} failed"
        (bar,) = self._progress.task_ids
        self._progress.update(bar, completed=tally.worlds, description=said)
        if self._progress.disable and now > self._said_at + _EVERY_S:
            self._said_at = now
            left_s = (self.runs - tally.worlds) / rate
            print(
                f"{tally.worlds} of {self.runs} worlds, {said}, {left_s / 60:.0f} min left",
                file=sys.stderr,
                flush=True,
            )

    def say(self, *lines: str) -> None:
        """On standard output, with the bar out of the way."""
        if not self._progress.disable:
            self._progress.stop()
        print(*lines, sep="\n", flush=True)
        if not self._progress.disable:
            self._progress.start()
