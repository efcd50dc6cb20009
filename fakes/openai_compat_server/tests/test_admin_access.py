"""Goal: the admin face is for this machine's programs: no other machine's, and no web page's.

Method: the rules as tables; then peers and requests made up, in memory on a virtual clock. Real
sockets are `test_fake_admin_sockets`'s.
"""

import json
import socket

import anyio
import pytest
import trio
import trio.testing
from anyio.streams.stapled import StapledObjectStream
from attrs import frozen

from fakes.openai_compat_server import Behaviour, Fake, HttpRequest, Latency
from fakes.openai_compat_server.admin_access import is_loopback, why_forbidden
from fakes.openai_compat_server.connection import serve_stream
from fakes.openai_compat_server.over_trio import serve_trio_stream
from fakes.openai_compat_server.peer import THIS_MACHINE, is_local, socket_peer

JOURNAL = "/__admin/journal"
HERE = (
    "localhost",
    "LocalHost:8020",
    "127.0.0.1",
    "127.0.0.1:8020",
    "127.8.9.1:1",
    "[::1]",
    "[::1]:8020",
    "[::ffff:127.0.0.1]:80",
)
ELSEWHERE = (
    "",
    "x",
    "rebound.example",
    "localhost.rebound.example:8020",
    "localhost.",
    "127.0.0.1.rebound.example",
    "0.0.0.0:8020",
    "[::]:8020",
    "192.0.2.1:8020",
    "[::ffff:192.0.2.1]",
    "[fe80::1%lo]",
    "2130706433",
    "127.1",
    "localhost:8020:1",
    "localhost:port",
    "user@localhost",
    "localhost/",
    "localhost, localhost",
    "[localhost",
    "::1:8020",
)


def asked(host: str, *origins: str) -> HttpRequest:
    headers = (("host", host), *(("origin", origin) for origin in origins))
    return HttpRequest("GET", JOURNAL, "1.1", headers, b"")


@pytest.mark.parametrize("host", HERE)
def test_a_request_to_this_machine_is_allowed(host: str) -> None:
    assert why_forbidden(asked(host)) == ""
    assert why_forbidden(asked(host, f"http://{host}")) == ""
    assert why_forbidden(asked(host, f"https://{host}")) == ""


@pytest.mark.parametrize("host", ELSEWHERE)
def test_a_request_under_another_name_is_forbidden(host: str) -> None:
    assert "Host" in why_forbidden(asked(host))
    assert "Origin" in why_forbidden(asked("localhost", f"http://{host}"))


@pytest.mark.parametrize(
    "origins",
    [
        ("null",),
        ("",),
        ("localhost",),
        ("file://",),
        ("ftp://localhost",),
        ("https://shop.example",),
        ("http://localhost", "https://shop.example"),
        ("http://localhost https://shop.example",),
    ],
)
def test_a_page_of_another_site_is_forbidden(origins: tuple[str, ...]) -> None:
    assert "Origin" in why_forbidden(asked("localhost:8020", *origins))


def test_a_request_without_a_host_is_forbidden() -> None:
    assert why_forbidden(HttpRequest("GET", JOURNAL, "1.0", (), b""))


@pytest.mark.parametrize("host", ["::ffff:127.0.0.1", "::1", "127.0.0.2", "localhost"])
def test_an_address_of_loopback_is_known_in_each_of_its_forms(host: str) -> None:
    assert is_loopback(host)


@frozen
class Connected:
    """A socket as far as anybody asks who is at its other end."""

    family: int
    address: object

    def getpeername(self) -> object:
        if isinstance(self.address, OSError):
            raise self.address
        return self.address


@pytest.mark.parametrize(
    ("family", "address", "host"),
    [
        (socket.AF_INET, ("127.0.0.1", 50_000), "127.0.0.1"),
        (socket.AF_INET, ("192.0.2.1", 50_000), "192.0.2.1"),
        (socket.AF_INET6, ("::1", 50_000, 0, 0), "::1"),
        (socket.AF_UNIX, "", THIS_MACHINE),
        (socket.AF_UNIX, b"\0abstract", THIS_MACHINE),
        (socket.AF_INET, OSError("not connected"), ""),
        (socket.AF_UNIX, OSError("not connected"), ""),
        (40, (2, 50_000), ""),  # of a virtual machine's host
    ],
)
def test_the_peer_of_a_socket_is_its_other_end(family: int, address: object, host: str) -> None:
    assert socket_peer(Connected(family, address)) == host


