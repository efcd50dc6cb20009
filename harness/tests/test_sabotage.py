"""The lists of mutants, and what becomes of one: killed, survived, hung, broken, stale.

The lists are held against the tree, so that a row goes stale here and not on the day it is needed.
What a trial does is tried in a tree of two files.
"""

from pathlib import Path

import pytest

from harness.sabotage.__main__ import ROOT, main
from harness.sabotage.mutants import BadList, Mutant, listed, named, touched
from harness.sabotage.trial import Verdict, copied, judged, tried

MODULE = "def is_even(n: int) -> bool:\n    return n % 2 == 0\n"
TESTS = """
from even import is_even

def test_two_is_even() -> None:
    assert is_even(2)

def test_one_is_odd() -> None:
    assert not is_even(1)
"""
CONFIG = "[tool.pytest.ini_options]\npythonpath = ['.']\n"
ROW = """
[[mutant]]
name = "{name}"
law = "one is odd"
file = "even.py"
old = "n % 2 == 0"
new = "{new}"
killed_by = ["test_even.py::{test}"]
"""


def row(name: str = "always", new: str = "True", test: str = "test_one_is_odd") -> str:
    return ROW.format(name=name, new=new, test=test)


def planted(root: Path, *rows: str) -> Path:
    """A tree with these mutants."""
    (root / "harness/sabotage").mkdir(parents=True)
    (root / "harness/sabotage/all.toml").write_text("".join(rows), encoding="utf-8")
    for name, text in (("even.py", MODULE), ("test_even.py", TESTS), ("pyproject.toml", CONFIG)):
        (root / name).write_text(text, encoding="utf-8")
    return root


def only(root: Path) -> Mutant:
    [mutant] = listed(root, root / "harness/sabotage")
    return mutant


def test_every_mutant_applies_to_this_tree() -> None:
    every = listed(ROOT)
    assert len(every) >= 40
    assert {mutant.name: why for mutant in every if (why := mutant.stale(ROOT))} == {}


def test_every_part_has_its_mutants() -> None:
    parts = {mutant.file.partition("/")[0] for mutant in listed(ROOT)}
    assert parts == {"contracts", "hop", "bff", "qs", "llmgw", "fakes"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (row().replace('"even.py"', '"odd.py"'), "there is no odd.py"),
        (row().replace("n % 2 == 0", "n % 2 == 1"), "stands 0 times in even.py, not once"),
        (row().replace("n % 2 == 0", "n"), "stands 5 times in even.py, not once"),
        (row(new="n % 2 == 0"), "it changes nothing"),
        (row(test="test_three"), "there is no test test_even.py::test_three"),
        (row().replace("test_even.py::", "test_odd.py::"), "there is no test test_odd.py::"),
    ],
)
def test_row_is_stale_when_the_tree_has_moved_on(tmp_path: Path, text: str, why: str) -> None:
    root = planted(tmp_path, text)
    assert why in only(root).stale(root)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (row() + row(), "stands twice: always"),
        (row() + "odd = 1\n", "all.toml: always: "),
        (row().replace('file = "even.py"', ""), "all.toml: always: "),
        ("[[mutant]\n", "all.toml: "),
        ("", "all.toml: 'mutant'"),
    ],
)
def test_list_is_refused_when_it_can_not_be_read(tmp_path: Path, text: str, why: str) -> None:
    root = planted(tmp_path, text)
    with pytest.raises(BadList) as caught:
        listed(root, root / "harness/sabotage")
    assert why in str(caught.value)


def test_mutants_are_chosen_by_name_and_by_what_changed(tmp_path: Path) -> None:
    root = planted(tmp_path, row("even-a"), row("even-b"), row("odd"))
    every = listed(root, root / "harness/sabotage")
    assert [mutant.name for mutant in named(every, "even-*")] == ["even-a", "even-b"]
    assert [mutant.name for mutant in named(every, "odd")] == ["odd"]
    for changed in ("even.py", "test_even.py", "harness/sabotage/all.toml"):
        assert touched(every, ["other.py", changed]) == every
    assert touched(every, ["other.py"]) == []


@pytest.mark.parametrize(
    ("status", "hangs", "verdict"),
    [
        (1, False, Verdict.KILLED),
        (0, False, Verdict.SURVIVED),
        (2, False, Verdict.BROKEN),  # an error while collecting
        (4, False, Verdict.BROKEN),  # a test that is not there
        (5, False, Verdict.BROKEN),  # no tests
        (-9, False, Verdict.BROKEN),
        (None, False, Verdict.HUNG),
        (None, True, Verdict.KILLED),
        (0, True, Verdict.SURVIVED),
    ],
)
def test_only_failed_tests_kill(status: int | None, hangs: bool, verdict: Verdict) -> None:
    assert judged(status, hangs=hangs) is verdict


def test_copy_holds_sources_and_how_to_try_them(tmp_path: Path) -> None:
    root = planted(tmp_path / "tree", row())
    for name in (".venv", "var", "__pycache__", ".git"):
        (root / name).mkdir()
        (root / name / "x").touch()
    copy = copied(root, tmp_path / "copy")
    assert {path.name for path in copy.iterdir()} == {
        "even.py", "test_even.py", "pyproject.toml", "harness", "conftest.py",
    }  # fmt: skip
    assert not (root / "conftest.py").exists()


async def test_stale_mutant_is_not_planted(tmp_path: Path) -> None:
    root = planted(tmp_path, row(test="test_three"))
    ended = await tried(only(root), root)
    assert (ended.verdict, ended.told) == (
        Verdict.STALE,
        "there is no test test_even.py::test_three",
    )


def test_arguments_that_choose_nothing_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = planted(tmp_path, row())
    assert main(["--only", "none"], root) == 2
    assert capsys.readouterr().err == "mutants: no mutant is called none: always\n"
    assert main(["--since", "no-such-revision"], root) == 2
    assert "mutants: " in capsys.readouterr().err
