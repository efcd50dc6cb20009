"""Who is at the other end of a connection: this machine alone, or anybody.

A connection in memory has no other end outside this process. Refuses to guess: a connection of an
unknown kind, or whose peer is gone, is anybody's.
"""

import socket
from typing import Final, Protocol, runtime_checkable

from anyio import TypedAttributeProvider
from anyio.abc import SocketAttribute

from fakes.openai_compat_server.admin_access import is_loopback
from fakes.openai_compat_server.stage import Wire

THIS_MACHINE: Final = "localhost"
_UNKNOWN: Final = ""


@runtime_checkable
class Peered(Protocol):
    """A connection that knows its peer: the host, empty where that can not be said."""

    @property
    def peer(self) -> str: ...


class Socket(Protocol):
    """What is asked of a connected socket, whosever it is."""

    @property
    def family(self) -> int: ...

    def getpeername(self) -> object: ...


def is_local(wire: Wire) -> bool:
    """Whether the peer is this machine."""
    if isinstance(wire, Peered):
        return is_loopback(wire.peer)
    if isinstance(wire, TypedAttributeProvider):
        # anyio's streams: a socket, however deep beneath TLS, is among their attributes.
        beneath = wire.extra(SocketAttribute.raw_socket, None)  # noqa: S610  (anyio's, not Django's)
        return beneath is None or is_loopback(socket_peer(beneath))
    return False


def socket_peer(connected: Socket) -> str:
    """The host at the other end; a socket of the file system is this machine's."""
    try:
        address = connected.getpeername()
    except OSError:
        return _UNKNOWN
    match address:
        case (str(host), *_):
            return host
    return THIS_MACHINE if connected.family == socket.AF_UNIX else _UNKNOWN