@frozen
class FromAfar:
    """A connection in memory that came from another machine, as far as it knows."""

    stream: anyio.abc.ObjectStream[bytes]
    peer: str

    async def receive(self) -> bytes:
        return await self.stream.receive()

    async def send(self, item: bytes, /) -> None:
        await self.stream.send(item)

    async def send_eof(self) -> None:
        await self.stream.send_eof()

    async def aclose(self) -> None:
        await self.stream.aclose()


@frozen
class OfUnknownKind:
    """A connection that says nothing of its peer."""

    async def receive(self) -> bytes:
        raise anyio.EndOfStream

    async def send(self, item: bytes, /) -> None: ...

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


def pair() -> tuple[anyio.abc.ObjectStream[bytes], anyio.abc.ObjectStream[bytes]]:
    to_server, at_server = anyio.create_memory_object_stream[bytes](100)
    to_client, at_client = anyio.create_memory_object_stream[bytes](100)
    ours = StapledObjectStream(to_server, at_client)
    return ours, StapledObjectStream(to_client, at_server)


async def test_a_connection_in_memory_is_local_and_one_of_unknown_kind_is_not() -> None:
    ours, theirs = pair()
    async with ours, theirs:
        assert is_local(theirs)
        assert not is_local(OfUnknownKind())


async def told(fake: Fake, peer: str, request: bytes) -> bytes:
    """The whole of what the fake sends to a client at `peer`, who then leaves."""
    ours, theirs = pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_stream, FromAfar(theirs, peer), fake)
        await ours.send(request)
        received = await ours.receive()
        await ours.aclose()
    return received


@pytest.mark.parametrize(
    ("peer", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("192.0.2.1", 404), ("", 404)],
)
async def test_only_a_client_of_this_machine_is_answered(
    peer: str, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    fake = Fake(Behaviour(latency=Latency(0, 0)), admin=True)
    request = f"GET {JOURNAL} HTTP/1.1\r\nhost: localhost\r\nx-fake-session: a\r\n\r\n".encode()
    received = await told(fake, peer, request)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    # To anybody else it is a path like any other, and the session a header like any other.
    assert [entry.session for entry in fake.journal.entries] == [""] * (status == 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", JOURNAL), ("PUT", "/__admin/script"), ("OPTIONS", JOURNAL), ("GET", "/__admin/x")],
)
@pytest.mark.parametrize(
    "headers", ["host: rebound.example:8020", "host: localhost\r\norigin: https://shop.example"]
)
async def test_a_page_gets_403_and_changes_nothing(
    method: str, path: str, headers: str, autojump_clock: trio.testing.MockClock
) -> None:
    fake = Fake(Behaviour(latency=Latency(0, 0)), admin=True)
    client, server = trio.testing.memory_stream_pair()
    script = b"[[rule]]\nplay = ['status-500']"
    head = f"{method} {path} HTTP/1.1\r\n{headers}\r\ncontent-length: {len(script)}\r\n\r\n"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_trio_stream, server, fake)
        await client.send_all(head.encode() + script)
        received = bytes(await client.receive_some())
        await client.aclose()
    answered, _, body = received.partition(b"\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 403 Forbidden")
    assert "admin face" in json.loads(body)["error"]["message"]
    assert not fake.playing.has_a_say
    assert not fake.journal.entries


async def test_a_page_may_still_use_the_api_itself(
    autojump_clock: trio.testing.MockClock,
) -> None:
    fake = Fake(admin=True)
    headers = "host: rebound.example\r\norigin: https://shop.example"
    received = await told(fake, "127.0.0.1", f"GET /health HTTP/1.1\r\n{headers}\r\n\r\n".encode())
    assert received.startswith(b"HTTP/1.1 200 ")
