"""What memory can not show: real refusals, real TLS, and a kernel's resets.

The fake plays the model server; whom a client trusts is the fake's own authority.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from contracts.reasons import ReasonCode
from fakes.openai_compat_server import Behaviour, Fake, Latency, Rule, Script, Tls, serve
from fakes.openai_compat_server.catalogue import CATALOGUE
from hop.call import make_client
from hop.pool import make_transport
from llmgw.faults import GenerationFault
from llmgw.providers.openai_compat import OpenAICompat
from llmgw.providers.port import Content, ModelCall, PromptMessage
from llmgw.providers.upstream import Clocks

CALL = ModelCall("m", (PromptMessage("user", "Why?"),), 64, 0.2, stream=True, schema=None)
AT_ONCE = Latency(0.0, 0.0)
TLS = Tls()
# Short enough to wait for, and long enough for every handshake that comes about.
CLOCKS = Clocks(connect_s=0.5)


@asynccontextmanager
async def serving(fake: Fake) -> AsyncIterator[int]:
    """The fake's port."""

    async def listen(task_status: trio.TaskStatus[int]) -> None:
        await serve("127.0.0.1", 0, fake, task_status.started)

    async with trio.open_nursery() as nursery:
        yield await nursery.start(listen)
        nursery.cancel_scope.cancel()


def playing(scenario: str, tls: Tls | None = None, script: Script | None = None) -> Fake:
    return Fake(Behaviour(0, "echo", AT_ONCE, scenario=scenario, script=script), tls=tls)


def trusting_client() -> httpx.AsyncClient:
    return make_client(make_transport(trust=TLS.trust()))


async def said(provider: OpenAICompat) -> str:
    async with provider.open(CALL) as events:
        return "".join([event.text async for event in events if isinstance(event, Content)])


async def code_of(client: httpx.AsyncClient, base_url: str) -> ReasonCode:
    with pytest.raises(GenerationFault) as caught:
        await said(OpenAICompat(client, base_url, clocks=CLOCKS))
    return caught.value.code


@pytest.mark.parametrize("name", [row.name for row in CATALOGUE.values() if row.needs_tls])
async def test_a_handshake_ends_in_its_scenarios_code(name: str) -> None:
    async with trusting_client() as client, serving(playing(name, TLS)) as port:
        assert await code_of(client, f"https://127.0.0.1:{port}/v1") == CATALOGUE[name].ends.plain


async def test_an_answer_comes_over_tls_when_the_authority_is_trusted_and_the_host_is_right() -> (
    None
):
    async with serving(playing("", TLS)) as port:
        async with trusting_client() as client:
            for host in ("127.0.0.1", "localhost"):
                assert await said(OpenAICompat(client, f"https://{host}:{port}/v1")) == "Why?"
        async with make_client() as stranger:
            code = await code_of(stranger, f"https://127.0.0.1:{port}/v1")
    assert code is ReasonCode.PROVIDER_TLS_ERROR


async def test_a_refusal_is_not_taken_for_tls() -> None:
    async with make_client() as client, serving(playing("refused")) as port:
        code = await code_of(client, f"https://127.0.0.1:{port}/v1")
    assert code is ReasonCode.PROVIDER_UNREACHABLE


async def test_a_reset_behind_tls_is_a_lost_connection() -> None:
    async with trusting_client() as client, serving(playing("reset-mid-stream", TLS)) as port:
        code = await code_of(client, f"https://127.0.0.1:{port}/v1")
    assert code is ReasonCode.PROVIDER_DISCONNECTED


@pytest.mark.parametrize("tls", [None, TLS], ids=["plain", "tls"])
async def test_kept_connection_is_redone_when_the_server_hangs_up(tls: Tls | None) -> None:
    hangs_up_when_kept = Rule(("ok", "close-before-bytes", "ok", "close-before-bytes", "ok"))
    fake = playing("", tls, Script((hangs_up_when_kept,), strict=True))
    scheme = "https" if tls else "http"
    async with trusting_client() as client, serving(fake) as port:
        provider = OpenAICompat(client, f"{scheme}://127.0.0.1:{port}/v1")
        assert [await said(provider) for _ in range(3)] == ["Why?"] * 3
    assert fake.playing.unplayed == ()
    assert fake.playing.unmatched == ()
