"""What the real Docker Compose makes of our files: `config`, which needs no engine.

    Compose(binary).config("compose.yaml", "ollama", {"NAME": "value"}, gpu=True)["services"]

Settings come from compose/env/*.example alone, so that a developer's own files change nothing.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Final

from attrs import frozen

from harness.tidy import ROOT

WHOLE: Final = "compose.yaml"
MODEL: Final = "docker-compose.local-llm.yml"
GPU: Final = "docker-compose.gpu.yml"
WATCHERS: Final = "observability/observability.yaml"
PROFILES: Final = {WHOLE: ("fake", "ollama", "vllm"), MODEL: ("ollama", "vllm")}
EXAMPLES: Final = ("stack", "secrets", "services")

Service = dict[str, object]


@frozen
class Compose:
    """The program that was installed for it."""

    binary: Path

    def services(
        self,
        file: str,
        profile: str,
        environ: Mapping[str, str] = MappingProxyType({}),
        *,
        gpu: bool = False,
    ) -> dict[str, Service]:
        """Each service of a file under one profile, all values filled in."""
        return _services(self.config(file, profile, environ, gpu=gpu))

    def as_written(self, file: str) -> dict[str, Service]:
        """Each service of a file, of all profiles, with no value filled in."""
        # What stands in the override is no service without what it overrides.
        beside = [MODEL] if file == GPU else []
        return _services(self._ask([*beside, file], {"COMPOSE_PROFILES": "*"}, "--no-interpolate"))

    def config(
        self,
        file: str,
        profile: str,
        environ: Mapping[str, str] = MappingProxyType({}),
        *,
        gpu: bool = False,
        watched: bool = False,
    ) -> dict[str, object]:
        """The whole of it. AssertionError, with what Compose says, where it refuses a file."""
        files = [file, *([GPU] if gpu else []), *([WATCHERS] if watched else [])]
        return self._ask(files, {"COMPOSE_PROFILES": profile, **environ})

    def _ask(self, files: list[str], environ: dict[str, str], *flags: str) -> dict[str, object]:
        with TemporaryDirectory() as folder:
            place = Path(folder) / "compose"
            shutil.copytree(ROOT / "compose", place, ignore=shutil.ignore_patterns("*.env"))
            for name in EXAMPLES:
                shutil.copy(place / f"env/{name}.env.example", place / f"env/{name}.env")
            settings = [f"--env-file={place}/env/{name}.env" for name in EXAMPLES[:2]]
            given = [f"--file={place / file}" for file in files]
            done = subprocess.run(  # noqa: S603 - the program that was installed for it
                [str(self.binary), *settings, *given, "config", "--format", "json", *flags],
                env=environ,
                capture_output=True,
                text=True,
            )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        config = json.loads(done.stdout)
        assert isinstance(config, dict)
        return config


def _services(config: dict[str, object]) -> dict[str, Service]:
    services = config["services"]
    assert isinstance(services, dict)
    return services


def environment(service: Service) -> dict[str, str]:
    """What a container of the service finds set by Compose."""
    found = service.get("environment", {})
    assert isinstance(found, dict)
    # `config` writes a dollar as two, so that its output can be read as a file again.
    return {name: value.replace("$$", "$") for name, value in found.items()}
