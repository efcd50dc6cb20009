"""Goal: a world is its plan and nothing else; whoever reads a failure can play it again.

Method: the same plans twice in one process, and in two whose hashes are seeded differently; and
the command itself, with a world that fails for a reason of its plan's own.
"""

import subprocess
import sys

import pytest
from attrs import evolve

from harness.evidence import trace_hash
from harness.plans import Call, Plan, from_json
from harness.play import run
from harness.sim.__main__ import main
from harness.sim.explained import explained
from harness.sim.worlds import Judged, divergence, judged, shrunk, told, world_of
from harness.tests.doctoring import GOOD, STREAMED, played, rebytes
from harness.tidy import ROOT

SEEDS = (0, 7, 41, 99, 1024, 5000, 65537, 123456, 2**31, 2**40)
TRACES = f"from harness.sim.worlds import world_of as w; print(*(w(n).trace for n in {SEEDS}))"
# No model server has such a pace, so the world can not begin; all else in it is there to go.
IMPOSSIBLE = Plan(
    seed=7,
    calls=(Call(model="finish-length"), Call(1, stream=False, search="weak", at_s=2.0)),
    dialect="ollama",
    pace="ttft=soon",
)


def command(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the arguments are this file's own
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def traces() -> list[str]:
    """Of each seed's world, as this process plays it."""
    return [world_of(seed).trace for seed in SEEDS]


def test_same_plan_leaves_the_same_trace_twice(traces: list[str]) -> None:
    assert [world_of(seed).trace for seed in SEEDS] == traces
    assert len(set(traces)) == len(SEEDS)


@pytest.mark.parametrize("hash_seed", ["1", "4711"])
def test_same_plan_leaves_the_same_trace_in_another_process(
    traces: list[str], hash_seed: str
) -> None:
    other = command("-c", TRACES, hash_seed=hash_seed)
    assert other.stdout.split() == traces, other.stderr


def test_trace_tells_worlds_apart_by_one_byte_a_time_or_a_log_line() -> None:
    good = played(GOOD)
    found = trace_hash(good)
    assert trace_hash(run(from_json(GOOD))) == found
    assert trace_hash(rebytes(good, "bff", STREAMED, b" wind", b" Wind")) != found
    *lines, last = good.logs["qs"]
    other = {**good.logs, "qs": (*lines, {**last, "duration_ms": 1})}
    assert trace_hash(evolve(good, logs=other)) != found
    later = {**good.logs, "qs": (*lines, {**last, "ts": "2001-01-01T00:00:00Z"})}
    assert trace_hash(evolve(good, logs=later)) == found
    assert divergence(from_json(GOOD)) == ""


def test_command_plays_one_plan(capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(calls=(Call(search="nothing"),))
    assert main(["--plan", plan.to_json()]) == 0
    assert capsys.readouterr().out == f"trace {trace_hash(run(plan))}: RAG_NO_CHUNKS\n"


def test_command_shows_all_that_passed(capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(calls=(Call(search="nothing"),))
    assert main(["--wire", "--plan", plan.to_json()]) == 0
    out = capsys.readouterr().out
    *shown, verdict = out.splitlines()
    assert len(shown) == len(list(told(run(plan))))
    assert any(line.startswith("bff: {") for line in shown)
    assert verdict == f"trace {trace_hash(run(plan))}: RAG_NO_CHUNKS"
    assert "0.000000 → bff (connection 0): b'POST /chat?stream=true" in out


def test_plan_that_fails_fails_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--plan", IMPOSSIBLE.to_json()]) == 1
    assert "  world: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--plan", "{"], "no plan: Expecting property name"),
        (["--plan", "[]"], "no plan: a plan is an object"),
        (["--plan", '{"seeds": 1}'], "no plan: extra fields found (seeds) @ $"),
        (["--plan", '{"calls": [{"model": "nope"}]}'], "no plan: nothing is called 'nope'"),
        (["--plan", '{"hops": [{"host": "qs", "fault": "x"}]}'], "no fault is called qs:x"),
        (["--runs", "0"], "'0' is not a number of at least 1"),
        (["--runs", "-3"], "--runs"),
        (["--jobs", "two"], "'two' is not a number of at least 1"),
        (["--seed", "x"], "--seed: invalid int value: 'x'"),
        (["--wire"], "--wire is for one plan: --plan"),
    ],
)
def test_arguments_that_make_no_sense_are_told(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    told_there = capsys.readouterr()
    assert problem in told_there.err
    assert "usage: python -m harness.sim" in told_there.err
    assert told_there.out == ""


def test_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    options = ("--seed", "--runs", "--jobs", "--fresh", "--state", "--plan", "--wire")
    assert all(option in said for option in options)
    assert "Exit status" in said


def test_failing_world_is_made_as_small_as_it_still_fails() -> None:
    failing = judged(IMPOSSIBLE)
    assert failing.checkers == {"world"}
    least = shrunk(failing)
    assert least.plan == Plan(seed=7, calls=(Call(1, stream=False),), pace="ttft=soon")
    assert least.checkers == {"world"}


def test_failing_world_is_told_with_all_that_replays_it() -> None:
    lines = list(explained(judged(IMPOSSIBLE)))
    least = '{"seed":7,"calls":[{"topic":1,"stream":false}],"pace":"ttft=soon"}'
    assert lines[0] == "FAILED  seed 7"
    assert lines[1].startswith("  world: ValueError(")
    assert lines[2] == f"  plan        {IMPOSSIBLE.to_json()}"
    assert lines[4].startswith(f"  versions    Python {sys.version.split()[0]}, trio ")
    assert lines[5] == "  all of it   make sim SEED=7 RUNS=1"
    assert lines[6] == f"  the least   .venv/bin/python -m harness.sim --plan '{least}'"
    assert lines[-1] == f"    plan = '{least}'"


def test_world_that_can_not_be_made_smaller_is_told_as_it_is() -> None:
    plan = Plan(seed=3, calls=(Call(search="nothing"),))
    said = "exactly_one_done: call-0 at bff: 2 times `done`"
    lines = list(explained(Judged(plan, (said,), "a trace", ("RAG_NO_CHUNKS",))))
    assert lines[1] == f"  {said}"
    assert lines[3] == "  replayed    the same, step by step"
    assert lines[6].endswith(f"--plan '{plan.to_json()}'")
