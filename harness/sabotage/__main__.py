"""`make mutants [SINCE=rev] [ONLY=name]`: break one law after another; the tests have to notice.

Each mutant of the lists in `harness/sabotage/*.toml` is planted in a throw-away copy of the tree,
and the tests that its row names run against it, in a process of their own. First they run against
the tree as it is: a test that fails anyway notices nothing. Exit status 0 when every mutant was
killed; 1 when one survived, hung, or could not be tried; 2 for arguments that make no sense; 130
after Ctrl-C.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import trio

from harness.sabotage.mutants import BadList, Mutant, listed, named, touched
from harness.sabotage.trial import Ended, Verdict, copied, run_tests, tried

ROOT: Final = Path(__file__).resolve().parents[2]
AT_ONCE: Final = 2
_BASELINE_LIMIT_S: Final = 300.0
_STOPPED: Final = 130  # as shells have it for Ctrl-C


class _NoSense(Exception):
    """Arguments that choose nothing."""


class _FailAnyway(Exception):
    """Tests that fail without any mutant."""


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Exit status as the module's page says."""
    options = _options(arguments)
    try:
        every = listed(root, root / "harness/sabotage")
        chosen = _chosen(every, options.only, options.since, root)
    except (BadList, _NoSense) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    stale = {mutant.name: why for mutant in every if (why := mutant.stale(root))}
    able = [mutant for mutant in chosen if mutant.name not in stale]
    print(f"{len(able)} of {len(every)} mutants, {AT_ONCE} at a time", flush=True)
    began = time.perf_counter()
    ended = _played(able, root)
    if isinstance(ended, int):
        return ended
    _summary(able, ended, time.perf_counter() - began)
    for name, why in stale.items():
        print(f"STALE  {name}: {why}")
    lived = any(one.verdict is not Verdict.KILLED for one in ended.values())
    return 1 if lived or stale else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m harness.sabotage", description=__doc__)
    since = "only mutants whose file, row or tests changed since this commit"
    parser.add_argument("--since", default="", metavar="REV", help=since)
    parser.add_argument("--only", default="", metavar="NAME", help="a mutant's name, or a*pattern")
    return parser.parse_args(arguments)


def _chosen(every: Sequence[Mutant], only: str, since: str, root: Path) -> Sequence[Mutant]:
    chosen = named(every, only) if only else every
    if not chosen:
        raise _NoSense(f"no mutant is called {only}: {' '.join(mutant.name for mutant in every)}")
    return touched(chosen, _changed(since, root)) if since else chosen


def _changed(since: str, root: Path) -> list[str]:
    """The files that differ from that commit, uncommitted changes included."""
    command = ("git", "diff", "--name-only", since, "--")
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)  # noqa: S603 - git
    if done.returncode:
        raise _NoSense(done.stderr.strip())
    return done.stdout.splitlines()


def _played(mutants: Sequence[Mutant], root: Path) -> Mapping[str, Ended] | int:
    """What became of each; or the exit status where that can not be known."""
    ended: dict[str, Ended] = {}
    status: int | None = None
    try:
        with TemporaryDirectory(prefix="mutants-") as folder:
            copies = [copied(root, Path(folder) / str(number)) for number in range(AT_ONCE)]
            trio.run(_all, mutants, copies, ended)
    except* KeyboardInterrupt:
        print(f"stopped after {len(ended)} of {len(mutants)} mutants")
        status = _STOPPED
    except* _FailAnyway as failures:
        print("these tests fail without any mutant, so nothing can be told:")
        for failure in failures.exceptions:
            print(failure)
        status = 1
    return ended if status is None else status


async def _all(mutants: Sequence[Mutant], copies: Sequence[Path], ended: dict[str, Ended]) -> None:
    tests = sorted({test for mutant in mutants for test in mutant.killed_by})
    async with trio.open_nursery() as nursery:
        for number, copy in enumerate(copies):
            nursery.start_soon(_must_pass, tests[number :: len(copies)], copy)
    waiting = iter(enumerate(mutants, 1))
    async with trio.open_nursery() as nursery:
        for copy in copies:
            nursery.start_soon(_work, waiting, copy, ended, len(mutants))


async def _must_pass(tests: Sequence[str], copy: Path) -> None:
    if tests:
        status, said = await run_tests(tests, copy, _BASELINE_LIMIT_S)
        if status != 0:
            raise _FailAnyway(said)


async def _work(
    waiting: Iterator[tuple[int, Mutant]], copy: Path, ended: dict[str, Ended], total: int
) -> None:
    for number, mutant in waiting:
        one = ended[mutant.name] = await tried(mutant, copy)
        verdict = f"{one.verdict.value:9}{one.seconds:5.1f} s"
        print(f"[{number:3}/{total}] {verdict}  {mutant.name}", flush=True)


def _summary(mutants: Sequence[Mutant], ended: Mapping[str, Ended], took_s: float) -> None:
    for part, count in Counter(mutant.file.partition("/")[0] for mutant in mutants).items():
        killed = sum(
            ended[mutant.name].verdict is Verdict.KILLED
            for mutant in mutants
            if mutant.file.startswith(f"{part}/")
        )
        print(f"  {part:10} {killed:3} of {count} killed")
    lived = [mutant for mutant in mutants if ended[mutant.name].verdict is not Verdict.KILLED]
    for mutant in lived:
        one = ended[mutant.name]
        print(f"{one.verdict.value}  {mutant.name} ({mutant.file}): {mutant.law}")
        print(f"  again: make mutants ONLY={mutant.name}")
        print("\n".join(f"  | {line}" for line in one.told.splitlines()))
    print(f"{len(mutants) - len(lived)} of {len(mutants)} mutants killed in {took_s:.0f} s")


if __name__ == "__main__":
    # A SIGTERM is a Ctrl-C too: neither leaves a process or a copy behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
