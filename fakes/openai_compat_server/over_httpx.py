"""The fake under httpx, and so under any client that takes an httpx transport, without sockets.

The only module here that imports httpx or httpcore, which the extra `fake` does not pull;
nothing imports it before somebody asks for a transport. Refuses https: there is no TLS in memory.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import anyio
import anyio.lowlevel
import httpcore
import httpx
from attrs import define, frozen

from fakes.openai_compat_server.connection import Fake, serve_stream
from fakes.openai_compat_server.memory_wire import MemoryWire, memory_wire

# Nobody else holds on to asyncio's tasks, and one that nobody holds may vanish while it waits.
_TASKS: Final[set[asyncio.Task[None]]] = set()


def transport_to(fake: Fake) -> httpx.AsyncHTTPTransport:
    """What sends every request of an httpx client to `fake`, whatever its host and port.

    Its connections are served in the running event loop, on its clock. They end when the client
    is closed, or with the loop.
    """
    transport = httpx.AsyncHTTPTransport(verify=False, trust_env=False)
    # httpx has no argument for it. No expiry: httpcore would measure it with the real clock.
    transport._pool = httpcore.AsyncConnectionPool(
        max_connections=None, keepalive_expiry=None, network_backend=_Backend(fake)
    )
    return transport


@frozen(eq=False)
class _Backend(httpcore.AsyncNetworkBackend):
    _fake: Fake

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - httpcore's signature
        port: int,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,  # noqa: ARG002
        socket_options: object = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        await anyio.lowlevel.checkpoint()
        client, server = memory_wire()
        _start(serve_stream, server, self._fake)
        return _Stream(client)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


@define(eq=False)
class _Stream(httpcore.AsyncNetworkStream):
    """A wire as httpcore wants it. Limits are seconds; None is none."""

    _wire: MemoryWire

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _translated(httpcore.ReadTimeout, httpcore.ReadError), anyio.fail_after(timeout):
            try:
                return await self._wire.receive(max_bytes)
            except anyio.EndOfStream:
                return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _translated(httpcore.WriteTimeout, httpcore.WriteError), anyio.fail_after(timeout):
            await self._wire.send(buffer)

    async def aclose(self) -> None:
        await self._wire.aclose()

    async def start_tls(self, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        await self.aclose()
        raise httpcore.ConnectError("the fake speaks no TLS in memory: use http://")

    def get_extra_info(self, info: str) -> object:
        return self._wire.is_readable if info == "is_readable" else None


@contextmanager
def _translated(late: type[Exception], broken: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as fault:
        raise late from fault
    except (anyio.BrokenResourceError, anyio.ClosedResourceError) as fault:
        raise broken("the connection was reset") from fault


def _start(
    serve: Callable[[MemoryWire, Fake], Awaitable[None]], wire: MemoryWire, fake: Fake
) -> None:
    """Serve beside whatever runs, for as long as the event loop does.

    A client is opened in one task and closed in another, so no task group of ours could hold it.
    """
    trio = sys.modules.get("trio")  # whoever runs under trio has imported it
    if trio is not None and trio.lowlevel.in_trio_task():
        trio.lowlevel.spawn_system_task(serve, wire, fake)
    else:
        task = asyncio.ensure_future(serve(wire, fake))
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)
