"""A real OpenSearch node without a container: installed from Maven Central, started with Java 17.

    install() -> Path                  the folder of its jars, fetched once by `opensearch_pom.xml`
    with open_node(folder) as node:    a running node; node.url, .kill(), .start(), .stop()

Where Java or Maven is missing, `Missing` says so. A node keeps its data and its port when it is
killed and started again.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import httpx
from attrs import define

from harness.tidy import ROOT

POM: Final = Path(__file__).with_name("opensearch_pom.xml")
INSTALLED: Final = ROOT / "var/backends/opensearch"
RUNNER: Final = "org.codelibs.opensearch.runner.OpenSearchRunner"
READY_S: Final = 180.0
ENDED_S: Final = 30.0
LOOK_S: Final = 0.2
# The runner takes a port up to 9299 and no other; a node's is one above what it is told.
_PORTS: Final = range(9202, 9300)
_INSTALL_S: Final = 900.0
_JAVA_MIN: Final = 17


class Missing(Exception):
    """What a node needs is not on this machine; the message says what and where to get it."""


def install() -> Path:
    """The folder of the node's jars; fetched when there is none of this pom's."""
    java, maven = shutil.which("java"), shutil.which("mvn")
    if java is None or _java_version(java) < _JAVA_MIN:
        raise Missing(f"OpenSearch needs Java {_JAVA_MIN}: apt-get install openjdk-17-jre-headless")
    jars = INSTALLED / sha256(POM.read_bytes()).hexdigest()[:12]
    if jars.exists():
        return jars
    if maven is None:
        raise Missing("OpenSearch is fetched by Maven: apt-get install maven")
    unfinished = jars.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    print(f"fetching OpenSearch into {jars} (once, some minutes)", flush=True)
    fetched = subprocess.run(  # noqa: S603 - Maven, with our own pom, no shell
        [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies",
         f"-DoutputDirectory={unfinished}"],
        capture_output=True, text=True, timeout=_INSTALL_S, check=False,
    )  # fmt: skip
    if fetched.returncode:
        raise Missing(f"Maven could not fetch OpenSearch: {fetched.stdout[-2000:]}")
    unfinished.rename(jars)
    return jars


def _java_version(java: str) -> int:
    told = subprocess.run(  # noqa: S603 - Java, no shell
        [java, "-version"], capture_output=True, text=True, timeout=60, check=False
    )
    words = told.stderr.split('"')
    major = words[1].split(".")[0] if len(words) > 1 else ""
    return int(major) if major.isdigit() else 0


@define
class Node:
    """One node: its files, its port, and its process while it runs."""

    jars: Path
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / "node.log"

    def start(self) -> None:
        """Start it, on the data that is there, and wait until it answers."""
        assert self.process is None, "still running"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - Java, no shell
                [
                    shutil.which("java") or "java",
                    "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC",
                    "-cp", f"{self.jars}/*", RUNNER,
                    "-basePath", str(self.folder / "node"), "-numOfNode", "1",
                    "-baseHttpPort", str(self.port - 1), "-clusterName", "bsl-test",
                ],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self._wait_ready()

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end; kill it when it does not."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Take the processor from it: its connections stay, and nobody answers."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDED_S)
        process.kill()
        process.wait(ENDED_S)

    def _wait_ready(self) -> None:
        until = time.monotonic() + READY_S
        with httpx.Client(trust_env=False) as client:
            while time.monotonic() < until and self.process and self.process.poll() is None:
                with suppress(httpx.HTTPError):
                    told = client.get(f"{self.url}/_cluster/health", timeout=5.0)
                    if told.status_code == 200 and told.json()["status"] in ("green", "yellow"):
                        return
                time.sleep(LOOK_S)
        raise AssertionError(f"OpenSearch does not start: {self.log.read_text('utf-8')[-3000:]}")


@contextmanager
def open_node(folder: Path) -> Iterator[Node]:
    """A node of its own, running; stopped at the end, and its data with the folder's."""
    folder.mkdir(parents=True, exist_ok=True)
    node = Node(install(), folder, _free_port())
    try:
        node.start()
        yield node
    finally:
        node.kill()


def _free_port() -> int:
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError(f"no port of {_PORTS} is free")
