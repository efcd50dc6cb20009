"""One program alone on a network in memory, and a next hop that plays scripted bytes.

    upstream = Upstream(play)                  counts what it was asked, and when it was left
    async with open_stage(settings, open_app, upstream=upstream) as stage:
        await stage.post(chat("…"))            the program is `http://hop`, its next hop `http://next`
        stage.ended()                          the closing log lines
        await stage.at_rest()                  nothing is held, anywhere

A play is what the next hop does with one request; `whole`, `sse` and `raw` write the usual ones.
"""

import io
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import ClassVar, Literal, TypeVar

import httpx
import trio
from attrs import define, field, frozen

from contracts import sse as wire
from contracts.chat import ChatRequest
from contracts.events import StreamEvent, from_frame
from contracts.limits import CHAT_BODY_BYTES, EVENT_BYTES
from harness.memory_stream import MemoryStream
from harness.net import MemoryListener, MemoryNetwork
from hop.app import Admit, Answer, Check, Route, answer_calls, make_app
from hop.call import make_client
from hop.lifetime import Drain, HopApp
from hop.log import make_log
from hop.metrics import Metrics
from hop.program import Program
from hop.run import OpenApp, serving_limits
from hop.serve import serve
from hop.settings import HopSettings, load

S = TypeVar("S", bound=HopSettings)
Play = Callable[[MemoryStream], Awaitable[None]]
End = Literal["eof", "reset", "hang"]
Step = bytes | float | End

SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


def chat(content: str = "Why?", **fields: object) -> bytes:
    """A chat request's body; `fields` are its further keys."""
    return json.dumps({"message": {"role": "user", "content": content}, **fields}).encode()


def raw(*steps: Step) -> Play:
    """Bytes to send, seconds to pause, or an end; without an end the connection is kept."""

    async def play(stream: MemoryStream) -> None:
        for step in steps:
            if isinstance(step, bytes):
                await stream.send_all(step)
            elif isinstance(step, float):
                await trio.sleep(step)
            elif step == "eof":
                await stream.aclose()
            elif step == "reset":
                stream.reset()
            else:
                await trio.sleep_forever()

    return play


def whole(status: int, body: object, *headers: str, media_type: str = "application/json") -> Play:
    """One answer with its length; a body that is not bytes is made JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-type: {media_type}", f"content-length: {len(data)}"]
    head = "\r\n".join([*lines, *headers, "", ""]).encode()
    return raw(head + data)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def sse(*steps: Step, last: bytes = LAST_CHUNK) -> Play:
    """A stream of events; each piece of bytes is a chunk of its own."""
    chunks = [chunk(step) if isinstance(step, bytes) else step for step in steps]
    return raw(SSE_HEAD, *chunks, last)


@frozen
class Asked:
    """One request as the next hop got it."""

    line: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@define(eq=False)
class Upstream:
    """A next hop: performs `play` for each request, and notes when the caller goes."""

    play: Play
    asked: list[Asked] = field(factory=list, init=False)
    left: list[float] = field(factory=list, init=False)

    async def serve(self, stream: MemoryStream) -> None:
        """Carry one connection to its end."""
        asks, asked = trio.open_memory_channel[None](100)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._perform, stream, asked)
            await self._listen(stream, asks)
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(stream)

    async def _listen(self, stream: MemoryStream, asks: trio.MemorySendChannel[None]) -> None:
        unread = b""
        with suppress(*_GONE):
            while data := await stream.receive_some():
                unread += data
                while (parsed := _request(unread)) is not None:
                    asked, unread = parsed
                    self.asked.append(asked)
                    await asks.send(None)
        if not stream.closed:
            self.left.append(trio.current_time())

    async def _perform(self, stream: MemoryStream, asked: trio.MemoryReceiveChannel[None]) -> None:
        async for _ in asked:
            with suppress(*_GONE):
                await self.play(stream)


def _request(data: bytes) -> tuple[Asked, bytes] | None:
    """The first whole request in the data, and what follows it."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        return None
    line, *pairs = head.decode().split("\r\n")
    headers = {k.lower(): v for k, _, v in (pair.partition(": ") for pair in pairs)}
    length = int(headers.get("content-length", "0"))
    if len(rest) < length:
        return None
    return Asked(line, headers, rest[:length], trio.current_time()), rest[length:]


