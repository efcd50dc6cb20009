"""Asking real sockets: one that answers, one that never does, one that is not there."""

import json
import socket

import trio

from scripts.readiness import LIMIT_S, failing_checks
from scripts.stack import Program
from scripts.tests.standins import free_ports

BODY = json.dumps({"ready": True, "checks": {"llmgw": {"ok": False, "detail": "refused"}}})
REPLY = f"HTTP/1.1 200 OK\r\ncontent-length: {len(BODY)}\r\nconnection: close\r\n\r\n{BODY}"


def program(name: str, port: int) -> Program:
    return Program(name, (), f"http://127.0.0.1:{port}/ready")


async def answer(stream: trio.SocketStream) -> None:
    await stream.receive_some(4_096)
    await stream.send_all(REPLY.encode())
    await stream.aclose()


async def test_lines_come_in_time_when_some_never_answer() -> None:
    (nobody,) = free_ports(1)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        with socket.create_server(("127.0.0.1", 0)) as silent:
            ports = (silent.getsockname()[1], nobody, listener.socket.getsockname()[1])
            programs = [program(f"p{i}", port) for i, port in enumerate(ports)]
            began = trio.current_time()
            assert await failing_checks(programs) == ["not ok yet: p2: llmgw: refused"]
            assert trio.current_time() - began < LIMIT_S + 0.5
        nursery.cancel_scope.cancel()
