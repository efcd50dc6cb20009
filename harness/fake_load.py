"""Many paced streams at once from one real fake, in a process of its own, each held to its bytes.

What each stream must be is planned here, by the same pure function and the same seed; what came
late is read from the server's own journal. `python -m harness.fake_load 1000` prints the figures.
"""

# ruff: noqa: S603  (the only program run is the fake)

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate

import httpx
import trio
from attrs import frozen

from fakes.openai_compat_server import Behaviour, HttpRequest, Latency, Plan, plan_response

TOKENS = 40
_LIMIT_S = 60.0
_BEHAVIOUR = Behaviour(seed=5, persona="echo", latency=Latency(ttft_s=0.2, itl_s=0.05))
_ARGUMENTS = ("--seed=5", "--persona=echo", "--latency=ttft=200ms,itl=50ms", "--quiet", "--admin")
_PATH = "/v1/chat/completions"


@frozen
class Figures:
    """What came of it. Lateness is of single chunks, against the plan, in seconds."""

    streams: int
    exact: int
    frames: int
    frames_planned: int
    took_s: float
    lateness_s: tuple[float, ...]  # sorted; empty where the journal no longer held a stream whole

    def __str__(self) -> str:
        said = f"{self.exact} of {self.streams} streams exact, {self.frames} of "
        said += f"{self.frames_planned} frames, in {self.took_s:.1f} s"
        if not self.lateness_s:
            return said
        last = len(self.lateness_s) - 1
        at = {share: self.lateness_s[int(last * share)] * 1000 for share in (0.5, 0.99, 1.0)}
        return f"{said}; late by ms: " + ", ".join(f"p{s * 100:g} {ms:.0f}" for s, ms in at.items())


def load(streams: int) -> Figures:
    """Ask for that many streams at the same time and read each to its end."""
    asked = [_request(number) for number in range(streams)]
    plans = [plan_response(_BEHAVIOUR, request) for request in asked]
    with _many_files(), _fake() as port:
        received, took_s = trio.run(_read_all, port, asked)
        journal = httpx.get(f"http://127.0.0.1:{port}/__admin/journal", timeout=_LIMIT_S).json()
    expected = [b"".join(step.data for step in plan.steps) for plan in plans]
    return Figures(
        streams=streams,
        exact=sum(got == wanted for got, wanted in zip(received, expected, strict=True)),
        frames=sum(got.count(b"data: {") for got in received),
        frames_planned=sum(wanted.count(b"data: {") for wanted in expected),
        took_s=took_s,
        lateness_s=_lateness(journal["entries"], asked, plans),
    )


def _request(number: int) -> HttpRequest:
    """Each stream says something else, so that none can pass for another."""
    words = " ".join(f"{number:04}.{at:02}" for at in range(TOKENS))
    messages = [{"role": "user", "content": words}]
    body = json.dumps({"model": "m", "stream": True, "messages": messages}).encode()
    headers = {"host": "x", "content-type": "application/json", "content-length": str(len(body))}
    return HttpRequest("POST", _PATH, "1.1", tuple(headers.items()), body)


def _on_the_wire(request: HttpRequest) -> bytes:
    lines = [f"{request.line} HTTP/1.1", *(f"{name}: {it}" for name, it in request.headers)]
    return "\r\n".join([*lines, "", ""]).encode() + request.body


async def _read_all(port: int, asked: list[HttpRequest]) -> tuple[list[bytes], float]:
    received = [b""] * len(asked)

    async def read(at: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(_on_the_wire(asked[at]))
            got = bytearray()
            while not got.endswith(b"\r\n0\r\n\r\n") and (data := await stream.receive_some()):
                got += data
            received[at] = bytes(got)

    began = trio.current_time()
    with trio.move_on_after(_LIMIT_S):
        async with trio.open_nursery() as nursery:
            for at in range(len(asked)):
                nursery.start_soon(read, at)
    return received, trio.current_time() - began


def _lateness(
    entries: list[dict[str, object]], asked: list[HttpRequest], plans: list[Plan]
) -> tuple[float, ...]:
    """Of every chunk of every stream the journal still has."""
    plan_of = {_on_the_wire(it).decode(): plan for it, plan in zip(asked, plans, strict=True)}
    late: list[float] = []
    for entry in entries:
        request, chunks, began_at = entry["request"], entry["chunks"], entry["began_at"]
        assert isinstance(request, dict)
        assert isinstance(chunks, list)
        assert isinstance(began_at, float)
        if plan := plan_of.get(request["utf8"]):
            due = accumulate(step.delay_s for step in plan.steps)
            late += [it["at"] - began_at - at for it, at in zip(chunks, due, strict=True)]
    return tuple(sorted(late))


@contextmanager
def _many_files() -> Iterator[None]:
    """As many open files as we may have, for us and the process we start: each stream is one."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))


@contextmanager
def _fake() -> Iterator[int]:
    """The port of a fake that answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    module = (sys.executable, "-m", "fakes.openai_compat_server", "serve")
    with subprocess.Popen([*module, "--port", str(port), *_ARGUMENTS]) as running:
        try:
            # Connecting anew, with growing pauses, until it listens.
            with httpx.Client(transport=httpx.HTTPTransport(retries=9)) as client:
                client.get(f"http://127.0.0.1:{port}/health").raise_for_status()
                client.delete(f"http://127.0.0.1:{port}/__admin/journal").raise_for_status()
            yield port
        finally:
            running.terminate()


if __name__ == "__main__":
    print(load(int(sys.argv[1])))
