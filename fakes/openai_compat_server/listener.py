"""The fake on a real address: a listener that serves, or one of the scenarios only it can play.

Its sockets are the system's own and not anyio's, which hide the queue of connections and the reset.
"""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

import anyio

from fakes.openai_compat_server.catalogue import Chosen, parse
from fakes.openai_compat_server.connection import Fake, serve_stream
from fakes.openai_compat_server.scenario import ORDINARY, Listening
from fakes.openai_compat_server.socket_wire import SocketWire

_LOG = logging.getLogger(__name__)
_BACKLOG: Final = 4096
# A queue of length 0 holds one connection; the second and the third make sure that it is full.
_FILLING: Final = 3
# What `accept` may raise without the listener being at an end: too many files open, mostly.
_ACCEPT_PAUSE_S: Final = 0.1


async def serve(
    host: str, port: int, fake: Fake, on_listening: Callable[[int], None] | None = None
) -> None:
    """Serve until cancelled. Port 0 takes a free one; `on_listening` is told which.

    Raises OSError when the address can not be had. Being cancelled cuts what is being sent.
    """
    scenario = fake.behaviour.scenario
    chosen = parse(scenario) if scenario else Chosen(ORDINARY, {})
    with _bound(await _address(host, port)) as bound:
        announce = partial(on_listening or _tell_nobody, bound.getsockname()[1])
        await _listen(bound, chosen, announce)
        await _accept(bound, fake)


async def _listen(bound: socket.socket, chosen: Chosen, announce: Callable[[], None]) -> None:
    """Listen, as the scenario would have it; returns when connections may be accepted."""
    listening = chosen.scenario.listening
    if listening is Listening.STALL:
        bound.listen(0)
        with _filled(bound):
            announce()
            await anyio.sleep(chosen.values["for"])
        bound.listen(_BACKLOG)
        return
    if listening is Listening.SERVE:
        bound.listen(_BACKLOG)
    announce()
    if listening is Listening.REFUSE:
        await anyio.sleep_forever()


def _tell_nobody(_: int) -> None:
    pass


async def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str | int, ...]]:
    """The first address of the host, IPv4 where it has one."""
    found = await anyio.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AddressInfo.AI_PASSIVE
    )
    family, *_, address = min(found, key=lambda info: info[0] is not socket.AF_INET)
    return family, address


@contextmanager
def _bound(
    at: tuple[socket.AddressFamily, tuple[str | int, ...]],
) -> Iterator[socket.socket]:
    family, address = at
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        yield bound


@contextmanager
def _filled(bound: socket.socket) -> Iterator[None]:
    """Fill the queue with connections of our own, which leave again."""
    ours = [socket.socket(bound.family, socket.SOCK_STREAM) for _ in range(_FILLING)]
    try:
        for one in ours:
            one.setblocking(False)
            one.connect_ex(bound.getsockname())
        yield
    finally:
        for one in ours:
            one.close()


async def _accept(bound: socket.socket, fake: Fake) -> None:
    async with anyio.create_task_group() as connections:
        while True:
            await anyio.wait_readable(bound)
            try:
                accepted, _ = bound.accept()
            except BlockingIOError:
                continue
            except OSError:
                _LOG.exception("a connection could not be accepted")
                await anyio.sleep(_ACCEPT_PAUSE_S)
                continue
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.start_soon(_serve_one, accepted, fake)


async def _serve_one(accepted: socket.socket, fake: Fake) -> None:
    try:
        await serve_stream(SocketWire(accepted), fake)
    except Exception:
        # One connection's fault, ours or the kernel's, must not take the others with it.
        _LOG.exception("a connection failed")
