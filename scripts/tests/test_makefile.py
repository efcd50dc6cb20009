"""What `make` says to arguments it cannot use, before it sets anything up."""

import subprocess
from pathlib import Path

import pytest

from scripts.local_settings import ROOT


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("", "usage: make ingest DIR=path/to/a/folder"),
        ("{tmp}/none", "no such folder: {tmp}/none"),
        ("{tmp}/file", "not a folder: {tmp}/file"),
    ],
)
def test_folder_that_is_none_is_named(folder: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    argument = f"DIR={folder.format(tmp=tmp_path)}"
    result = subprocess.run(  # noqa: S603 - our own Makefile
        ["make", "ingest", argument],  # noqa: S607 - whichever make runs the tests
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[0] == said.format(tmp=tmp_path)
