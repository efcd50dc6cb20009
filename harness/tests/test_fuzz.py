"""Goal: what fuzzing found stays found, and `make fuzz` says what came of it.

Method: the kept corpus and every past finding through the targets, in this process; the command
with a program in libFuzzer's place that says what libFuzzer says.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.fuzz.__main__ import main
from harness.fuzz.campaign import Settings, fuzzed
from harness.fuzz.inputs import (
    CORPUS,
    FINDINGS,
    cuts_of,
    pieces_of,
    read_folder,
    read_kept,
    write_folder,
    write_kept,
)
from harness.fuzz.seeds import SEED_BYTES_MAX, dictionary_of, seeds_of
from harness.fuzz.targets import TARGETS
from harness.tidy import ROOT

EACH = pytest.mark.parametrize("target", TARGETS)


@EACH
def test_every_law_holds_for_the_kept_corpus_and_past_findings(target: str) -> None:
    kept = read_kept(CORPUS / f"{target}.jsonl")
    assert 20 < len(kept) <= 400
    for data in [*kept, *read_kept(FINDINGS / f"{target}.jsonl")]:
        TARGETS[target](data)


def test_no_file_of_inputs_is_without_its_target() -> None:
    for folder in (CORPUS, FINDINGS):
        assert {path.stem for path in folder.iterdir()} <= set(TARGETS)


@EACH
def test_seeds_are_short_and_words_are_a_dictionary(target: str) -> None:
    seeds = seeds_of(target)
    assert len(seeds) > 100
    assert all(0 <= len(seed) <= SEED_BYTES_MAX for seed in seeds)
    assert all(line[:3] == '"\\x' for line in dictionary_of(target).splitlines())


def test_marks_cut_and_repeat_when_an_input_is_sent() -> None:
    assert pieces_of(b"a\xffb\xfe\xff\xff") == [b"a", b"b" * 513, b"", b""]
    assert pieces_of("é".encode() + b"\xfe") == ["é".encode() * 513]
    assert pieces_of(b"\xfe\xff\xfea") == [b"", b"a"]
    assert pieces_of(b"a" + b"\xfe" * 40, most=100) == [b"a" * 100]
    assert list(cuts_of([b"ab", b"c"])) == [[b"abc"], [b"a", b"b", b"c"], [b"ab", b"c"]]


def test_inputs_come_back_as_they_were_kept(tmp_path: Path) -> None:
    inputs = [b"", bytes(range(256)), b"a\r\n\xe2\x80\xa8"]
    write_kept(tmp_path / "kept.jsonl", [*inputs, *inputs])
    assert read_kept(tmp_path / "kept.jsonl") == sorted(inputs, key=len)
    write_folder(tmp_path / "folder", inputs)
    assert sorted(read_folder(tmp_path / "folder")) == sorted(inputs)


# In the place of the Python that has atheris: it is given the program, the target and its flags.
STAND_IN = """#!{python}
import os, pathlib, sys, time
flags = sys.argv[3:]
given = dict(flag.split("=", 1) for flag in flags if flag.startswith("-"))
folders = [pathlib.Path(flag) for flag in flags if not flag.startswith("-")]
{does}
"""
QUIET = """
if "-merge" in given:
    for path in sorted(folders[2].iterdir())[:7]:
        (folders[0] / path.name).write_bytes(path.read_bytes())
    sys.exit()
(folders[0] / "found").write_bytes(b"new")
print("#17\\tpulse  cov: 3 ft: 4 corp: 2/9b")
print("stat::number_of_executed_units: 42")
"""
FINDS = """
name = given["-artifact_prefix"] + "crash-1"
pathlib.Path(name).write_bytes(b"data: x\\n\\n")
print("INFO: Instrumenting x")
print("AssertionError: a law")
print("artifact_prefix='x'; Test unit written to " + name)
sys.exit(77)
"""
BREAKS_OFF = "import nothing_of_this_name"
HANGS = """
pathlib.Path(given["-artifact_prefix"], "pid").write_text(str(os.getpid()))
time.sleep(60)
"""


def stand_in(folder: Path, does: str) -> str:
    path = folder / "python"
    path.write_text(STAND_IN.format(python=sys.executable, does=does))
    path.chmod(0o755)
    return str(path)


def fuzz(folder: Path, does: str, *targets: str) -> int:
    python, work = stand_in(folder, does), str(folder / "work")
    return main([*targets, "--minutes", "0.1", "--python", python, "--work", work])


def test_runs_and_new_inputs_are_counted_when_nothing_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzz(tmp_path, QUIET, "sse", "codec") == 0
    said = capsys.readouterr().out
    assert said.count("42 runs,    1 new inputs: nothing found") == 2
    given = {*read_kept(CORPUS / "sse.jsonl"), *read_kept(FINDINGS / "sse.jsonl")}
    assert set(read_folder(tmp_path / "work/sse/given")) == given
    assert read_folder(tmp_path / "work/sse/new") == [b"new"]


def test_a_finding_comes_with_its_input_and_the_line_that_plays_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzz(tmp_path, FINDS, "sse") == 1
    said = capsys.readouterr().out
    assert "FOUND SOMETHING" in said
    assert "AssertionError: a law" in said
    assert "INFO" not in said
    again = said.rpartition("again: .venv/bin/python -m harness.fuzz ")[2].split()
    assert main(again) == 0
    assert "sse: every law holds" in capsys.readouterr().out


def test_what_broke_off_is_no_finding_and_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fuzz(tmp_path, BREAKS_OFF, "guard") == 1
    said = capsys.readouterr().out
    assert "BROKE OFF, status 1" in said
    assert "nothing_of_this_name" in said


def test_the_corpus_is_the_least_that_covers_as_much_when_it_is_made_anew(tmp_path: Path) -> None:
    python = stand_in(tmp_path, QUIET)
    (ended,) = fuzzed(["answer"], Settings(python, 6.0, 1, True, tmp_path / "work", tmp_path))
    assert ended.is_well
    given = read_folder(tmp_path / "work/answer/given")
    assert {*seeds_of("answer")} <= {*given}
    assert len(read_kept(tmp_path / "answer.jsonl")) == 7
    assert {*read_kept(tmp_path / "answer.jsonl")} <= {*given}


def test_everything_ends_when_ctrl_c_is_pressed(tmp_path: Path) -> None:
    pid = tmp_path / "work/sse/pid"
    pid.parent.mkdir(parents=True)
    os.mkfifo(pid)
    arguments = ["sse", "--python", stand_in(tmp_path, HANGS), "--work", str(tmp_path / "work")]
    command = [sys.executable, "-m", "harness.fuzz", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own arguments
        started = int(pid.read_text())
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "stopped; what was found new so far stays in" in said
    with pytest.raises(ProcessLookupError):
        os.kill(started, 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["--minutes", "0"],
        ["--minutes", "nan"],
        ["--inputs", "0"],
        ["--jobs", "0"],
        ["--play", "x", "sse"],
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main([*arguments, "--python", sys.executable])
    assert refused.value.code == 2
    assert "error: " in capsys.readouterr().err
