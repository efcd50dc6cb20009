"""The order of tasks is a test's own: the same in every run, another where another is asked for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from harness.tidy import ROOT

_TEST = """
import trio

async def test_order():
    order = []
    async def come(number):
        order.append(number)
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(come, number)
    print("order", order)
"""


def order(folder: Path, number: str = "") -> str:
    """The line a test of twenty tasks prints of the order in which they came."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-p", "pytest_trio.plugin", "-o", "trio_mode=true"],
        cwd=folder,
        env={**os.environ, "ORDER": number, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return next(line for line in run.stdout.splitlines() if "order" in line)


def test_each_run_of_a_test_has_its_order(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_TEST, encoding="utf-8")
    shutil.copy(ROOT / "conftest.py", tmp_path)
    assert order(tmp_path) == order(tmp_path) != order(tmp_path, "7") == order(tmp_path, "7")
