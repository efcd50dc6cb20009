"""Runs targets under libFuzzer side by side, and reads how each ended.

Each is a process of its own, in the environment of requirements/fuzz.txt: it is ended when we are
stopped, and ends itself when its time is up. Its corpus is made of the kept inputs, past findings,
and what earlier runs on this machine found new; the seeds too, where the kept ones are made anew.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import define, field, frozen

from harness.fuzz.inputs import (
    CORPUS,
    FINDINGS,
    line_of,
    read_folder,
    read_kept,
    write_folder,
    write_kept,
)
from harness.fuzz.seeds import ROOT, SEED_BYTES_MAX, dictionary_of, seeds_of

WORK: Final = ROOT / "var/fuzz"
_PROGRAM: Final = Path(__file__).parent / "under_atheris.py"
_INPUT_SECONDS_MAX: Final = 30  # of what takes milliseconds on an idle machine
_RSS_MB_MAX: Final = 1_024
_REPORTS: Final = 10  # lines of progress for each target, but none sooner than
_REPORT_SECONDS_MIN: Final = 10.0
_KEPT_MAX, _KEPT_BYTES_MAX = 400, 300_000
_PULSE: Final = re.compile(r"#(\d+)\s.*cov: (\d+) ft: (\d+)")
_STAT: Final = re.compile(r"stat::(\w+):\s+(\d+)")
_ARTIFACT: Final = re.compile(r"Test unit written to (\S+)")
_NO_NEWS: Final = ("INFO: ", "WARNING: ")
_TOLD_LINES, _TOLD_CHARS = 30, 300


@frozen
class Settings:
    """How to fuzz: which Python has atheris, seconds for each target, how many at a time; whether
    the corpus is made anew, from the seeds too; the folders of work and corpus; where `inputs` is
    not 0, that many inputs from a fixed seed, whatever time they take."""

    python: str
    seconds: float
    jobs: int
    keep: bool
    work: Path = WORK
    corpus: Path = CORPUS
    inputs: int = 0

    @property
    def extent(self) -> list[str]:
        """libFuzzer's flags for how long."""
        if self.inputs:
            return ["-seed=1", f"-runs={self.inputs}"]
        return [f"-max_total_time={max(1, round(self.seconds))}"]

    @property
    def told(self) -> str:
        """For people: how long."""
        return f"{self.inputs:,} inputs" if self.inputs else f"{self.seconds:.0f} s"


@define
class Ended:
    """How one target ended."""

    name: str
    status: int = -1
    runs: int = 0
    new: int = 0
    covered: int = 0
    artifact: str = ""
    _lines: list[str] = field(factory=list)

    @property
    def is_well(self) -> bool:
        """Whether it was fuzzed for its time and no law was broken."""
        return self.status == 0

    @property
    def line(self) -> str:
        what = "FOUND SOMETHING" if self.artifact else f"BROKE OFF, status {self.status}"
        ended = "nothing found" if self.is_well else what
        return f"{self.name:7} {self.runs:9,} runs, {self.new:4} new inputs: {ended}"

    @property
    def told(self) -> list[str]:
        """What it said last, and the line that plays the input again, where there is one."""
        again = f"again: .venv/bin/python -m harness.fuzz {self.name} --play {self.artifact}"
        return [*self._lines[-_TOLD_LINES:], *([again] if self.artifact else [])]

    def hear(self, line: str) -> None:
        """A line of the process's output."""
        if found := _PULSE.match(line):
            self.runs, self.covered = int(found[1]), int(found[3])
            return
        if found := _STAT.match(line):
            if found[1] == "number_of_executed_units":
                self.runs = int(found[2])
            return
        if found := _ARTIFACT.search(line):
            self.artifact = found[1]
        if line.strip() and not line.startswith(_NO_NEWS):
            self._lines.append(line[:_TOLD_CHARS])
            del self._lines[:-_TOLD_LINES]


