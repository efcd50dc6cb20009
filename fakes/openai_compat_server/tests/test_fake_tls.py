"""Goal: behind TLS the fake is what it is without, and a handshake fails only where it is meant to.

Method: a client's own TLS over streams in memory, on a virtual clock; certificates and files.
"""

import ssl
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from fakes.openai_compat_server import Behaviour, Fake, Latency, Tls, TlsUnavailable
from fakes.openai_compat_server.catalogue import CATALOGUE
from fakes.openai_compat_server.over_trio import serve_trio_stream
from fakes.openai_compat_server.scenario import Face, Handshake
from fakes.openai_compat_server.tests.fake_client import chat, dechunked, events, on_the_wire
from fakes.openai_compat_server.tls import LOOPBACK_NAMES, handshake_of, write_authority

HOST = "model.example"
TLS = Tls((HOST,))  # keys take a while, and nothing here changes it
STREAM = on_the_wire(chat("one two three", stream=True))
Secured = trio.SSLStream[trio.abc.Stream]
Clock = trio.testing.MockClock


def fake(scenario: str = "", tls: Tls = TLS) -> Fake:
    behaviour = Behaviour(persona="echo", latency=Latency(0.0, 0.0), scenario=scenario)
    return Fake(behaviour, tls=tls)


def dialled(nursery: trio.Nursery, server: Fake, trust: ssl.SSLContext) -> Secured:
    """A client of the fake, for HOST, before its handshake."""
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(serve_trio_stream, theirs, server)
    return trio.SSLStream(ours, trust, server_hostname=HOST, https_compatible=True)


async def reason(nursery: trio.Nursery, server: Fake, trust: ssl.SSLContext) -> str:
    """What the client has against the handshake; empty when it is content."""
    client = dialled(nursery, server, trust)
    try:
        await client.do_handshake()
        await trio.testing.wait_all_tasks_blocked()
    except trio.BrokenResourceError as fault:
        return str(fault.__cause__)
    finally:
        await trio.aclose_forcefully(client)
    return ""


def notes(server: Fake) -> list[str]:
    return [entry.request_line for entry in server.journal.entries]


async def test_an_answer_is_whole_and_the_connection_is_kept_behind_tls(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    server = fake()
    client = dialled(nursery, server, TLS.trust())
    for _ in range(2):
        await client.send_all(STREAM)
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += await client.receive_some()
        assert events(dechunked(received.partition(b"\r\n\r\n")[2]))[-1] == "[DONE]"
    assert notes(server) == ["POST /v1/chat/completions"] * 2
    await client.aclose()


async def test_the_end_is_said_in_tls_when_the_connection_closes(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    """A close that TLS does not announce could be anybody's who cuts the line."""
    client = dialled(nursery, fake("close-mid-stream?after=1"), TLS.trust())
    strict = trio.SSLStream(
        client.transport_stream, TLS.trust(), server_hostname=HOST, https_compatible=False
    )
    await strict.send_all(STREAM)
    received = b""
    while data := await strict.receive_some():
        received += data
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"[DONE]" not in received
    await strict.aclose()


@pytest.mark.parametrize(
    ("scenario", "named", "noted"),
    [
        ("tls-wrong-host", "Hostname mismatch", "(TLS wrong host: the client left)"),
        ("tls-unknown-authority", "issuer", "(TLS unknown authority: the client left)"),
        ("tls-expired", "certificate has expired", "(TLS expired: the client left)"),
        ("tls-cut-handshake", "EOF", "(TLS cut: closed)"),
        ("tls-not-spoken", "WRONG_VERSION_NUMBER", "(not HTTP)"),
    ],
)
async def test_a_handshake_fails_for_the_reason_its_scenario_names(
    scenario: str, named: str, noted: str, nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    trust = TLS.trust()
    assert await reason(nursery, fake(), trust) == ""
    server = fake(scenario)
    assert named in await reason(nursery, server, trust)
    await trio.testing.wait_all_tasks_blocked()
    (note,) = notes(server)
    assert note == noted


async def test_a_wrong_host_is_all_that_is_wrong_when_the_host_does_not_count(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    careless = TLS.trust()
    careless.check_hostname = False
    server = fake("tls-wrong-host")
    assert await reason(nursery, server, careless) == ""
    assert notes(server) == ["(TLS wrong host: taken)"]
    assert "issuer" in await reason(nursery, fake("tls-unknown-authority"), careless)


async def test_a_handshake_is_never_answered_when_that_is_the_scenario(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    server = fake("tls-silent-handshake")
    with trio.move_on_after(3600) as waiting:
        await reason(nursery, server, TLS.trust())
    assert waiting.cancelled_caught
    await trio.testing.wait_all_tasks_blocked()
    assert notes(server) == ["(TLS silent: the client left)"]


async def test_plain_http_is_no_handshake_and_one_that_stalls_is_given_up(
    nursery: trio.Nursery, autojump_clock: Clock
) -> None:
    server = fake()
    for said in (STREAM, b"\x16\x03\x01", b""):
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(serve_trio_stream, theirs, server)
        if said:
            await ours.send_all(said)
        while await ours.receive_some():
            pass
        await ours.aclose()
    assert notes(server) == ["(TLS: http request)", *["(TLS: over 10 s)"] * 2]


def test_a_scenario_of_tls_is_a_listeners_and_needs_tls() -> None:
    named = [row for row in CATALOGUE.values() if row.name.startswith("tls-")]
    assert {row.handshake for row in named} == set(Handshake) - {Handshake.RIGHT}
    for row in named:
        assert row.face is Face.LISTENER
        with pytest.raises(ValueError, match="needs TLS"):
            Fake(Behaviour(scenario=row.name))
    assert handshake_of("") is handshake_of("stall?after=3") is Handshake.RIGHT


def test_the_authority_is_written_and_no_file_of_another_is_overwritten(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ca.pem", tmp_path / "bundle.pem"
    for _ in range(2):
        write_authority(ours, TLS)
        trusting = ssl.create_default_context(cafile=ours)
        assert trusting.get_ca_certs() == TLS.trust().get_ca_certs()
    theirs.write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(FileExistsError, match=r"bundle\.pem is there already"):
        write_authority(theirs, TLS)
    assert theirs.read_text() == "-----BEGIN CERTIFICATE-----\n"


def test_a_certificate_is_for_the_hosts_named() -> None:
    assert Tls().names == LOOPBACK_NAMES
    with pytest.raises(ValueError, match="my_host"):
        Tls(("my_host",))


def test_what_to_install_is_said_when_certificates_can_not_be_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(TlsUnavailable, match=r"pip install '\.\[fake,tls\]'"):
        Tls()
