"""The real programs as real processes: free ports, a folder of documents, logs in files.

    with open_stack(folder, documents, BODY_TIMEOUT_MS="400") as stack:
        stack.start("fake", "--latency", "ttft=2s")     or "llmgw", "qs", "bff"; listens on return
        stack["qs"].port, .text(), .lines(), .open_files
        stack["qs"].kill(), .terminate(), .freeze(), .thaw(), .wait_ended()

Each program keeps its port for the stack's life, so that one which was killed can be started again
where the others look for it. At the end every process that is left is killed.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from attrs import define, field

from harness.tidy import ROOT

READY_S: Final = 30.0  # programs start in one; this is for machines that are very busy
# Under the kernel's range for outgoing connections, so that none of them takes a program's port
# while that program is down.
_PORTS_FROM: Final = range(20_000, 32_000)
ENDED_S: Final = 8.0
LOOK_S: Final = 0.005
MODULES: Final = {
    "fake": "fakes.openai_compat_server",
    "llmgw": "llmgw",
    "qs": "qs",
    "bff": "bff",
}
_PORTS: Final = {
    "fake": "FAKE_PORT",
    "llmgw": "LLMGW_PORT",
    "qs": "QS_PORT",
    "bff": "BFF_PORT",
}


@define
class Running:
    """One program that was started: its process and what it has printed."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    log: Path
    printed_before: int  # bytes of the file that an earlier life of the program has written

    def text(self) -> str:
        """All it has printed so far."""
        return self.log.read_bytes()[self.printed_before :].decode("utf-8")

    def lines(self) -> list[dict[str, object]]:
        """Its log lines so far; whatever is no JSON object fails."""
        return [json.loads(line) for line in self.text().splitlines()]

    def ended(self, request_id: str | None = None) -> list[dict[str, object]]:
        """The closing lines of its calls, or of the one call."""
        wanted = [line for line in self.lines() if line["event"] == "call ended"]
        return [line for line in wanted if request_id in (None, line["request_id"])]

    @property
    def open_files(self) -> int:
        """How many descriptors the process holds."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def kill(self) -> None:
        """End it as a crash would: SIGKILL, no goodbye."""
        self.process.kill()
        self.process.wait(ENDED_S)

    def terminate(self) -> None:
        """Ask it to drain; returns at once."""
        self.process.send_signal(signal.SIGTERM)

    def freeze(self) -> None:
        """Take the processor from it: SIGSTOP. Its connections stay, and nobody answers there."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def wait_ended(self, limit_s: float = ENDED_S) -> int:
        """Its exit status; subprocess.TimeoutExpired when it is still there."""
        return self.process.wait(limit_s)


@define
class Stack:
    """The four programs' places, and those of them that run."""

    folder: Path
    environ: Mapping[str, str]
    ports: Mapping[str, int]
    running: dict[str, Running] = field(factory=dict)

    def __getitem__(self, name: str) -> Running:
        return self.running[name]

    def start(self, name: str, *arguments: str, **environ: str) -> Running:
        """Start one program and wait until it listens; it must not be running."""
        return self.launch(name, arguments, environ)

    def launch(
        self,
        name: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        *,
        under: Sequence[str] = (),
        out: Path | None = None,
        ready: Callable[[Running], bool] | None = None,
    ) -> Running:
        """The same in any other way: `ready` where it is not to listen; `under` a command that
        runs it in its turn; `out` takes what it prints, in the log's place.
        """
        assert not self.runs(name), "still running"
        log = self.folder / f"{name}.log"
        printed = log.stat().st_size if log.exists() else 0
        with (out or log).open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                [*under, sys.executable, "-m", MODULES[name], *arguments],
                cwd=ROOT,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started = Running(name, self.ports[name], process, log, printed)
        self.running[name] = started
        _wait_until(ready or listens, started)
        return started

    def runs(self, name: str) -> bool:
        """Whether it was started and has not ended since."""
        return name in self.running and self[name].process.poll() is None

    def restart(self, name: str, *arguments: str, **environ: str) -> Running:
        """Start it anew on its port, whatever became of it before."""
        if name in self.running:
            self[name].kill()
        return self.start(name, *arguments, **environ)

    def ingest(self, documents: Path) -> str:
        """Bring the index up to this folder; what the program printed."""
        done = self.try_to_ingest(documents)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def try_to_ingest(
        self, documents: Path, *, under: Sequence[str] = (), **environ: str
    ) -> "subprocess.CompletedProcess[str]":
        """The same where it may fail: its exit status and what it printed."""
        return subprocess.run(  # noqa: S603 - our own program, no shell
            [*under, sys.executable, "-m", "qs.ingest", str(documents)],
            cwd=ROOT,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=READY_S,
            check=False,
        )


def listens(program: Running) -> bool:
    """Whether somebody takes connections on its port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", program.port)) == 0


def _wait_until(ready: Callable[[Running], bool], program: Running) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until and program.process.poll() is None:
        if ready(program):
            return
        time.sleep(LOOK_S)
    raise AssertionError(f"{program.name} does not listen: {program.text()}")


def write_documents(folder: Path, documents: Mapping[str, str]) -> Path:
    """The documents as files, by their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def free_ports(names: Sequence[str]) -> dict[str, int]:
    """A port for each name that nobody listens on just now."""
    held: dict[str, socket.socket] = {}
    for port in random.SystemRandom().sample(_PORTS_FROM, 1_000):
        with suppress(OSError):
            if len(held) < len(names):
                held[names[len(held)]] = socket.create_server(("127.0.0.1", port))
    ports = {name: listener.getsockname()[1] for name, listener in held.items()}
    for listener in held.values():
        listener.close()
    assert len(ports) == len(names), "no ports are free"
    return ports


@contextmanager
def open_stack(folder: Path, documents: Mapping[str, str], **environ: str) -> Iterator[Stack]:
    """The programs' places, the documents ingested, nothing started yet."""
    ports = free_ports(tuple(MODULES))
    at = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    settings = {
        **{_PORTS[name]: str(port) for name, port in ports.items()},
        "LLM_BASE_URL": f"{at['fake']}/v1",
        "QS_LLM_URL": at["llmgw"],
        "BFF_QS_URL": at["qs"],
        "QS_INDEX_PATH": str(folder / "index.sqlite3"),
        "QS_STORE_URL": f"sqlite:///{folder / 'store.sqlite3'}",
        "QS_SPOOL_DIR": str(folder / "spool"),
        "PATH": os.environ["PATH"],
        "PYTHONWARNINGS": "always::ResourceWarning",
        **environ,
    }
    stack = Stack(folder, settings, ports)
    try:
        stack.ingest(write_documents(folder / "documents", documents))
        yield stack
    finally:
        for program in stack.running.values():
            program.kill()
