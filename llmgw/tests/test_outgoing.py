"""The way to the model server: whom it trusts, through which proxy, and what refuses a start."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from contracts.reasons import ReasonCode
from fakes.openai_compat_server import Behaviour, Fake, Latency, Tls
from fakes.openai_compat_server.over_trio import serve_trio_stream
from harness.memory_stream import MemoryStream
from harness.net import MemoryNetwork
from harness.steps import CancelAfter
from hop.call import make_client
from hop.run import run
from hop.settings import SettingsError, load
from llmgw.app import open_app
from llmgw.config import GatewaySettings
from llmgw.faults import GenerationFault
from llmgw.outgoing import make_outgoing
from llmgw.providers.openai_compat import OpenAICompat
from llmgw.providers.port import Content, ModelCall, PromptMessage

CALL = ModelCall("m", (PromptMessage("user", "Why?"),), 64, 0.2, stream=True, schema=None)
TLS = Tls(("model", "proxy"))
USER = "http://ann:p%40ss@proxy:3128"
GAVE_UP = (trio.BrokenResourceError, trio.ClosedResourceError)
ANSWER = json.dumps(
    {"choices": [{"index": 0, "message": {"content": "forwarded"}, "finish_reason": "stop"}]}
).encode()


@define
class Proxy:
    """An HTTP proxy in memory. It lets CONNECT through, or refuses it with `status`."""

    network: MemoryNetwork
    status: bytes = b"200 OK"
    heads: list[bytes] = field(factory=list)

    async def serve(self, stream: MemoryStream) -> None:
        async with stream:
            with suppress(*GAVE_UP):
                head = b""
                while b"\r\n\r\n" not in head:
                    head += await stream.receive_some() or b"\r\n\r\n"
                self.heads.append(head)
                if head.startswith(b"CONNECT"):
                    await stream.send_all(b"HTTP/1.1 %b\r\n\r\n" % self.status)
                    await self._tunnel(stream)
                elif head.strip():
                    length = b"content-length: %d" % len(ANSWER)
                    await stream.send_all(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (length, ANSWER))

    async def _tunnel(self, stream: MemoryStream) -> None:
        beyond = await self.network.connect("model")
        async with beyond, trio.open_nursery() as nursery:

            async def copy(source: MemoryStream, sink: MemoryStream) -> None:
                with suppress(*GAVE_UP):
                    while data := await source.receive_some():
                        await sink.send_all(data)
                nursery.cancel_scope.cancel()

            nursery.start_soon(copy, stream, beyond)
            nursery.start_soon(copy, beyond, stream)


@define
class Rig:
    """A provider behind the settings of an environment, and who stands in its way."""

    network: MemoryNetwork
    proxy: Proxy
    provider: OpenAICompat

    async def said(self, call: ModelCall = CALL) -> str:
        async with self.provider.open(call) as events:
            return "".join([event.text async for event in events if isinstance(event, Content)])


@asynccontextmanager
async def rig(tmp_path: Path, **environ: str) -> AsyncIterator[Rig]:
    """The fake behind TLS as `model`; the proxy as `proxy`. What is left open is a failure."""
    authority = tmp_path / "ca.pem"
    authority.write_bytes(TLS.authority_pem)
    base = {"LLM_BASE_URL": "https://model/v1", "LLM_CA_FILE": str(authority)}
    settings, _ = load(GatewaySettings, {**base, **environ})
    fake = Fake(Behaviour(0, "echo", Latency(0.0, 0.0)), tls=TLS)
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(nursery)
        proxy = Proxy(network)
        network.listen("model", lambda stream: serve_trio_stream(stream, fake))
        network.listen("proxy", proxy.serve)
        transport = make_outgoing(settings, network)
        async with make_client(transport) as client:
            yield Rig(network, proxy, OpenAICompat(client, settings.base_url, settings.api_key))
            held = transport._pool.connections
            assert all(each.is_idle() or each.is_closed() for each in held), held
        await trio.testing.wait_all_tasks_blocked()
        assert [link.host for link in network.links if not link.client.closed] == []
        nursery.cancel_scope.cancel()


async def test_the_authorities_of_the_file_are_trusted(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with rig(tmp_path) as made:
        assert await made.said() == "Why?"
        assert made.proxy.heads == []


async def test_others_are_not_trusted(tmp_path: Path, autojump_clock: MockClock) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Tls(("model",)).authority_pem)
    async with rig(tmp_path, LLM_CA_FILE=str(other)) as made:
        with pytest.raises(GenerationFault) as caught:
            await made.said()
    assert caught.value.code is ReasonCode.PROVIDER_TLS_ERROR


async def test_https_goes_through_the_proxy_when_there_is_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with rig(tmp_path, LLM_PROXY=USER, LLM_API_KEY="sk-secret") as made:
        assert [await made.said(), await made.said()] == ["Why?", "Why?"]
    [head] = made.proxy.heads  # one tunnel, kept
    assert head.startswith(b"CONNECT model:443 HTTP/1.1\r\n")
    assert b64encode(b"ann:p@ss") in head
    assert b"sk-secret" not in head, "the key is the model server's"


async def test_http_is_asked_of_the_proxy_when_there_is_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    plain = ModelCall("m", CALL.messages, 64, 0.2, stream=False, schema=None)
    base = "http://model/v1"
    async with rig(tmp_path, LLM_PROXY="http://proxy:3128", LLM_BASE_URL=base) as made:
        assert await made.said(plain) == "forwarded"
    [head] = made.proxy.heads
    assert head.startswith(b"POST http://model/v1/chat/completions HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (b"407 Proxy Authentication Required", ReasonCode.PROVIDER_UNREACHABLE),
        (b"502 Bad Gateway", ReasonCode.PROVIDER_UNREACHABLE),
    ],
)
async def test_the_model_server_is_out_of_reach_when_the_proxy_refuses(
    status: bytes, code: ReasonCode, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with rig(tmp_path, LLM_PROXY=USER) as made:
        made.proxy.status = status
        with pytest.raises(GenerationFault) as caught:
            await made.said()
    assert caught.value.code is code
    assert "p@ss" not in str(caught.value)


async def test_a_handshake_that_fails_behind_the_proxy_is_tls(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(Tls(("model",)).authority_pem)
    async with rig(tmp_path, LLM_PROXY=USER, LLM_CA_FILE=str(other)) as made:
        with pytest.raises(GenerationFault) as caught:
            await made.said()
    assert caught.value.code is ReasonCode.PROVIDER_TLS_ERROR


@pytest.mark.parametrize("steps", range(0, 90, 2))
async def test_a_call_left_at_any_moment_behind_a_proxy_leaves_no_connection(
    steps: int, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with rig(tmp_path, LLM_PROXY=USER) as made:
        with trio.CancelScope() as scope:
            trio.lowlevel.add_instrument(CancelAfter(steps, scope))
            assert await made.said() == "Why?"
        assert await made.said() == "Why?"
        links = [link for link in made.network.links if not link.client.closed]
        assert len([link for link in links if link.host == "proxy"]) == 1


UNUSABLE = {
    "missing.pem": None,
    "empty.pem": b"",
    "text.pem": b"not a certificate\n",
    "broken.pem": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
}


@pytest.mark.parametrize("name", [*UNUSABLE, "."])
def test_a_file_without_authorities_refuses_the_start_and_names_its_variable(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = UNUSABLE.get(name)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    environ = {"LLM_CA_FILE": str(tmp_path / name)}
    assert run(GatewaySettings, open_app, environ, [], outgoing=make_outgoing) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("llmgw: LLM_CA_FILE=")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "value",
    ["proxy:3128", "socks5://proxy:1080", "http://", "http://proxy/path", "http://a:hunter2@p:x"],
)
def test_a_proxy_that_is_none_refuses_the_start_and_names_its_variable(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(GatewaySettings, {"LLM_PROXY": value})
    [line] = caught.value.lines
    assert line.startswith("LLM_PROXY=")
    assert "hunter2" not in line
