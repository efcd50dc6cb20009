"""`make fuzz MINUTES=n [TARGET=name]`: every target under libFuzzer, n minutes each.

`make fuzz INPUTS=n` plays n inputs to each, the same ones in every run of the same code: for a gate
that must not end by chance on what was there before.

As many at a time as there are processors. What is found new is kept in var/fuzz, so that the next
run goes on from there; `--keep` writes the least corpus that covers as much into the repository. A
finding is written to a file, with the line that plays it again, and ends its target.

Exit status 0 when nothing was found, 1 when something was, 2 for arguments that make no sense, 130
after Ctrl-C.
"""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from harness.fuzz.campaign import WORK, Ended, Settings, fuzzed
from harness.fuzz.inputs import FINDINGS, read_kept, write_kept
from harness.fuzz.targets import TARGETS

_STOPPED = 130  # as shells have it for Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status as the module's page says."""
    options = _options(arguments)
    if options.play is not None:
        return _play(options.targets[0], options.play, keep=options.keep)
    settings = Settings(
        options.python,
        options.minutes * 60,
        options.jobs,
        options.keep,
        options.work,
        inputs=options.inputs,
    )
    try:
        ended = fuzzed(options.targets, settings)
    except KeyboardInterrupt:
        print(f"stopped; what was found new so far stays in {options.work}")
        return _STOPPED
    _summary(ended)
    return 0 if all(target.is_well for target in ended) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m harness.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    parser.add_argument(
        "--minutes", type=_minutes, default=1.0, help="for each target (default: 1)"
    )
    parser.add_argument(
        "--inputs", type=_count, default=0, metavar="N", help="the same N in every run, no minutes"
    )
    parser.add_argument(
        "--jobs", type=_count, default=os.cpu_count() or 1, help="targets at a time"
    )
    parser.add_argument(
        "--keep", action="store_true", help="write corpus or input into the repository"
    )
    parser.add_argument("--play", type=Path, metavar="FILE", help="play this input to one target")
    parser.add_argument("--work", type=Path, default=WORK, help=f"a folder (default: {WORK})")
    parser.add_argument("--python", default=os.environ.get("FUZZ_PYTHON", ""), help="has atheris")
    options = parser.parse_args(arguments)
    for name in options.targets:
        if name not in TARGETS:
            parser.error(f"no target is called {name!r}; there are {', '.join(TARGETS)}")
    if options.play is not None and (len(options.targets) != 1 or not options.play.is_file()):
        parser.error("--play takes one TARGET and a file")
    if options.play is None and not options.python:
        parser.error("which Python has atheris? call `make fuzz`, or give --python")
    options.targets = options.targets or list(TARGETS)
    return options


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0.0 < minutes < 10_000.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes")
    return minutes


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _play(target: str, path: Path, *, keep: bool) -> int:
    data = path.read_bytes()
    if keep:
        kept = FINDINGS / f"{target}.jsonl"
        write_kept(kept, [*read_kept(kept), data])
        print(f"kept in {kept}: `make test` plays it from now on")
    try:
        TARGETS[target](data)
    except Exception:
        traceback.print_exc()
        return 1
    print(f"{target}: every law holds for {path}")
    return 0


def _summary(ended: Sequence[Ended]) -> None:
    for target in ended:
        print(target.line)
        if not target.is_well:
            print("\n".join(f"    {line}" for line in target.told))


if __name__ == "__main__":
    # A script's background is deaf to Ctrl-C; whoever sends it means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main())
