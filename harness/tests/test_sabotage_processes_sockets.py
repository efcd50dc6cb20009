"""Sabotage for good, in a tree of two files: pytest in processes of its own, over pipes."""

import os
import select
from pathlib import Path

import pytest
import trio

from harness.sabotage.__main__ import main
from harness.sabotage.by_machine import run_mutmut
from harness.sabotage.trial import Verdict, tried
from harness.tests.test_sabotage import MODULE, TESTS, only, planted, row

HANGS = "[] == [print() for _ in iter(int, 1)]"


def test_each_end_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = planted(
        tmp_path,
        row("dies"),
        row("lives", test="test_two_is_even"),
        row("breaks", new="(", test="test_two_is_even"),
        row("is-stale", test="test_three"),
    )
    assert main([], root) == 1
    said = capsys.readouterr().out
    assert said.startswith("3 of 4 mutants, 2 at a time\n")
    for told in (
        "SURVIVED  lives (even.py): one is odd\n  again: make mutants ONLY=lives\n",
        "BROKEN  breaks (even.py): one is odd\n",
        "STALE  is-stale: there is no test test_even.py::test_three\n",
        "1 of 3 mutants killed in ",
    ):
        assert told in said
    assert (root / "even.py").read_text("utf-8") == MODULE, "the tree itself is never touched"
    assert main(["--only", "dies"], root) == 1, "a stale row is an error, whoever is asked for"


def test_all_is_well_when_every_mutant_dies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], planted(tmp_path, row())) == 0
    assert "1 of 1 mutants killed in " in capsys.readouterr().out


def test_nothing_is_told_when_a_test_fails_anyway(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = planted(tmp_path, row())
    (root / "test_even.py").write_text(TESTS.replace("assert not", "assert"), encoding="utf-8")
    assert main([], root) == 1
    said = capsys.readouterr().out
    assert "these tests fail without any mutant, so nothing can be told" in said
    assert "killed" not in said


async def test_mutant_that_hangs_is_stopped_and_put_back(tmp_path: Path) -> None:
    root = planted(tmp_path, row(new=HANGS))
    ended = await tried(only(root), root, limit_s=2.0)
    assert (ended.verdict, ended.told) == (Verdict.HUNG, "no end within 2 s")
    assert ended.seconds < 6
    assert (root / "even.py").read_text("utf-8") == MODULE


async def test_mutant_is_put_back_when_its_trial_is_cancelled(tmp_path: Path) -> None:
    root = planted(tmp_path, row(new=HANGS))
    with trio.move_on_after(1.0):
        await tried(only(root), root)
    assert (root / "even.py").read_text("utf-8") == MODULE


# Found before the one that is installed. It leaves a worker who holds a pipe.
LEAVING = """
import os, time
pipe = os.open("pipe", os.O_WRONLY)
if not os.fork():
    time.sleep(600)
raise SystemExit(3)
"""


def test_workers_do_not_outlive_mutmut(tmp_path: Path) -> None:
    (tmp_path / "mutmut.py").write_text(LEAVING, encoding="utf-8")
    os.mkfifo(tmp_path / "pipe")
    pipe = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert run_mutmut(tmp_path, "run") == 3
    assert select.select([pipe], [], [], 5.0)[0], "the worker still holds it"
    os.close(pipe)
