"""The real programs as real processes: free ports, a folder of documents, logs in files.

    with open_stack(folder, documents, BODY_TIMEOUT_MS="400") as stack:
        stack.start("fake", "--latency", "ttft=2s")     or "llmgw", "qs", "bff"; listens on return
        stack["qs"].port, .text(), .lines(), .open_files, .kill(), .terminate(), .wait_ended()

Each program keeps its port for the stack's life, so that one which was killed can be started again
where the others look for it. At the end every process that is left is killed.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import define, field

from harness.tidy import ROOT

READY_S: Final = 15.0
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
        assert name not in self.running or self[name].process.poll() is not None, "still running"
        log = self.folder / f"{name}.log"
        printed = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                [sys.executable, "-m", MODULES[name], *arguments],
                cwd=ROOT,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        started = Running(name, self.ports[name], process, log, printed)
        self.running[name] = started
        _wait_until_listening(started)
        return started

    def restart(self, name: str, *arguments: str, **environ: str) -> Running:
        """Start it anew on its port, whatever became of it before."""
        if name in self.running:
            self[name].kill()
        return self.start(name, *arguments, **environ)

    def ingest(self, documents: Path) -> str:
        """Bring the index up to this folder; what the program printed."""
        done = subprocess.run(  # noqa: S603 - our own program, no shell
            [sys.executable, "-m", "qs.ingest", str(documents)],
            cwd=ROOT,
            env=dict(self.environ),
            capture_output=True,
            text=True,
            timeout=READY_S,
            check=True,
        )
        return done.stdout + done.stderr


def _wait_until_listening(program: Running) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if program.process.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", program.port)) == 0:
                return
        time.sleep(LOOK_S)
    raise AssertionError(f"{program.name} does not listen: {program.text()}")


def write_documents(folder: Path, documents: Mapping[str, str]) -> Path:
    """The documents as files, by their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents.items():
        (folder / name).write_text(text, "utf-8")
    return folder


def free_ports(names: list[str]) -> dict[str, int]:
    """A port for each name that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: held.getsockname()[1] for name, held in zip(names, sockets, strict=True)}
    for held in sockets:
        held.close()
    return ports


@contextmanager
def open_stack(folder: Path, documents: Mapping[str, str], **environ: str) -> Iterator[Stack]:
    """The programs' places, the documents ingested, nothing started yet."""
    ports = free_ports(list(MODULES))
    at = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    settings = {
        **{_PORTS[name]: str(port) for name, port in ports.items()},
        "LLM_BASE_URL": f"{at['fake']}/v1",
        "QS_LLM_URL": at["llmgw"],
        "BFF_QS_URL": at["qs"],
        "QS_INDEX_PATH": str(folder / "index.sqlite3"),
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
