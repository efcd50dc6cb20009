"""Runs a program and notes where its processor time goes, a sample each millisecond of it.

    python -m harness.bench.profiled OUT python -m llmgw

As the command that `harness.stack` runs a program under. SIGUSR1 begins anew; SIGUSR2 writes what
there is to OUT as JSON: `{"samples": n, "own": {place: n}, "within": {place: n}}`. A place is a
function and its module; `own` counts where the program was, `within` every function it was inside
of, each once. Samples are taken by the kernel's clock of used time, so waiting is not in them; a
call into C counts as its caller's.
"""

import json
import runpy
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

SAMPLE_S: Final = 0.001


class Profile:
    """The samples so far."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._samples = 0
        self._own: Counter[str] = Counter()
        self._within: Counter[str] = Counter()
        self._paused = False  # while the counters are read: a signal may come between two steps

    def start(self) -> None:
        """From now on, in this process."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, lambda *_: self._begin())
        signal.signal(signal.SIGUSR2, lambda *_: self._write())
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)

    def _begin(self) -> None:
        self._samples = 0
        self._own.clear()
        self._within.clear()

    def _sample(self, _: int, frame: FrameType | None) -> None:
        if self._paused:
            return
        self._samples += 1
        if frame is not None:
            self._own[_place(frame)] += 1
        seen = set()
        while frame is not None:
            seen.add(_place(frame))
            frame = frame.f_back
        self._within.update(seen)

    def _write(self) -> None:
        self._paused = True
        kept = {
            "samples": self._samples,
            "own": dict(self._own.most_common(60)),
            "within": dict(self._within.most_common(200)),
        }
        self._paused = False
        partial = self._out.with_suffix(".part")
        partial.write_text(json.dumps(kept), "utf-8")
        partial.rename(self._out)


def _place(frame: FrameType) -> str:
    module = frame.f_globals.get("__name__", "?")
    return f"{frame.f_code.co_qualname} ({module})"


if __name__ == "__main__":
    out, _, _, name, *arguments = sys.argv[1:]
    Profile(Path(out)).start()
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
