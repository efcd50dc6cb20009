"""One mutant on trial: planted in a throw-away copy of the tree, and its tests run against it.

The copy is made once and put right again after each trial. Every trial is a process of its own,
with a time limit; whoever is cancelled leaves neither the process nor the mutant behind. The tree
that was copied is never written to.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from harness.sabotage.mutants import Mutant

# Far over what the slowest of the named tests takes on a busy machine.
LIMIT_S: Final = 60.0
# What a tree holds beside its sources: environments, caches, data.
NOT_COPIED: Final = (
    ".git",
    ".venv*",
    "var",
    "build",
    "dist",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
)

# What is drawn at random is the same in each trial. A property that breaks needs no smallest
# example, and how long drawing takes is no law: a busy machine would kill what nobody noticed.
_CONFTEST: Final = '''
from hypothesis import HealthCheck, Phase, is_hypothesis_test, settings

settings.register_profile(
    "mutants",
    max_examples=30,
    phases=(Phase.explicit, Phase.generate),
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=(HealthCheck.too_slow,),
)
settings.load_profile("mutants")


def pytest_collection_modifyitems(items):
    """Examples first: they are quick, and most mutants die of one."""
    items.sort(key=lambda item: is_hypothesis_test(getattr(item, "function", None)))
'''

_TAIL_LINES: Final = 12
# pytest's exit status: tests failed. All others but 0 mean that they could not be run.
_FAILED: Final = 1


class Verdict(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "SURVIVED"
    HUNG = "HUNG"
    BROKEN = "BROKEN"  # its tests could not be run: that proves nothing
    STALE = "STALE"  # it could not be planted


@frozen
class Ended:
    """A trial that is over. `told` is what pytest said last, where that explains anything."""

    verdict: Verdict
    seconds: float
    told: str = ""


def copied(root: Path, into: Path) -> Path:
    """A copy of the tree, sources only, and with how its properties are to be tried."""
    shutil.copytree(root, into, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    with (into / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(_CONFTEST)
    return into


async def tried(mutant: Mutant, copy: Path, limit_s: float = LIMIT_S) -> Ended:
    """What the mutant's tests say of it, in that copy, which is as before when this returns."""
    began = trio.current_time()
    if why := mutant.stale(copy):
        return Ended(Verdict.STALE, 0.0, why)
    with _planted(mutant, copy):
        status, said = await run_tests(mutant.killed_by, copy, limit_s)
    verdict = judged(status, hangs=mutant.hangs)
    told = "" if verdict is Verdict.KILLED else "\n".join(said.splitlines()[-_TAIL_LINES:])
    return Ended(verdict, trio.current_time() - began, told)


def judged(status: int | None, *, hangs: bool) -> Verdict:
    """What pytest's exit status means; None: it was stopped at the limit."""
    if status is None:
        return Verdict.KILLED if hangs else Verdict.HUNG
    if status == 0:
        return Verdict.SURVIVED
    return Verdict.KILLED if status == _FAILED else Verdict.BROKEN


async def run_tests(tests: Sequence[str], copy: Path, limit_s: float) -> tuple[int | None, str]:
    """pytest's exit status and what it said, up to the first failure; None: over the limit."""
    options = ("-x", "--tb=line", "--no-header", "-p", "pytest_trio.plugin")
    command = [sys.executable, "-m", "pytest", *options, *tests]
    # The copy's modules and no others; and of pytest's plugins the one that the tests need: to load
    # them all takes three times as long as what is to be found out.
    environment = {**os.environ, "PYTHONPATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # into the copy it may
    with trio.move_on_after(limit_s):
        done = await trio.run_process(
            command,
            cwd=copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
            start_new_session=True,  # Ctrl-C is for this process, which ends the others
            deliver_cancel=_end,
        )
        return done.returncode, done.stdout.decode(errors="replace")
    return None, f"no end within {limit_s:g} s"


async def _end(process: trio.Process) -> None:
    """End a trial at once, with whatever it has started."""
    os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _planted(mutant: Mutant, copy: Path) -> Iterator[None]:
    path = copy / mutant.file
    whole = path.read_text(encoding="utf-8")
    try:
        _write(path, whole.replace(mutant.old, mutant.new))
        yield
    finally:
        _write(path, whole)


def _write(path: Path, text: str) -> None:
    """Python tells a stale bytecode by seconds and size: here both may be the same."""
    path.write_text(text, encoding="utf-8")
    Path(cache_from_source(str(path))).unlink(missing_ok=True)
