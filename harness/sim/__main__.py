"""`make sim SEED=n RUNS=m`: random worlds, each from its own seed, judged by every checker.

Worlds are played side by side in as many processes as there are processors. A failure prints what
was broken, the least plan in which it still is, and the one line that plays it again. Exit status 0
when no checker spoke, 1 when one did, 2 for arguments that make no sense, 130 after Ctrl-C.
"""

import argparse
import multiprocessing
import os
import platform
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from harness.causes import names
from harness.plans import Plan, from_json, unplayable
from harness.play import run
from harness.sim.worlds import Judged, divergence, judged, shrunk, told, world_of

_FAILURES_SHOWN = 3
_STOPPED = 130  # as shells have it for Ctrl-C
_LIBRARIES = ("trio", "hypercorn", "quart-trio", "httpx", "h11")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status as the module's page says."""
    options = _options(arguments)
    if options.plan is not None:
        return _one(options.plan, options.wire)
    began = time.perf_counter()
    worlds: list[Judged] = []
    try:
        worlds.extend(_played(options.seed, options.runs, options.jobs))
    except KeyboardInterrupt:
        print(f"stopped after {len(worlds)} of {options.runs} worlds")
        return _STOPPED
    took_s = time.perf_counter() - began
    failures = [world for world in worlds if world.violations]
    for world in failures[:_FAILURES_SHOWN]:
        _explain(world)
    _summary(worlds, took_s, len(failures))
    return 1 if failures else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m harness.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first world's seed (default: 0)")
    parser.add_argument(
        "--runs", type=_positive, default=200, help="how many worlds (default: 200)"
    )
    parser.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--plan", type=_plan, help="play this one plan, as a failure prints it")
    parser.add_argument("--wire", action="store_true", help="with --plan: show all that passed")
    options = parser.parse_args(arguments)
    if options.wire and options.plan is None:
        parser.error("--wire is for one plan: --plan")
    return options


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _plan(text: str) -> Plan:
    try:
        plan = from_json(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no plan: {error}") from None
    if faults := "; ".join(unplayable(plan, names())):
        raise argparse.ArgumentTypeError(f"no plan: {faults}")
    return plan


def _played(seed: int, runs: int, jobs: int) -> Iterator[Judged]:
    columns = TextColumn("worlds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=runs)
        # Ctrl-C is for this process, which ends the others.
        deaf = signal.signal, (signal.SIGINT, signal.SIG_IGN)
        with multiprocessing.get_context("spawn").Pool(min(jobs, runs), *deaf) as pool:
            for world in pool.imap(world_of, range(seed, seed + runs), chunksize=4):
                progress.advance(bar)
                yield world


def _one(plan: Plan, wire: bool) -> int:
    if wire:
        for line in told(run(plan)):
            print(line)
    world = judged(plan)
    print(f"trace {world.trace}: {', '.join(world.words)}")
    for line in world.violations:
        print(f"  {line}")
    return 1 if world.violations else 0


def _explain(world: Judged) -> None:
    least = shrunk(world)
    print(f"FAILED  seed {world.plan.seed}")
    for line in least.violations:
        print(f"  {line}")
    print(f"  plan        {world.plan.to_json()}")
    parted = divergence(least.plan) if least.trace else ""
    print(f"  replayed    {'differently: ' + parted if parted else 'the same, step by step'}")
    found = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    print(f"  versions    Python {platform.python_version()}, {found}")
    print(f"  all of it   make sim SEED={world.plan.seed} RUNS=1")
    print(f"  the least   .venv/bin/python -m harness.sim --plan '{least.plan.to_json()}'")


def _summary(worlds: Sequence[Judged], took_s: float, failures: int) -> None:
    words = Counter(word for world in worlds for word in world.words)
    print(
        f"{len(worlds)} worlds, {sum(words.values())} calls, {len(words)} different ends "
        f"in {took_s:.0f} s: {len(worlds) / took_s:.0f} worlds a second, {failures} failed"
    )
    print("  " + ", ".join(f"{word} {count}" for word, count in words.most_common(12)) + ", …")


if __name__ == "__main__":
    sys.exit(main())
