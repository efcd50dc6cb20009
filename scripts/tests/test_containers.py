"""Goal: `make up` and its neighbours call Docker as they should, and say clearly when they cannot.

Method: the script in a copy of what it needs, with a stand-in for docker that writes calls down.
"""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from scripts.local_settings import ROOT

STAND_IN = """#!/bin/sh
case "$*" in
"compose version") exit {plugin} ;;
version*) echo "{engine}"; exit {answers} ;;
esac
echo "COMPOSE_PROFILES=${{COMPOSE_PROFILES:-}} $*" >>"{journal}"
case "$*" in *{failing}*) exit 17 ;; esac
"""
EXAMPLES = ("secrets", "services", "stack")
SETTINGS = "compose --env-file compose/env/stack.env --env-file compose/env/secrets.env"
WHOLE = f"{SETTINGS} -f compose/compose.yaml"
MODEL = f"{SETTINGS} -f compose/docker-compose.local-llm.yml"
GPU = "-f compose/docker-compose.gpu.yml"
UP = "up --detach --build --wait --wait-timeout 900"
ALONE = "up --detach --wait --wait-timeout 7200"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh clone, as far as the script looks."""
    shutil.copytree(
        ROOT / "compose", tmp_path / "compose", ignore=shutil.ignore_patterns("env/*.env", "*.env")
    )
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/containers.sh", tmp_path / "scripts/containers.sh")
    return tmp_path


def containers(
    checkout: Path,
    *arguments: str,
    plugin: int = 0,
    engine: str = "28.2.2",
    answers: int = 0,
    failing: str = "nothing-fails",
    **environ: str,
) -> "subprocess.CompletedProcess[str]":
    """Run the script; what it called is in `calls`."""
    docker = checkout / "docker"
    docker.write_text(
        STAND_IN.format(
            plugin=plugin, engine=engine, answers=answers, failing=failing,
            journal=checkout / "journal",
        )
    )  # fmt: skip
    docker.chmod(0o755)
    return subprocess.run(  # noqa: S603 - our own script
        ["/bin/sh", str(checkout / "scripts/containers.sh"), *arguments],
        env={"PATH": os.environ["PATH"], "DOCKER": str(docker), **environ},
        capture_output=True,
        text=True,
    )


def calls(checkout: Path) -> list[str]:
    """What docker was told to do, each with the profile it was told in."""
    journal = checkout / "journal"
    return journal.read_text().splitlines() if journal.exists() else []


@pytest.mark.parametrize(
    ("arguments", "gpu", "expected"),
    [
        (("up",), "", [f"COMPOSE_PROFILES=fake {WHOLE} {UP}"]),
        (("up", "fake"), "", [f"COMPOSE_PROFILES=fake {WHOLE} {UP}"]),
        (
            ("up", "ollama"),
            "",
            [
                f"COMPOSE_PROFILES=ollama {MODEL} {ALONE} ollama",
                f"COMPOSE_PROFILES=ollama {MODEL} run --rm ollama-model",
                f"COMPOSE_PROFILES=ollama {WHOLE} {UP}",
            ],
        ),
        (
            ("up", "vllm"),
            "",
            [
                f"COMPOSE_PROFILES=vllm {MODEL} {GPU} {ALONE} vllm",
                f"COMPOSE_PROFILES=vllm {WHOLE} {GPU} {UP}",
            ],
        ),
        (
            ("local-llm-up",),
            "1",
            [
                f"COMPOSE_PROFILES=ollama {MODEL} {GPU} {ALONE} ollama",
                f"COMPOSE_PROFILES=ollama {MODEL} {GPU} run --rm ollama-model",
            ],
        ),
        (("local-llm-down",), "", [f"COMPOSE_PROFILES= {MODEL} --profile * rm --stop --force"]),
        (("down",), "", [f"COMPOSE_PROFILES= {WHOLE} --profile * down --remove-orphans"]),
        (("logs",), "", [f"COMPOSE_PROFILES= {WHOLE} --profile * logs --follow --tail 200"]),
    ],
)
def test_docker_is_told_what_the_verb_means(
    arguments: tuple[str, ...], gpu: str, expected: list[str], checkout: Path
) -> None:
    result = containers(checkout, *arguments, GPU=gpu)
    assert (result.returncode, result.stderr) == (0, "")
    assert calls(checkout) == expected


def test_settings_are_made_with_secrets_of_their_own_that_only_the_owner_reads(
    checkout: Path,
) -> None:
    said = containers(checkout, "up").stdout.splitlines()
    folder = checkout / "compose/env"
    assert said[:3] == [f"made compose/env/{name}.env" for name in EXAMPLES]
    assert said[3] == "ready http://127.0.0.1:8088"
    text = (folder / "secrets.env").read_text()
    secrets = re.findall(r"^[A-Z_]+=([0-9a-f]{48})$", text, re.MULTILINE)
    assert len(secrets) == len(set(secrets)) == 4
    assert not re.search(r"=RANDOM$", text, re.MULTILINE)
    assert stat.S_IMODE((folder / "secrets.env").stat().st_mode) == 0o600
    for name in ("stack", "services"):
        assert (folder / f"{name}.env").read_text() == (folder / f"{name}.env.example").read_text()
    assert not [*folder.glob("*.new")]


def test_settings_that_are_there_stay_and_are_told(checkout: Path) -> None:
    mine = checkout / "compose/env/stack.env"
    mine.write_text("BFF_ADDRESS=0.0.0.0\nBFF_PORT=9000\n")
    result = containers(checkout, "up")
    assert mine.read_text() == "BFF_ADDRESS=0.0.0.0\nBFF_PORT=9000\n"
    assert "ready http://127.0.0.1:9000" in result.stdout
    assert "ready http://127.0.0.1:9100" in containers(checkout, "up", BFF_PORT="9100").stdout


def test_step_that_fails_is_the_last_and_its_status_is_the_result(checkout: Path) -> None:
    result = containers(checkout, "up", "ollama", failing="ollama-model")
    assert result.returncode == 17
    assert len(calls(checkout)) == 2
    assert "ready" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("up", "gpt"), "containers: LLM=gpt is none of: fake ollama vllm"),
        (("up", "http://127.0.0.1:11434/v1"), "is none of: fake ollama vllm"),
        (("local-llm-up", "fake"), "containers: LLM=fake is none of: ollama vllm"),
        ((), "containers.sh up [fake|ollama|vllm]"),
        (("restart",), "containers.sh up [fake|ollama|vllm]"),
        (("down", "now"), "containers.sh up [fake|ollama|vllm]"),
    ],
)
def test_what_is_not_understood_is_refused_before_anything_is_done(
    arguments: tuple[str, ...], said: str, checkout: Path
) -> None:
    result = containers(checkout, *arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert calls(checkout) == []
    assert not [*(checkout / "compose/env").glob("*.env")]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"DOCKER": "no-such-docker"}, "no-such-docker was not found: install Docker Engine 25"),
        ({"plugin": 1}, "compose` does not work: install Docker's Compose plugin"),
        ({"answers": 1}, "no Docker engine answers: start it"),
        ({"engine": "24.0.7"}, "Docker Engine 24.0.7 is too old: 25 or newer is needed"),
    ],
)
def test_docker_that_cannot_be_used_is_said_so(
    state: dict[str, object], said: str, checkout: Path
) -> None:
    result = containers(checkout, "up", **state)  # type: ignore[arg-type] # each by its name
    assert result.returncode == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert calls(checkout) == []


def test_make_reaches_it_on_a_machine_without_python(checkout: Path) -> None:
    shutil.copy(ROOT / "Makefile", checkout / "Makefile")
    docker = containers(checkout, "logs")
    assert docker.returncode == 0
    tools = checkout / "bin"
    tools.mkdir()
    for name in ("make", "sh", "sed", "od", "tr", "mv", "tail", "dirname"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    result = subprocess.run(  # noqa: S603 - our own Makefile
        [str(tools / "make"), "up", "LLM=ollama"],
        cwd=checkout,
        env={"PATH": str(tools), "DOCKER": str(checkout / "docker")},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "ready http://127.0.0.1:8088" in result.stdout
