"""Goal: the Dockerfile is one that hadolint has nothing to say to, and reads as we read it."""

import subprocess
import tomllib
from pathlib import Path

from harness.compose.dockerfile import parse
from harness.compose.image import DOCKERFILE, ignored_in_builds
from harness.tidy import ROOT

SMALL = """
# a comment
FROM python:3.11.1-slim AS build
ENV A=1 \\
    B="two words"
RUN one \\
    && two
FROM build AS last
ENV B=3
HEALTHCHECK --interval=1s --timeout=2s \\
    CMD ["python", "-m", "x"]
"""


def test_hadolint_has_nothing_to_say(hadolint: Path) -> None:
    done = subprocess.run(  # noqa: S603 - the linter that was installed for it
        [str(hadolint), "--no-color", str(DOCKERFILE)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_does_speak_when_there_is_something(hadolint: Path, tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text(DOCKERFILE.read_text("utf-8").replace(":3.11.15-slim-bookworm", ":latest"))
    done = subprocess.run(  # noqa: S603 - the same
        [str(hadolint), "--no-color", str(bad)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "DL3007" in done.stdout


def test_dockerfile_is_read_as_docker_reads_it() -> None:
    found = parse(SMALL)
    assert [stage.parent for stage in found.stages.values()] == ["python:3.11.1-slim", "build"]
    assert found.environment("build") == {"A": "1", "B": "two words"}
    assert found.environment("last") == {"A": "1", "B": "3"}
    assert found.last("last", "RUN").text.split() == ["one", "&&", "two"]
    assert found.last("last", "HEALTHCHECK").argv == ["python", "-m", "x"]
    assert found.last("last", "HEALTHCHECK").flags == {"interval": "1s", "timeout": "2s"}


def test_image_takes_only_the_installed_packages_from_the_build() -> None:
    stages = parse(DOCKERFILE.read_text("utf-8")).stages
    copies = [
        each for name, stage in stages.items() if name != "build" for each in stage.all("COPY")
    ]
    assert [(each.flags, each.text) for each in copies] == [
        ({"from": "build"}, "/opt/bsl /opt/bsl")
    ]


def test_build_sees_neither_secrets_nor_tests() -> None:
    allowed, kept_out = ignored_in_builds()
    assert not {"compose", "docs", "harness", "scripts", "var", ".env.local", ".git"} & {*allowed}
    assert "tests" in kept_out


def test_wheel_is_built_with_what_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    pins = (ROOT / "requirements/wheel.txt").read_text("utf-8").splitlines()
    assert set(project["build-system"]["requires"]) <= set(pins)
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = {
        each.words[0] for each in parse(DOCKERFILE.read_text("utf-8")).stages["build"].all("COPY")
    }
    assert set(packages) <= copied
