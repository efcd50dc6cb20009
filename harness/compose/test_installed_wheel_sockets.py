"""Goal: what the images hold is enough: each program starts from it, and a whole chat goes through.

Method: the Dockerfile's build steps are performed in a clean environment; each target's CMD is run
there, away from the source tree, with what the image and Compose set for it. Only what cannot be
had here differs: names of hosts, ports, and the two stores, in whose place QS keeps to its files.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest
from attrs import frozen

from harness.compose.image import Image
from harness.compose.resolved import WHOLE, Compose, Service, environment
from harness.stack import free_ports
from harness.tidy import ROOT

READY_S: Final = 60.0
GONE_S: Final = 5.5
# Each service, and where it listens inside: innermost first.
INSIDE: Final = {"fake": 8000, "llm-gateway-service": 8000, "qs": 8001, "bff": 8088}
TARGETS: Final = {"llm-gateway-service": "llmgw"}
STORES: Final = ("QS_STORE_URL", "QS_RETRIEVER", "QS_OS_")
KEY: Final = "a-key-of-a-caller"
SECRETS: Final = {"QS_KEY": "qs-key", "LLMGW_KEY": "llmgw-key", "BFF_API_KEYS": KEY}


@frozen
class Container:
    """What stands for one container."""

    process: "subprocess.Popen[bytes]"
    log: Path


@frozen
class Chain:
    """The four of them, and where the BFF is."""

    url: str
    logs: Path
    containers: dict[str, Container]


@contextmanager
def running(image: Image, services: dict[str, Service]) -> Iterator[Chain]:
    """The ingest, and then the programs, each ready before the next is started."""
    folder = image.root / "srv/bsl"
    (folder / "var").mkdir(parents=True, exist_ok=True)
    logs = image.root / "logs"
    logs.mkdir()
    ports = free_ports(tuple(INSIDE))
    containers: dict[str, Container] = {}
    with ExitStack() as kept:
        for name in INSIDE:
            target = TARGETS.get(name, name)
            environ = set_for(image, target, services[name], ports)
            if name == "qs":
                ingest(image, services["ingest"], environ)
            log = logs / f"{name}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(  # noqa: S603 - the image's own command
                    image.command(target), cwd=folder, env=environ, stdout=output, stderr=output
                )
            kept.callback(process.kill)
            containers[name] = Container(process, log)
            wait_healthy(image, target, INSIDE[name], ports[name], containers[name])
        yield Chain(f"http://127.0.0.1:{ports['bff']}", logs, containers)


def set_for(image: Image, target: str, service: Service, ports: dict[str, int]) -> dict[str, str]:
    """Everything that the program finds in its environment."""
    by_compose = {
        name: value for name, value in environment(service).items() if not name.startswith(STORES)
    }
    found = image.environment(target) | by_compose
    for name, inside in INSIDE.items():
        found = {
            key: value.replace(f"//{name}:{inside}", f"//127.0.0.1:{ports[name]}")
            for key, value in found.items()
        }
    own = next(name for name in INSIDE if TARGETS.get(name, name) == target)
    prefix = target.upper()
    return found | {f"{prefix}_HOST": "127.0.0.1", f"{prefix}_PORT": str(ports[own])}


def ingest(image: Image, service: Service, environ: dict[str, str]) -> None:
    """The one-shot, with the command of its service over this handbook."""
    command = service["command"]
    assert isinstance(command, list)
    assert command[-1] == "/docs"
    done = subprocess.run(  # noqa: S603 - our own program, as installed
        [str(image.python), *command[1:-1], str(ROOT / "docs")],
        cwd=image.root / "srv/bsl",
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wait_healthy(image: Image, target: str, inside: int, port: int, container: Container) -> None:
    """Until the image's own health check says so."""
    check = [word.replace(f":{inside}/", f":{port}/") for word in image.health(target)]
    until = time.monotonic() + READY_S
    while time.monotonic() < until and container.process.poll() is None:
        if subprocess.run(check, capture_output=True).returncode == 0:  # noqa: S603 - the image's
            return
        time.sleep(0.2)
    raise AssertionError(f"{target} is not healthy: {container.log.read_text('utf-8')}")


@pytest.fixture(scope="module")
def chain(image: Image, compose: Compose) -> Iterator[Chain]:
    """The whole chain, out of the installed packages."""
    with running(image, compose.services(WHOLE, "fake", SECRETS)) as started:
        yield started


def test_programs_come_from_the_installed_wheel_and_bring_what_they_need(image: Image) -> None:
    code = "import bff, contracts, fakes, hop, llmgw, qs, sys; print(*sys.path, bff.__file__)"
    done = subprocess.run(  # noqa: S603 - the image's own interpreter
        [str(image.python), "-c", code], cwd=image.root, capture_output=True, text=True, env={}
    )
    assert done.returncode == 0, done.stderr
    assert f"{image.root}/opt/bsl/lib/" in done.stdout
    assert str(ROOT) not in done.stdout
    packages = next(image.root.glob("opt/bsl/lib/python*/site-packages"))
    ours = ("bff", "contracts", "fakes", "hop", "llmgw", "qs")
    assert not [path for name in ours for path in packages.glob(f"{name}/**/tests")]
    assert not [*packages.glob("pip*")]
    assert [*packages.glob("bff/page/*.html")]


def test_image_is_small(image: Image) -> None:
    files = [path for path in (image.root / "opt/bsl").rglob("*") if path.is_file()]
    mebibytes = sum(path.lstat().st_size for path in files) // 2**20
    print(f"installed packages: {mebibytes} MiB")
    assert mebibytes < 120
    assert not [path.name for path in files if path.name.startswith(("gcc", "cc1"))]


def test_whole_chat_goes_through_what_is_installed(chain: Chain, image: Image) -> None:
    before = written_by(image)
    done = subprocess.run(  # noqa: S603 - our own script
        ["/bin/sh", str(ROOT / "scripts/smoke_chat.sh")],
        cwd=image.root,
        env={
            "PATH": os.environ["PATH"],
            "BFF_URL": chain.url,
            "SMOKE_API_KEY": KEY,
            "SMOKE_LOGS": f"cat {chain.logs}/*.log",
        },
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert written_by(image) == before


def written_by(image: Image) -> set[Path]:
    """Every file but those where a container may write."""
    free = (image.root / "srv/bsl/var", image.root / "logs")
    return {path for path in image.root.rglob("*") if not path.is_relative_to(free[0])
            if not path.is_relative_to(free[1])}  # fmt: skip


def test_programs_end_when_they_are_told_to_as_docker_tells_them(chain: Chain) -> None:
    for name in reversed(INSIDE):
        process = chain.containers[name].process
        process.send_signal(signal.SIGTERM)
        assert process.wait(GONE_S) == 0, name
    for name in ("bff", "qs", "llm-gateway-service"):
        text = chain.containers[name].log.read_text("utf-8")
        assert re.search(r'"event": ?"stopped"', text), name
        assert '"level":"error"' not in text.replace(" ", ""), name
        assert KEY not in text
