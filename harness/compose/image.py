"""The image without Docker: the build stage's steps, done in a folder that stands for its root.

    with built(folder) as image:
        image.python                       the interpreter of the installed packages
        image.environment("qs")            what a container of this target finds set
        image.command("qs")                its CMD; image.health("qs") its HEALTHCHECK's

Every step is read out of the Dockerfile. A clean virtual environment stands for the Python of the
image; an absolute path in a step is one under the folder; COPY takes what .dockerignore lets in.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from harness.compose.dockerfile import Dockerfile, Instruction, parse
from harness.tidy import ROOT

DOCKERFILE: Final = ROOT / "compose/Dockerfile"
BUILD: Final = "build"
STEP_S: Final = 600
# What decides how pip reaches a package index stays as it is on this machine.
_KEPT: Final = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_", "HOME")
_ABSOLUTE: Final = re.compile(r"(?<![^\s=])/(?=[a-z])")


@frozen
class Image:
    """What the build stage left under `root`."""

    root: Path
    dockerfile: Dockerfile

    @property
    def python(self) -> Path:
        """The interpreter that a container finds first."""
        return self.root / "opt/bsl/bin/python"

    def environment(self, target: str) -> dict[str, str]:
        """The image's own variables, with the paths of this folder."""
        found = self.dockerfile.environment(target)
        path = found["PATH"].replace("$PATH", "/usr/bin:/bin")
        return {**found, "PATH": path.replace("/opt/bsl", f"{self.root}/opt/bsl")}

    def command(self, target: str) -> list[str]:
        """What a container of this target runs."""
        return self._found(self.dockerfile.last(target, "CMD").argv)

    def health(self, target: str) -> list[str]:
        """What asks whether it is healthy."""
        return self._found(self.dockerfile.last(target, "HEALTHCHECK").argv)

    def _found(self, argv: list[str]) -> list[str]:
        assert argv[0] == "python"
        return [str(self.python), *argv[1:]]


@contextmanager
def built(root: Path) -> Iterator[Image]:
    """Perform the build stage under `root`; the sources it copied are gone when this yields."""
    dockerfile = parse(DOCKERFILE.read_text("utf-8"))
    base = root / "usr/local"
    _run([sys.executable, "-m", "venv", str(base)], root, dict(os.environ))
    environ = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
    environ["PATH"] = f"{base}/bin:/usr/bin:/bin"
    workdir = root
    for step in dockerfile.stages[BUILD].instructions:
        if step.word == "ENV":
            environ |= dict(word.split("=", 1) for word in step.words)
        elif step.word == "WORKDIR":
            workdir = root / step.text.lstrip("/")
            workdir.mkdir(parents=True)
        elif step.word == "COPY":
            _copy(step, workdir)
        else:
            assert step.word == "RUN", step.word
            _run(["/bin/sh", "-euc", _ABSOLUTE.sub(f"{root}/", step.text)], workdir, environ)
    # The final stage takes the installed packages alone; what it does not take must not be missed.
    shutil.rmtree(workdir)
    shutil.rmtree(root / "opt/dist")
    yield Image(root, dockerfile)


def ignored_in_builds() -> tuple[list[str], list[str]]:
    """What .dockerignore lets in at the top, and which names it keeps out everywhere."""
    text = (ROOT / ".dockerignore").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*", "it must begin by keeping everything out"
    allowed = [line[1:] for line in lines[1:] if line.startswith("!")]
    kept_out = [line.removeprefix("**/") for line in lines[1:] if line.startswith("**/")]
    assert len(allowed) + len(kept_out) == len(lines) - 1
    return allowed, kept_out


def _copy(step: Instruction, workdir: Path) -> None:
    allowed, kept_out = ignored_in_builds()
    *sources, target = step.words
    for source in sources:
        assert source.split("/")[0] in allowed, f".dockerignore keeps {source} out"
        if (ROOT / source).is_dir():
            ignore = shutil.ignore_patterns(*kept_out)
            shutil.copytree(ROOT / source, workdir / target, ignore=ignore)
        else:
            place = workdir / target / Path(source).name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)


def _run(argv: list[str], cwd: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - the Dockerfile's own step
        argv, cwd=cwd, env=environ, capture_output=True, text=True, timeout=STEP_S
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
