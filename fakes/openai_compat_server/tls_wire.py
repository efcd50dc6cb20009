"""TLS over any wire: its handshake, right or as a scenario would have it, and what follows.

A half-closed or reset connection beneath stays one, so that every scenario can be played behind
TLS too.
"""

import ssl
from contextlib import suppress
from typing import Final

import anyio
from attrs import define, evolve, field

from fakes.openai_compat_server.control import Asked, Journal
from fakes.openai_compat_server.plan import Ending, Plan
from fakes.openai_compat_server.scenario import Handshake
from fakes.openai_compat_server.stage import Resettable, Wire
from fakes.openai_compat_server.tls import Tls, handshake_of

_RECEIVE_BYTES: Final = 64 * 1024
_NO_ANSWER: Final = Plan(0, (), Ending.CLOSE)


@define
class TlsWire:
    """One connection behind TLS, at the server's end."""

    carrier: Wire
    _context: ssl.SSLContext
    _incoming: ssl.MemoryBIO = field(init=False, factory=ssl.MemoryBIO)
    _outgoing: ssl.MemoryBIO = field(init=False, factory=ssl.MemoryBIO)
    _tls: ssl.SSLObject = field(init=False)
    # Records must reach the carrier in the order in which they were sealed.
    _flushing: anyio.Lock = field(init=False, factory=anyio.Lock)
    _ended: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def shake(self) -> None:
        """The handshake. Raises ssl.SSLError when it fails, and what the carrier raises."""
        try:
            while not self._shaken():
                await self._flush()
                await self._fill()
        finally:
            # Also what is wrong with the client's part of it.
            await self._flush()

    async def shake_half(self) -> None:
        """Begin it, and stop half-way through what the server says first."""
        while not self._shaken() and not self._outgoing.pending:
            await self._fill()
        said = self._outgoing.read()
        await self.carrier.send(said[: len(said) // 2])

    async def receive(self) -> bytes:
        while not self._ended:
            with suppress(ssl.SSLWantReadError):
                return self._read()
            await self._flush()
            await self._fill()
        # Nobody reads it any more; all that counts is whether the client is still there.
        return await self.carrier.receive()

    async def send(self, item: bytes, /) -> None:
        left = memoryview(item)
        try:
            while left:
                left = left[self._tls.write(left) :]
        except ssl.SSLError as fault:
            raise anyio.BrokenResourceError from fault
        await self._flush()

    async def send_eof(self) -> None:
        """Say in TLS that nothing more will come, and close the carrier's half."""
        self._ended = True
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        await self._flush()
        await self.carrier.send_eof()

    async def aclose(self) -> None:
        await self.carrier.aclose()

    def reset(self) -> None:
        """RST, where the carrier can; elsewhere closing it must do."""
        if isinstance(self.carrier, Resettable):
            self.carrier.reset()

    def _shaken(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _read(self) -> bytes:
        """What has arrived, unsealed. Raises SSLWantReadError where it is not enough."""
        try:
            data = self._tls.read(_RECEIVE_BYTES)
        except ssl.SSLWantReadError:
            raise
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            raise anyio.EndOfStream from None
        except ssl.SSLError as fault:
            raise anyio.BrokenResourceError from fault
        if not data:
            raise anyio.EndOfStream
        return data

    async def _fill(self) -> None:
        try:
            self._incoming.write(await self.carrier.receive())
        except anyio.EndOfStream:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        async with self._flushing:
            if self._outgoing.pending:
                await self.carrier.send(self._outgoing.read())


async def secured(
    wire: Wire, tls: Tls | None, scenario: str, journal: Journal, limit_s: float
) -> Wire | None:
    """The connection after its handshake, if it is to have one; None where it did not come about.

    The journal notes a handshake that failed, and each that a scenario had a part in, with what
    became of it: some clients shake hands first and look at the certificate then. `limit_s` is for
    the handshake.
    """
    handshake = handshake_of(scenario)
    if tls is None or handshake is Handshake.NOT_SPOKEN:
        return wire
    began = anyio.current_time()
    ours = TlsWire(wire, tls.context(handshake))
    fault = await _shaken(ours, handshake, limit_s)
    if fault or handshake is not Handshake.RIGHT:
        by = "" if handshake is Handshake.RIGHT else f" {handshake.value}"
        played = evolve(_NO_ANSWER, scenario=scenario.partition("?")[0] if by else "")
        entry = journal.begin(Asked(f"(TLS{by}: {fault or 'taken'})"), played, began)
        journal.end(entry, anyio.current_time())
    return None if fault else ours


async def _shaken(wire: TlsWire, handshake: Handshake, limit_s: float) -> str:
    """Shake hands, in the way asked for; why it did not come about, empty where it did."""
    try:
        if handshake is Handshake.SILENT:
            await _wait_left(wire.carrier)
            return "the client left"
        with anyio.move_on_after(limit_s):
            if handshake is Handshake.CUT:
                await wire.shake_half()
                return "closed"
            await wire.shake()
            return ""
    except (ssl.SSLEOFError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return "the client left"
    except ssl.SSLError as fault:
        return (fault.reason or "failed").replace("_", " ").lower()
    return f"over {limit_s:g} s"


async def _wait_left(wire: Wire) -> None:
    with suppress(anyio.EndOfStream):
        while True:
            await wire.receive()
