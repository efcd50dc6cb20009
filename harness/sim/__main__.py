"""`make sim SEED=n RUNS=m`: random worlds, each from its own seed, judged by every checker.

Worlds are played side by side in as many processes as there are processors. What each came to is
written to var/sim/ at once, by the code's fingerprint: a run that was stopped, however hard, goes
on where it was when it is called again, and a longer one begins with what is there. Code that
changed begins anew, and so does --fresh. A failure is shown when it is found, with what was
broken, the least plan in which it still is, and the one line that plays it again. Exit status 0
when no checker spoke, 1 when one did, 2 for arguments that make no sense, 130 after Ctrl-C.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from harness.causes import names
from harness.plans import Plan, from_json, unplayable
from harness.play import run as play
from harness.sim.fingerprint import fingerprint
from harness.sim.progress import Shown
from harness.sim.running import Run
from harness.sim.state import State
from harness.sim.worlds import judged, told
from harness.tidy import ROOT

_STOPPED = 130  # as shells have it for Ctrl-C
_GOES_ON = "the same command goes on from there"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status as the module's page says."""
    options = _options(arguments)
    if options.plan is not None:
        return _one(options.plan, options.wire)
    state = State(options.state / f"{fingerprint()}.jsonl")
    if options.fresh:
        state.forget()
    return _many(Run(state, options.seed, options.runs), options.jobs)


def _many(run: Run, jobs: int) -> int:
    began = time.perf_counter()
    try:
        with Shown(run.runs) as shown:
            run.take_up(shown)
            before = run.tally.worlds
            run.play(jobs, shown)
    except KeyboardInterrupt:
        print(f"stopped after {run.tally.worlds} of {run.runs} worlds: {_GOES_ON}")
        return _STOPPED
    except BrokenProcessPool:
        print(f"a process that played worlds died: {_GOES_ON}")
        return 1
    except OSError as error:
        print(f"{run.state.path}: {error.strerror}", file=sys.stderr)
        return 1
    print(*run.tally.told(), sep="\n")
    took_s, now = time.perf_counter() - began, run.tally.worlds - before
    played = (
        f"{now} now, {now / took_s:.0f} a second" if now else "none now: FRESH=1 plays them anew"
    )
    print(f"  played     {before} before, {played}")
    return 1 if run.tally.failed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m harness.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first world's seed (default: 0)")
    parser.add_argument(
        "--runs", type=_positive, default=200, help="how many worlds (default: 200)"
    )
    parser.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1, help="processes")
    parser.add_argument(
        "--fresh", action="store_true", help="play worlds anew that this code was judged by before"
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=ROOT / "var/sim",
        help="folder of what is known (default: var/sim)",
    )
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


def _one(plan: Plan, wire: bool) -> int:
    if wire:
        for line in told(play(plan)):
            print(line)
    world = judged(plan)
    print(f"trace {world.trace}: {', '.join(world.words)}")
    for line in world.violations:
        print(f"  {line}")
    return 1 if world.violations else 0


if __name__ == "__main__":
    # A script's background is deaf to Ctrl-C; whoever sends it means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
