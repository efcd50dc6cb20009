"""`make mutmut [MODULE=llmgw/guard.py]`: every small change of the pure cores, made by mutmut.

mutmut works in a throw-away copy of the tree under `var/mutmut/`, with the cores' own unit tests.
Prints the score of each module and writes it, with every change that no test noticed, to
`var/mutmut/summary.md`. What of those is no fault, and why, stands in `survivors.md` beside this
file. Exit status 0 when every module's score is at least `FLOOR`; 1 when one is under it or mutmut
failed; 2 for arguments that make no sense; 130 after Ctrl-C.

Runs in the environment of `requirements/mutmut.txt`, and imports nothing of it.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from harness.sabotage.trial import copied

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "var/mutmut"
FLOOR: Final = 0.9
# The cores, and the tests that are theirs. `answer_law` is a table, and mutmut changes functions.
CORES: Final[Mapping[str, tuple[str, ...]]] = {
    "contracts/order.py": ("contracts/tests/test_order.py",),
    "contracts/sse.py": ("contracts/tests/test_sse.py",),
    "llmgw/answer.py": (
        "llmgw/tests/test_answer.py",
        "llmgw/tests/test_answer_properties.py",
    ),
    "llmgw/answer_object.py": (
        "llmgw/tests/test_answer.py",
        "llmgw/tests/test_answer_properties.py",
    ),
    "llmgw/attempts.py": ("llmgw/tests/test_attempts.py",),
    "llmgw/guard.py": ("llmgw/tests/test_guard.py",),
    "llmgw/providers/openai_wire.py": ("llmgw/tests/test_openai_wire.py",),
}
# Tests of how long something takes say nothing where seven things are changed and two run at once.
_TIMED: Final = "not linear and not cost_per and not neither_time"
_NOTICED: Final = frozenset({"killed", "timeout", "segfault", "suspicious"})
_RESULT: Final = re.compile(r"\s*(?P<name>(?P<module>\S+?)\.x[_ǁ]\S+): (?P<status>.+)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status as the module's page says."""
    parser = argparse.ArgumentParser(prog="python -m harness.sabotage.by_machine")
    parser.add_argument("module", nargs="?", choices=CORES, help="one of them, not all")
    chosen = parser.parse_args(arguments).module
    tree = _prepared([chosen] if chosen else list(CORES))
    try:
        if run_mutmut(tree, "run", "--max-children", "2"):
            return 1
        results = results_of(_said(tree, "results", "--all", "true"))
        page = summary(results, {name: _diff(tree, name) for name in unnoticed(results)})
    except KeyboardInterrupt:
        return 130
    (FOLDER / "summary.md").write_text(page, encoding="utf-8")
    print(page.partition("\n## ")[0])
    print(f"what nobody noticed is in {FOLDER.relative_to(ROOT)}/summary.md")
    return 0 if all(score(found) >= FLOOR for found in results.values()) else 1


def results_of(told: str) -> dict[str, dict[str, str]]:
    """By module, each mutant and what became of it, out of what `mutmut results` tells."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for line in told.splitlines():
        if result := _RESULT.fullmatch(line):
            found[result["module"]][result["name"]] = result["status"]
    return dict(found)


def unnoticed(results: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The mutants that no test noticed."""
    every = (each for found in results.values() for each in found.items())
    return [name for name, status in every if status not in _NOTICED]


def score(found: Mapping[str, str]) -> float:
    """The share of the mutants that some test noticed, be it by a hang."""
    return sum(status in _NOTICED for status in found.values()) / len(found)


def summary(results: Mapping[str, Mapping[str, str]], diffs: Mapping[str, str]) -> str:
    """The page: a table of scores, then each change that nobody noticed."""
    rows = ["| module | mutants | noticed | by a hang | score |", "|---|---|---|---|---|"]
    for module, found in sorted(results.items()):
        counts = Counter(found.values())
        noticed = sum(counts[status] for status in _NOTICED)
        cells = (module, len(found), noticed, counts["timeout"], f"{score(found):.1%}")
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    changes = [f"## {name}\n\n```diff\n{diff.strip()}\n```\n" for name, diff in diffs.items()]
    return "\n".join(["# Mutants by machine\n", *rows, "", *changes])


def settings_of(modules: Collection[str]) -> str:
    """mutmut's settings for these modules, as a part of `pyproject.toml`."""
    tests = dict.fromkeys(test for module in modules for test in CORES[module])
    settings = {
        "source_paths": ["contracts", "llmgw"],
        "only_mutate": list(modules),
        "also_copy": ["hop", "bff", "qs", "fakes", "harness", "scripts", "docs", "conftest.py"],
        "pytest_add_cli_args": ["-p", "pytest_trio.plugin", "-k", _TIMED],
        "pytest_add_cli_args_test_selection": list(tests),
        "timeout_multiplier": 5.0,  # mutmut's own 15 is a minute for each endless loop
        "track_dependencies": False,
        "use_git_change_detection": False,
    }
    lines = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
    return "\n".join(["\n[tool.mutmut]", *lines, ""])


def _prepared(modules: Collection[str]) -> Path:
    """A new copy of the tree, ready for mutmut."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    tree = copied(ROOT, FOLDER / "tree")
    with (tree / "pyproject.toml").open("a", encoding="utf-8") as project:
        project.write(settings_of(modules))
    return tree


def run_mutmut(tree: Path, *arguments: str) -> int:
    """mutmut's exit status. When this returns, or is stopped, neither it nor any worker is left."""
    command = (sys.executable, "-m", "mutmut", *arguments)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    process = subprocess.Popen(command, cwd=tree, env=environment, start_new_session=True)  # noqa: S603 - our own
    try:
        return process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _said(tree: Path, *arguments: str) -> str:
    command = (sys.executable, "-m", "mutmut", *arguments)
    done = subprocess.run(command, cwd=tree, text=True, check=True, stdout=subprocess.PIPE)  # noqa: S603 - our own
    return done.stdout


def _diff(tree: Path, name: str) -> str:
    return _said(tree, "show", name)


if __name__ == "__main__":
    # A SIGTERM is a Ctrl-C too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
