"""Goal: what `make up` and its neighbours tell Docker is something that Docker Compose understands.

Method: the script with a docker that hands each command to the real Compose for its `--help`, which
it prints only where it knows the command and every flag.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.compose.resolved import Compose
from harness.tidy import ROOT

# Docker's own part is answered here. After the name of the one-shot, `--help` would be that one's.
DOCKER = """#!/bin/sh
case "$*" in
"compose version") exit 0 ;;
version*) echo 28.2.2; exit 0 ;;
esac
shift
for word; do
    shift
    [ "$word" = ollama-model ] || set -- "$@" "$word"
done
exec "{compose}" "$@" --help >>"{journal}" 2>&1
"""
VERBS = [
    ("up",),
    ("up", "ollama"),
    ("up", "vllm"),
    ("down",),
    ("logs",),
    ("local-llm-up",),
    ("local-llm-down",),
]


@pytest.mark.parametrize("arguments", VERBS, ids="-".join)
def test_compose_understands_what_it_is_told(
    arguments: tuple[str, ...], compose: Compose, tmp_path: Path
) -> None:
    result = run(tmp_path, compose, arguments)
    journal = (tmp_path / "journal").read_text("utf-8")
    assert (result.returncode, result.stderr) == (0, ""), journal
    assert "Usage:  docker compose" in journal


def test_compose_does_not_understand_what_does_not_exist(compose: Compose, tmp_path: Path) -> None:
    script = (ROOT / "scripts/containers.sh").read_text("utf-8")
    result = run(tmp_path, compose, ("down",), script.replace("--remove-orphans", "--no-such-flag"))
    assert result.returncode != 0
    assert "unknown flag" in (tmp_path / "journal").read_text("utf-8")


def run(
    place: Path, compose: Compose, arguments: tuple[str, ...], script: str | None = None
) -> "subprocess.CompletedProcess[str]":
    """The script, in a copy of what it needs."""
    shutil.copytree(ROOT / "compose", place / "compose", ignore=shutil.ignore_patterns("*.env"))
    copy = place / "scripts/containers.sh"
    copy.parent.mkdir()
    copy.write_text(script or (ROOT / "scripts/containers.sh").read_text("utf-8"), "utf-8")
    docker = place / "docker"
    docker.write_text(DOCKER.format(compose=compose.binary, journal=place / "journal"))
    docker.chmod(0o755)
    return subprocess.run(  # noqa: S603 - our own script
        ["/bin/sh", str(copy), *arguments],
        env={"PATH": os.environ["PATH"], "DOCKER": str(docker)},
        capture_output=True,
        text=True,
    )
