"""The model server of the benchmark: the fake's own bytes, carried by something that is never slow.

    python -m harness.bench.upstream PORT

The fake plans a response for each request, journals every byte and checks who left: at full speed
it would be measured in the gateways' place. So it is asked once, for one reply that satisfies the
gateway, plain and streamed, and these bytes are played to everybody: one write for each event, all
streams in turn. What is asked is looked at only for whether it wants a stream. Listens on loopback.

    GET /bench/pace?ms=50    from now on a streamed token each 50 ms; 0: all at once
    GET /bench/seen          {"open": streams under way, "closed": [when clients left early]}

Times are those of the monotonic clock, which all processes of a machine share.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

from attrs import define, field, frozen

from fakes.openai_compat_server import Behaviour, HttpRequest, Latency, plan_response

# No letter and no sign at which the gateway's guard would have to wait for more: a delta a token.
_SAID: Final = "the stack is a set of four small parts that pass each result on as it comes and "
ANSWER: Final = " ".join((_SAID * 12).split()[:200])
REPLY: Final = json.dumps(
    {"citations": [{"chunk_id": "c1"}], "answer": ANSWER}, separators=(",", ":")
)
# As long as a real prompt, so that the count of its tokens is believed.
_PROMPT: Final = "a passage of some length " * 400
_MODEL: Final = "bench"
_ANSWERS: Final = {"/v1/models": {"object": "list", "data": [{"id": _MODEL, "object": "model"}]}}


@frozen
class Played:
    """One response in pieces: what is sent at once, each token, and what follows the last.

    `opening` is how many tokens come before the answer's text: no pace holds them back, so that a
    gateway which waits for the citations waits for nothing of ours.
    """

    head: bytes
    tokens: tuple[bytes, ...] = ()
    end: tuple[bytes, ...] = ()
    opening: int = 0


def replies() -> tuple[Played, Played]:
    """The plain and the streamed response to everybody, as the fake plans them."""
    (plain,) = _planned(stream=False)
    head, role, *events = _planned(stream=True)
    *tokens, finish, usage, done = events
    opening = len(tokens) - len(ANSWER.split())
    return Played(plain), Played(head + role, tuple(tokens), (finish, usage, done), opening)


def _planned(*, stream: bool) -> Sequence[bytes]:
    said = [{"role": "system", "content": _PROMPT}, {"role": "user", "content": REPLY}]
    asked: dict[str, object] = {"model": _MODEL, "messages": said, "max_tokens": 4096}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    headers = (("content-type", "application/json"),)
    body = json.dumps(asked).encode()
    request = HttpRequest("POST", "/v1/chat/completions", "1.1", headers, body)
    behaviour = Behaviour(persona="echo", latency=Latency(ttft_s=0, itl_s=0))
    return [step.data for step in plan_response(behaviour, request).steps]


@define(eq=False)
class Upstream:
    """What all connections share."""

    plain: Played
    streamed: Played
    pace_s: float = 0.0
    open: int = 0
    closed: list[float] = field(factory=list)

    def control(self, target: str) -> dict[str, object]:
        """The benchmark's own requests, and what a gateway asks before it begins."""
        parts = urlsplit(target)
        if parts.path == "/bench/pace":
            self.pace_s = float(parse_qs(parts.query)["ms"][0]) / 1000
        elif parts.path != "/bench/seen":
            return dict(_ANSWERS.get(parts.path, {}))
        closed, self.closed = self.closed, []
        return {"open": self.open, "closed": closed}


class Connection(asyncio.Protocol):
    """One client: its requests, and the pieces that are due to it."""

    def __init__(self, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> None:
        self._upstream, self._loop = upstream, loop
        self._received = bytearray()
        self._due: asyncio.Handle | None = None  # while a stream is under way

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < _content_length(bytes(head)):
            return
        asks_for_stream = b'"stream":true' in body or b'"stream": true' in body
        target = head.split(b" ", 2)[1].decode()
        self._received.clear()
        if head.startswith(b"GET "):
            self._transport.write(_json(self._upstream.control(target)))
        elif asks_for_stream:
            self._begin()
        else:
            self._transport.write(self._upstream.plain.head)

    def _begin(self) -> None:
        self._upstream.open += 1
        self._transport.write(self._upstream.streamed.head)
        self._began, self._at, self._pace_s = self._loop.time(), 0, self._upstream.pace_s
        self._due = self._loop.call_soon(self._next)

    def _next(self) -> None:
        played = self._upstream.streamed
        self._transport.write(played.tokens[self._at])
        self._at += 1
        if self._at == len(played.tokens):
            self._over()
            self._transport.writelines(played.end)
        elif self._pace_s and self._at > played.opening:
            due = self._began + (self._at - played.opening) * self._pace_s
            self._due = self._loop.call_at(due, self._next)
        else:
            self._due = self._loop.call_soon(self._next)

    def _over(self) -> None:
        self._due = None
        self._upstream.open -= 1

    def connection_lost(self, _: Exception | None) -> None:
        if self._due is not None:
            self._due.cancel()
            self._over()
            self._upstream.closed.append(time.monotonic())


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


def _json(value: object) -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    upstream = Upstream(*replies())
    make = lambda: Connection(upstream, loop)  # noqa: E731 - a protocol's factory
    server = await loop.create_server(make, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