@define(eq=False)
class Stage:
    """A running program and a client of it."""

    network: MemoryNetwork
    program: Program
    out: io.StringIO
    client: httpx.AsyncClient
    stop: trio.Event = field(factory=trio.Event, init=False)
    stopped: trio.Event = field(factory=trio.Event, init=False)

    async def post(
        self, body: bytes, path: str = "/chat", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """A call with a JSON body, and its whole answer."""
        head = {"content-type": "application/json", **(headers or {})}
        return await self.client.post(f"http://hop{path}", content=body, headers=head)

    async def events(
        self, body: bytes, headers: Mapping[str, str] | None = None
    ) -> list[StreamEvent]:
        """A streaming call's events, to its end."""
        response = await self.post(body, "/chat?stream=true", headers)
        assert response.status_code == 200, response.text
        return events_in(response.content)

    async def dial(self, data: bytes) -> MemoryStream:
        """A connection of bytes, for clients that misbehave."""
        stream = await self.network.connect("hop")
        await stream.send_all(data)
        return stream

    def lines(self) -> list[dict[str, object]]:
        """The log so far."""
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def ended(self) -> list[tuple[object, object, object]]:
        """Status, reason and phase in the closing line of each call."""
        return [
            (line["status"], line["reason_code"], line["phase"])
            for line in self.lines()
            if line["event"] == "call ended"
        ]

    def sample(self, name: str, **labels: str) -> float | None:
        """One figure of `/metrics`."""
        labels = {"service": self.program.settings.SERVICE, **labels}
        return self.program.metrics.registry.get_sample_value(name, labels)

    async def at_rest(self) -> None:
        """Give every task the time to notice, then hold nothing."""
        await trio.sleep(0.25)
        await self.client.aclose()
        await trio.sleep(0.25)
        assert [link.host for link in self.network.links if link.host == "hop"] == []
        assert self.program.drain.live == 0
        assert self.sample("bsl_in_flight_calls") == 0
        assert self.sample("bsl_open_upstream_streams") == 0


def events_in(stream: bytes) -> list[StreamEvent]:
    """The events of a whole stream, each held to the contract; nothing may be left over."""
    decoder = wire.Decoder(EVENT_BYTES)
    decoder.feed(stream)
    events = []
    while (frame := decoder.next_frame()) is not None:
        events.append(from_frame(frame))
    assert decoder.end() is None, "the stream ends with a whole event"
    return events


@asynccontextmanager
async def open_stage(
    kind: type[S],
    open_app: OpenApp[S],
    *,
    upstream: Upstream | None = None,
    environ: Mapping[str, str] | None = None,
) -> AsyncIterator[Stage]:
    """The program, running; without an upstream its next hop refuses."""
    settings, _ = load(kind, environ or {})
    out = io.StringIO()
    log = make_log(settings.SERVICE, "debug", out)
    program = Program(settings, log, Metrics(settings.SERVICE), Drain(), _seeded_hex())
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        network = MemoryNetwork(nursery)
        if upstream is not None:
            network.listen("next", upstream.serve)
        outgoing = await stack.enter_async_context(make_client(network.transport()))
        app = await stack.enter_async_context(open_app(program, settings, outgoing))
        client = await stack.enter_async_context(network.client(timeout=None))
        stage = Stage(network, program, out, client)
        run = partial(
            serve, drain=program.drain, limits=serving_limits(settings), stop=stage.stop.wait
        )

        async def serving(listener: MemoryListener) -> None:
            await run(app, [listener])
            stage.stopped.set()

        nursery.start_soon(serving, network.listener("hop"))
        yield stage
        nursery.cancel_scope.cancel()


def _seeded_hex() -> Callable[[int], str]:
    dice = random.Random(0)
    return lambda digits: f"{dice.getrandbits(4 * digits):0{digits}x}"


@frozen
class ProbeSettings(HopSettings):
    """The settings of a program that does nothing of its own."""

    SERVICE: ClassVar[str] = "probe"
    NESTED: ClassVar[tuple[tuple[str, str], ...]] = ()


def probe(
    answer: Answer[ChatRequest],
    *,
    own: Mapping[str, Check] | None = None,
    neighbours: Mapping[str, Check] | None = None,
    admit: Admit = lambda _: None,
) -> OpenApp[ProbeSettings]:
    """A program with nothing but `POST /chat`, answered by `answer`."""

    @asynccontextmanager
    async def open_app(
        program: Program, settings: ProbeSettings, client: httpx.AsyncClient
    ) -> AsyncIterator[HopApp]:
        app = make_app(
            program, body_bytes=CHAT_BODY_BYTES, own=own or {}, neighbours=neighbours or {}
        )
        route = Route("/chat", ChatRequest, CHAT_BODY_BYTES, frozenset({"stream"}))
        answer_calls(app, program, route, admit, answer)
        yield app

    return open_app