def fuzzed(targets: Sequence[str], settings: Settings) -> list[Ended]:
    """Every target fuzzed for its time; KeyboardInterrupt ends them all."""
    try:
        return trio.run(_all, targets, settings)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            raise KeyboardInterrupt from None
        raise


async def _all(targets: Sequence[str], settings: Settings) -> list[Ended]:
    ended = [Ended(name) for name in targets]
    limit = trio.CapacityLimiter(settings.jobs)
    async with trio.open_nursery() as nursery:
        for target in ended:
            nursery.start_soon(_one, target, settings, limit)
    return ended


async def _one(target: Ended, settings: Settings, limit: trio.CapacityLimiter) -> None:
    async with limit:
        work = settings.work / target.name
        known = _laid_out(target.name, work, settings)
        flags = [
            *settings.extent,
            f"-dict={work / 'words.dict'}",
            f"-artifact_prefix={work}/",
            f"-timeout={_INPUT_SECONDS_MAX}",
            f"-rss_limit_mb={_RSS_MB_MAX}",
            f"-max_len={SEED_BYTES_MAX}",
            "-print_final_stats=1",
            "-reload=0",
        ]
        print(f"{target.name:7} {known} inputs to begin with, {settings.told}", flush=True)
        found, given = work / "new", work / "given"
        before = len(read_folder(found))
        await _run(target, settings, [*flags, str(found), str(given)])
        target.new = len(read_folder(found)) - before
        if settings.keep and target.is_well:
            await _keep(target.name, work, settings)


def _laid_out(name: str, work: Path, settings: Settings) -> int:
    """The folders libFuzzer reads: how many inputs there are."""
    given, found = work / "given", work / "new"
    if given.exists():
        shutil.rmtree(given)
    found.mkdir(parents=True, exist_ok=True)
    inputs = seeds_of(name) if settings.keep else []
    inputs += read_kept(settings.corpus / f"{name}.jsonl") + read_kept(FINDINGS / f"{name}.jsonl")
    write_folder(given, inputs)
    (work / "words.dict").write_text(dictionary_of(name), "ascii")
    return len(set(inputs)) + len(read_folder(found))


async def _run(target: Ended, settings: Settings, flags: Sequence[str]) -> None:
    command = [settings.python, str(_PROGRAM), target.name, *flags]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(
                trio.run_process,
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
                start_new_session=True,  # Ctrl-C is for this process, which ends the others
            )
        )
        await _listen(process.stdout, target, settings)
    target.status = process.returncode


async def _listen(output: trio.abc.ReceiveStream, target: Ended, settings: Settings) -> None:
    rest, began = b"", time.monotonic()
    every = max(_REPORT_SECONDS_MIN, settings.seconds / _REPORTS)
    report_at = began + every
    async for data in output:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            target.hear(line.decode("utf-8", "replace"))
        if time.monotonic() >= report_at:
            report_at += every
            took = time.monotonic() - began
            so_far = f"{target.runs:9,} runs, {target.covered} features"
            print(f"{target.name:7} {so_far} in {took:.0f} s, of {settings.told}", flush=True)


async def _keep(name: str, work: Path, settings: Settings) -> None:
    """Into the repository: the least inputs that cover as much as all of them."""
    least = work / "least"
    if least.exists():
        shutil.rmtree(least)
    least.mkdir()
    folders = [str(least), str(work / "new"), str(work / "given")]
    merging = Ended(name)
    await _run(merging, settings, ["-merge=1", f"-max_len={SEED_BYTES_MAX}", *folders])
    assert merging.is_well, merging.told
    kept, kept_bytes = list[bytes](), 0
    for data in sorted(read_folder(least), key=len)[:_KEPT_MAX]:
        kept_bytes += len(line_of(data))
        if kept_bytes <= _KEPT_BYTES_MAX:
            kept.append(data)
    write_kept(settings.corpus / f"{name}.jsonl", kept)
    print(f"{name:7} {len(kept)} inputs kept in {settings.corpus / name}.jsonl", flush=True)
