"""Small real processes in the place of the programs, for the supervisor's own tests.

    python standins.py serve NAME PORT JOURNAL [drain=S] [deaf] [dies]
    python standins.py supervise JOURNAL PORT…      `make run` over stand-ins named p0, p1, …

Each stand-in answers GET with 200 and writes `ready NAME`, `term NAME`, `end NAME` to the journal.
"""

import os
import signal
import socket
import sys
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import FrameType

import trio

from scripts.run import say, supervise
from scripts.stack import Plan, Program
from scripts.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent.parent


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def program(name: str, port: int, journal: Path, *options: str) -> Program:
    """A row of a plan: one stand-in."""
    argv = (sys.executable, "-m", "scripts.tests.standins", "serve", name, str(port), str(journal))
    return Program(name, (*argv, *options), f"http://127.0.0.1:{port}/ready")


def plan(programs: tuple[Program, ...]) -> Plan:
    """A plan whose programs find this repository's modules."""
    return Plan(programs, {**os.environ, "PYTHONUNBUFFERED": "1"})


class Answer(BaseHTTPRequestHandler):
    """200 to every GET, and no words about it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        del arguments


def serve(name: str, port: int, journal: Path, options: list[str]) -> None:
    """One stand-in, until SIGTERM and its drain."""

    def note(what: str) -> None:
        with journal.open("a") as file:
            file.write(f"{what} {name} {os.getpid()}\n")

    def term(signum: int, frame: FrameType | None) -> None:
        note("term")
        if "deaf" not in options:
            drain = [float(word[6:]) for word in options if word.startswith("drain=")]
            time.sleep(drain[0] if drain else 0.0)
            note("end")
            sys.exit(0)

    if "dies" in options:
        sys.exit(f"{name} cannot live like this")
    signal.signal(signal.SIGTERM, term)
    server = HTTPServer(("127.0.0.1", port), Answer)
    note("ready")
    print('{"level": "info", "event": "started"}')
    print('{"level": "warning", "event": "careful", "path": "$.x"}')
    server.serve_forever()


def supervise_standins(journal: Path, ports: list[int]) -> int:
    """What `scripts.run` does, over stand-ins."""
    programs = tuple(program(f"p{i}", port, journal) for i, port in enumerate(ports))
    supervisor = Supervisor(plan(programs), ROOT, journal.parent / "log", say)
    return 1 if trio.run(partial(supervise, supervisor, "http://127.0.0.1", keyed=False)) else 0


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:])
    else:
        sys.exit(supervise_standins(Path(sys.argv[2]), [int(port) for port in sys.argv[3:]]))
