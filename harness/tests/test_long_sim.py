"""Goal: a long run loses nothing of what it did, however it was stopped, and counts nothing twice.

Method: the command itself in processes of its own, stopped by Ctrl-C, killed, called again; and
its parts on files written by hand.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from harness.plans import Plan
from harness.sim.fingerprint import fingerprint
from harness.sim.progress import Shown
from harness.sim.running import Run
from harness.sim.state import Line, State, Told
from harness.sim.tally import Tally, drawable
from harness.tidy import ROOT

HOURS = ("--runs", "100000")
GOOD = Line(3, ("ok",), ("code HOP_TIMEOUT plain",), 0.1)
BAD = Line(4, ("ok",), (), 0.1, ("exactly_one_done: call-0",), Plan(seed=4).to_json())


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command, in a group of its own as a shell would start it."""
    return subprocess.Popen(  # noqa: S603 - the arguments are this file's own
        [sys.executable, "-m", "harness.sim", "--jobs", "1", "--state", folder, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def said(folder: Path, *arguments: str) -> str:
    """What it says on standard output when it is let go on to its end."""
    command = begun(folder, *arguments)
    out, err = command.communicate(timeout=120)
    assert (command.returncode, err) == (0, "")
    return out


def wait_for_a_world(command: subprocess.Popen[str], folder: Path) -> None:
    while command.poll() is None:
        if any(path.stat().st_size for path in folder.glob("*.jsonl")):
            return
        with suppress(subprocess.TimeoutExpired):
            command.wait(0.1)
    raise AssertionError(command.communicate())


def seeds(folder: Path) -> list[int]:
    (path,) = folder.glob("*.jsonl")
    return [line.seed for line in State(path).lines()]


def test_run_goes_on_where_it_was_when_it_is_called_again(tmp_path: Path) -> None:
    first = said(tmp_path, "--seed", "3", "--runs", "4")
    assert first.startswith("4 worlds, ")
    assert "0 failed" in first
    assert "0 before, 4 now" in first
    more = said(tmp_path, "--seed", "3", "--runs", "6")
    assert more.startswith("6 worlds, ")
    assert "4 before, 2 now" in more
    assert sorted(seeds(tmp_path)) == [3, 4, 5, 6, 7, 8]
    again = said(tmp_path, "--seed", "3", "--runs", "6")
    assert again.splitlines()[:-1] == more.splitlines()[:-1]
    assert "6 before, none now: FRESH=1 plays them anew" in again
    anew = said(tmp_path, "--seed", "4", "--runs", "1", "--fresh")
    assert "0 before, 1 now" in anew
    assert seeds(tmp_path) == [4]


def test_run_that_is_killed_leaves_its_worlds_and_no_process(tmp_path: Path) -> None:
    command = begun(tmp_path, *HOURS)
    wait_for_a_world(command, tmp_path)
    command.kill()
    # Its processes hold the pipes, too: this returns when the last of them is gone.
    command.communicate(timeout=30)
    assert len(seeds(tmp_path)) >= 1


def test_ctrl_c_ends_a_run_and_says_how_it_goes_on(tmp_path: Path) -> None:
    """A terminal signals the whole group, the processes that play too."""
    command = begun(tmp_path, *HOURS)
    wait_for_a_world(command, tmp_path)
    os.killpg(command.pid, signal.SIGINT)
    out, err = command.communicate(timeout=30)
    assert (command.returncode, err) == (130, "")
    assert re.fullmatch(r"stopped after \d+ of 100000 worlds: the same command goes on .*\n", out)
    assert len(seeds(tmp_path)) >= 1


def test_process_that_is_killed_is_told(tmp_path: Path) -> None:
    command = begun(tmp_path, *HOURS)
    wait_for_a_world(command, tmp_path)
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    out, _ = command.communicate(timeout=30)
    assert command.returncode == 1
    assert "a process that played worlds died" in out


def test_line_that_was_not_written_to_its_end_is_no_line(tmp_path: Path) -> None:
    state = State(tmp_path / "deep" / "a.jsonl")
    assert list(state.lines()) == []
    state.add(GOOD)
    state.add(BAD)
    text = state.path.read_bytes()
    state.path.write_bytes(text[:-9])
    assert list(state.lines()) == [GOOD]
    state.add(Told(4, ("FAILED", "so")))
    state.add(BAD)
    assert list(state.lines()) == [GOOD, Told(4, ("FAILED", "so")), BAD]
    state.forget()
    assert list(state.lines()) == []


def test_what_failed_before_is_told_again_and_fails_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(tmp_path / "a.jsonl")
    for line in (GOOD, BAD, BAD, Line(99, (), (), 0.1), Told(4, ("FAILED  seed 4", "  why"))):
        state.add(line)
    run = Run(state, 3, 2)
    with Shown(2) as shown:
        run.take_up(shown)
        run.play(1, shown)
    assert (run.tally.worlds, run.tally.failed) == (2, 1)
    told = capsys.readouterr().out.splitlines()
    assert told == ["FAILED  seed 4: exactly_one_done: call-0", "FAILED  seed 4", "  why"]


def test_failure_that_nobody_explained_is_explained_when_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State(tmp_path / "a.jsonl")
    plan = Plan(seed=4, pace="ttft=soon")
    state.add(Line(4, (), (), 0.1, ("world: ValueError()",), plan.to_json()))
    run = Run(state, 4, 1)
    with Shown(1) as shown:
        run.take_up(shown)
        run.play(1, shown)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "FAILED  seed 4: world: ValueError()"
    assert told[1] == "FAILED  seed 4"
    assert told[-1] == f"    plan = '{plan.to_json()}'"
    assert isinstance(list(state.lines())[-1], Told)


def tally_of(lines: Iterable[Line]) -> list[str]:
    tally = Tally()
    for line in lines:
        tally.add(line)
    return list(tally.told())


def test_summary_names_what_is_rare_and_what_was_never_drawn() -> None:
    codes = [item for item in drawable() if item.startswith("code ")]
    everything = Line(1, ("ok", "ok"), (*drawable(), "with slow-reader"), 2.0)
    but_one = Line(2, ("HOP_TIMEOUT",), tuple(it for it in drawable() if it != codes[0]), 1.0)
    heading, ends, share, having, rarest, never = tally_of([everything, but_one])
    assert heading == "2 worlds, 3 calls, 2 different ends, 0 failed; 3 s of one processor's time"
    assert ends == "  ends       ok 2, HOP_TIMEOUT 1"
    assert f"code {len(codes)} of {len(codes)}" in share
    assert "slow-reader 1, latency 0, " in having
    assert rarest.startswith(f"  rarest     {codes[0]} 1, ")
    assert never == "  never      nothing"
    *_, never = tally_of([but_one])
    assert never == f"  never      {codes[0]}"
    *_, never = tally_of([])
    assert "code INPUT_INVALID, " in never
    assert " more" in never


def test_fingerprint_is_another_when_code_or_the_contract_changes(tmp_path: Path) -> None:
    for name, text in (
        ("docs/contract.md", "a"),
        ("hop/app.py", "b"),
        ("hop/tests/test_app.py", "c"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = [fingerprint(tmp_path)]
    (tmp_path / "hop/tests/test_app.py").write_text("d")
    assert fingerprint(tmp_path) == found[0]
    for name in ("docs/contract.md", "hop/app.py"):
        (tmp_path / name).write_text("e")
        found.append(fingerprint(tmp_path))
    (tmp_path / "hop/app.py").rename(tmp_path / "hop/apps.py")
    found.append(fingerprint(tmp_path))
    assert len(set(found)) == 4


def test_state_can_be_read_by_people(tmp_path: Path) -> None:
    state = State(tmp_path / "a.jsonl")
    state.add(GOOD)
    assert json.loads(state.path.read_text()) == {
        "seed": 3,
        "words": ["ok"],
        "items": ["code HOP_TIMEOUT plain"],
        "cpu_s": 0.1,
    }
