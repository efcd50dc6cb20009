"""What stands between two programs and fails as the network does: a relay of this very process.

    async with open_relay(port, to, what) as relay:      `what` of `harness.hop_faults`, or None
        relay.vanish()                                   every connection there is, is half-open now
    async with open_relays(stack, ports, {"qs": what}) as relays:    one before each of `ASKS`

A peer that vanished sends neither FIN nor RST, and nobody reads what is sent to it. Truly so (a
cable pulled, a network namespace whose link went down) the sender's kernel repeats what nobody
acknowledges; behind `vanish` it has it acknowledged until the relay's small buffer is full. A
program cannot tell the two apart before the kernel itself gives up, after a quarter of an hour of
repeating, and every limit of CONTRACT is far under that. So this shows the same thing, and it does
so for anybody, in any container, without a privilege.
"""

import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Final

import trio
from attrs import define, field, frozen

from fakes.openai_compat_server.socket_wire import RESET_ON_CLOSE
from harness.hop_faults import Breaking, Broken, Impostor, Lost, Refused
from harness.memory_stream import End
from harness.stack import Stack

_PIECE_BYTES: Final = 4 * 1024
_BUFFER_BYTES: Final = 8 * 1024  # so that whoever is not read is soon felt not to be
_BACKLOG: Final = 128
# A queue of length 0 holds one connection; the others make sure that it is full.
_FILLING: Final = 3
_LINGER_S: Final = 1.0
# Whom each of these is asked by: the setting of its address, and the path in it.
ASKS: Final[Mapping[str, tuple[str, str]]] = {
    "qs": ("BFF_QS_URL", ""),
    "llmgw": ("QS_LLM_URL", ""),
    "fake": ("LLM_BASE_URL", "/v1"),
}
Relays = Mapping[str, int]
_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
Fault = Refused | Lost | Impostor | Broken | None


@frozen
class SocketEnd:
    """A connection's end, which can be reset."""

    stream: trio.SocketStream

    async def receive_some(self) -> bytes | bytearray:
        return await self.stream.receive_some(_PIECE_BYTES)

    async def send_all(self, data: bytes) -> None:
        await self.stream.send_all(data)

    def reset(self) -> None:
        """RST: what is under way is lost, in both directions."""
        with suppress(OSError):
            self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.stream.socket.close()

    async def aclose(self) -> None:
        """FIN, after what was sent: what the peer still sends must not make a reset of it."""
        with suppress(*_GONE), trio.move_on_after(_LINGER_S):
            await self.stream.send_eof()
            while await self.stream.receive_some(_PIECE_BYTES):
                pass
        await trio.aclose_forcefully(self.stream)


@define(eq=False)
class Relay:
    """Between `port` and the program that listens at `to`."""

    port: int
    to: int
    what: Fault = None
    befell: int = 0  # connections that the fault was performed on
    _joined: int = field(default=0, init=False)
    _vanished: int = field(default=0, init=False)  # so many of them, the first ones
    _back: trio.Event = field(factory=trio.Event, init=False)  # never set: nobody comes back

    def vanish(self) -> None:
        """Not a byte passes from here on, either way, and no end. Later connections are well."""
        self._vanished = self._joined

    async def carry(self, near: trio.SocketStream) -> None:
        """One connection, from its being dialled to its end."""
        if isinstance(self.what, Impostor):
            self.befell += 1
            await self.what.take(SocketEnd(near))
            return
        dialled = trio.socket.socket()
        dialled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        try:
            await dialled.connect(("127.0.0.1", self.to))
        except OSError:
            dialled.close()
            SocketEnd(near).reset()
            return
        await self._join(near, trio.SocketStream(dialled))

    async def _join(self, near: trio.SocketStream, far: trio.SocketStream) -> None:
        self._joined += 1
        number, ends = self._joined, (SocketEnd(near), SocketEnd(far))
        severed: list[End] = []
        breaking = Breaking(self.what, severed.append) if isinstance(self.what, Broken) else None
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self._pump, number, ends[0], ends[1])
            if breaking is None:
                nursery.start_soon(self._pump, number, ends[1], ends[0])
            else:
                await self._pump_until_broken(ends[1], ends[0], breaking, severed)

    async def _pump(self, number: int, source: SocketEnd, sink: SocketEnd) -> None:
        """One direction; a reset on one side is one on both."""
        try:
            while data := await source.receive_some():
                await self._here(number)
                await sink.send_all(bytes(data))
            await self._here(number)
            await sink.stream.send_eof()
        except _GONE:
            await self._here(number)
            sink.reset()
            source.reset()

    async def _pump_until_broken(
        self, source: SocketEnd, sink: SocketEnd, breaking: Breaking, severed: Sequence[End]
    ) -> None:
        with suppress(*_GONE):
            while data := await source.receive_some():
                await sink.send_all(breaking.pass_on(bytes(data)))
                if breaking.done and not self.befell:
                    self.befell += 1
                if severed:
                    break
        if "reset" in severed:
            sink.reset()
        elif severed or not breaking.done:
            with suppress(*_GONE):
                await sink.stream.send_eof()
        if severed:
            source.reset()
        else:
            await self._back.wait()

    async def _here(self, number: int) -> None:
        """Returns where this connection has not vanished; else never."""
        if number <= self._vanished:
            await self._back.wait()


@contextmanager
def _filled(bound: socket.socket) -> Iterator[None]:
    """A queue of connections that is full, and that nobody takes any from."""
    bound.listen(0)
    with ExitStack() as ours:
        for _ in range(_FILLING):
            one = ours.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(bound.getsockname())
        yield


@asynccontextmanager
async def open_relay(port: int, to: int, what: Fault = None) -> AsyncIterator[Relay]:
    """A relay that is there until it is left; then its connections end."""
    relay = Relay(port, to, what)
    with socket.socket() as bound, ExitStack() as held:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)  # what it accepts too
        bound.bind(("127.0.0.1", port))
        async with trio.open_nursery() as nursery:
            if isinstance(what, Lost):
                held.enter_context(_filled(bound))
            elif not isinstance(what, Refused):
                bound.listen(_BACKLOG)
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(bound))
                nursery.start_soon(trio.serve_listeners, relay.carry, [listener])
            yield relay
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_relays(
    stack: Stack, ports: Relays, what: Mapping[str, Fault] | None = None
) -> AsyncIterator[Mapping[str, Relay]]:
    """The relays of a chain that has them; `what` befalls connections, by who is asked."""
    async with AsyncExitStack() as opened:
        yield {
            host: await opened.enter_async_context(
                open_relay(port, stack[host].port, (what or {}).get(host))
            )
            for host, port in ports.items()
        }
