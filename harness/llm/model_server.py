"""llama.cpp's own server as a process, and what it tells of itself.

with serving(python, folder / "llamacpp.log") as server:      loaded when the block begins
    server.url, .has_busy_slot(), .cancelled, .counters()
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from attrs import frozen

from harness.stack import free_ports
from harness.tidy import ROOT

PROGRAM: Final = ROOT / "scripts/llamacpp_server.py"
# So that a killed command leaves no model server behind.
LEASH: Final = ROOT / "scripts/leash.py"
LOAD_S: Final = 120.0
ASK_S: Final = 10.0
LOOK_S: Final = 0.1


class NoServer(Exception):
    """It did not start; the message has its last words."""


@frozen
class Counters:
    """What it has done since it started: tokens, and the seconds they took it."""

    prompt_tokens: float
    prompt_s: float
    written_tokens: float
    written_s: float

    def since(self, before: "Counters") -> "Counters":
        """What was done meanwhile."""
        return Counters(
            self.prompt_tokens - before.prompt_tokens,
            self.prompt_s - before.prompt_s,
            self.written_tokens - before.written_tokens,
            self.written_s - before.written_s,
        )


@frozen
class ModelServer:
    """The server, while it runs."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def model(self) -> str:
        """The name it goes by."""
        return str(json.loads(_get(self.port, "/v1/models"))["data"][0]["id"])

    @property
    def cancelled(self) -> int:
        """How many generations it has given up because nobody waited for them any more."""
        return self.log.read_text("utf-8", "replace").count("cancel task")

    def has_busy_slot(self) -> bool:
        """Whether any slot is generating, in its own words."""
        slots = json.loads(_get(self.port, "/slots"))
        return any(slot["is_processing"] for slot in slots)

    def counters(self) -> Counters:
        """Its own metrics."""
        told = _metrics(_get(self.port, "/metrics").decode())
        names = ("prompt_tokens", "prompt_seconds", "tokens_predicted", "tokens_predicted_seconds")
        return Counters(*(told[f"llamacpp:{name}_total"] for name in names))


def _metrics(text: str) -> Mapping[str, float]:
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def _get(port: int, path: str) -> bytes:
    connection = HTTPConnection("127.0.0.1", port, timeout=ASK_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            raise NoServer(f"{path} answers {response.status}")
        return response.read()
    finally:
        connection.close()


@contextmanager
def serving(python: str, log: Path) -> Iterator[ModelServer]:
    """The server, in the environment of the interpreter `python`; ended with the block."""
    port = free_ports(("llamacpp",))["llamacpp"]
    leashed = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid())]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            [*leashed, python, str(PROGRAM), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_loaded(process, port, log)
        yield ModelServer(port, log)
    finally:
        process.kill()
        process.wait()


def _wait_loaded(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + LOAD_S
    while time.monotonic() < until and process.poll() is None:
        try:
            _get(port, "/health")
        except (OSError, HTTPException, NoServer):
            time.sleep(LOOK_S)
            continue
        return
    last = log.read_text("utf-8", "replace").splitlines()[-5:]
    raise NoServer("llama.cpp's server did not start:\n  " + "\n  ".join(last))
