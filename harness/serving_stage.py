"""A stage for the tests of serving: an app that notes what befalls its requests, in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

import attrs
import trio
import trio.lowlevel
import trio.testing
from quart import Response, request
from quart.typing import ResponseReturnValue
from quart.wrappers.response import ResponseBody

from harness.memory_stream import MemoryStream
from harness.net import MemoryNetwork
from hop.serve import Drain, HopApp, Limits, current_request, serve

Clock = trio.testing.MockClock
BODY_BYTES = 64 * 1024
HOST = b"host: hop\r\n"
ROUTES = {"plain": "/plain?s=100", "stream": "/stream?n=100&gap=1"}


def get(path: str, headers: bytes = b"") -> bytes:
    return f"GET {path} HTTP/1.1\r\n".encode() + HOST + headers + b"\r\n"


def post(path: str, body: bytes, *, announced: int | None = None) -> bytes:
    length = len(body) if announced is None else announced
    head = f"POST {path} HTTP/1.1\r\ncontent-length: {length}\r\n".encode()
    return head + HOST + b"\r\n" + body


class Events(ResponseBody):
    """A streamed body out of a channel."""

    def __init__(self, receive: trio.MemoryReceiveChannel[bytes]) -> None:
        self._receive = receive

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None


@attrs.define(eq=False)
class Stage:
    """An app that notes what befalls its requests, served in memory until `stop` is set."""

    network: MemoryNetwork
    limits: Limits
    drain: Drain = attrs.field(factory=Drain, init=False)
    stop: trio.Event = attrs.field(factory=trio.Event, init=False)
    started: float = attrs.field(factory=trio.current_time, init=False)
    gone: trio.Event = attrs.field(factory=trio.Event, init=False)  # `serve` has returned
    held: int = attrs.field(default=0, init=False)
    taken: int = attrs.field(default=0, init=False)
    ends: list[tuple[str, float]] = attrs.field(factory=list, init=False)
    errors: list[BaseException] = attrs.field(factory=list, init=False)
    app: HopApp = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.app = HopApp("hop", on_error=self.errors.append, max_body_bytes=BODY_BYTES)
        for path, handler in {
            "/ok": self.ok,
            "/plain": self.plain,
            "/stream": self.stream,
            "/big": self.big,
            "/boom": self.boom,
            "/untidy": self.untidy,
            "/deaf": self.deaf,
        }.items():
            self.app.add_url_rule(path, view_func=handler)
        self.app.add_url_rule("/echo", view_func=self.echo, methods=["POST"])
        self.app.add_url_rule("/early", view_func=self.early, methods=["POST"])
        self.network.nursery.start_soon(self.run, self.network.listener("hop"))

    async def run(self, listener: trio.abc.Listener[trio.abc.HalfCloseableStream]) -> None:
        run = partial(serve, drain=self.drain, limits=self.limits, stop=self.stop.wait)
        await run(self.app, [listener])
        self.gone.set()

    def now(self) -> float:
        return round(trio.current_time() - self.started, 6)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        self.held += 1
        self.taken += 1
        asked = current_request()
        try:
            yield
        except BaseException:  # Cancelled, or a nursery's group of it
            stalled, left = asked.peer.stalled, asked.peer.left
            self.ends.append(("stalled" if stalled else "left" if left else "cut", self.now()))
            raise
        else:
            self.ends.append(("done", self.now()))
        finally:
            self.held -= 1

    async def ok(self) -> ResponseReturnValue:
        return ({"ok": False}, 503) if self.drain.draining else ({"ok": True}, 200)

    async def plain(self) -> ResponseReturnValue:
        await current_request().lifetime.enter_async_context(self.slot())
        with self.drain.work() as work:
            await trio.sleep(float(request.args["s"]))
        return ({"drained": True}, 503) if work.cancelled_caught else {"ok": True}

    async def stream(self) -> ResponseReturnValue:
        count, gap = int(request.args["n"]), float(request.args["gap"])
        size = int(request.args.get("size", 1))
        await current_request().lifetime.enter_async_context(self.slot())

        async def tell(send: trio.MemorySendChannel[bytes]) -> None:
            async with send:
                with self.drain.work() as work:
                    for _ in range(count):
                        await trio.sleep(gap)
                        await send.send(b"." * size)
                await send.send(b"error done" if work.cancelled_caught else b"done")

        events = await current_request().lifetime.enter_async_context(produced(tell))
        return Response(Events(events), content_type="text/event-stream")

    async def big(self) -> ResponseReturnValue:
        await current_request().lifetime.enter_async_context(self.slot())
        return Response(b"x" * 1_000_000)

    async def boom(self) -> ResponseReturnValue:
        raise ZeroDivisionError("boom")

    async def untidy(self) -> ResponseReturnValue:
        @asynccontextmanager
        async def broken() -> AsyncIterator[None]:
            yield
            await trio.sleep(0.5)
            raise ZeroDivisionError("untidy")

        await current_request().lifetime.enter_async_context(broken())
        return {"ok": True}

    async def deaf(self) -> ResponseReturnValue:
        """A handler outside the drain, with a bounded cleanup it insists on."""
        await current_request().lifetime.enter_async_context(self.slot())
        try:
            await trio.sleep(100)
        finally:
            with trio.move_on_after(0.25, shield=True):
                await trio.sleep_forever()
        return {"ok": True}

    async def echo(self) -> ResponseReturnValue:
        await current_request().lifetime.enter_async_context(self.slot())
        return {"bytes": len(await current_request().get_data())}

    async def early(self) -> ResponseReturnValue:
        return {"early": True}, 409

    async def dial(self, data: bytes = b"") -> MemoryStream:
        stream = await self.network.connect("hop")
        await stream.send_all(data)
        return stream


@asynccontextmanager
async def produced(
    tell: Callable[[trio.MemorySendChannel[bytes]], Awaitable[None]],
) -> AsyncIterator[trio.MemoryReceiveChannel[bytes]]:
    send, receive = trio.open_memory_channel[bytes](4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, send)
        try:
            yield receive
        finally:
            nursery.cancel_scope.cancel()


async def read_all(stream: MemoryStream) -> bytes:
    data = b""
    while more := await stream.receive_some():
        data += more
    return data


async def read_until(stream: MemoryStream, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        more = await stream.receive_some()
        assert more, f"the stream ended without {mark!r}: {data!r}"
        data += more
    return data


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


async def assert_still_serving(stage: Stage) -> None:
    stream = await stage.dial(get("/ok", b"connection: close\r\n"))
    assert status(await read_all(stream)) == 200
    await stream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert stage.held == 0
    assert stage.network.links == []
