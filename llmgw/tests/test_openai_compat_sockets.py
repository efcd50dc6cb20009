"""What memory can not show: real refusals, real TLS, and a kernel's resets."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from contracts.reasons import ReasonCode
from hop.call import make_client
from llmgw.faults import GenerationFault
from llmgw.providers.openai_compat import OpenAICompat
from llmgw.providers.port import Content, ModelCall, PromptMessage

CALL = ModelCall("m", (PromptMessage("user", "Why?"),), 64, 0.2, stream=True, schema=None)
BODY = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(
    BODY
)


async def answer_once(stream: trio.SocketStream) -> None:
    """Answers one request, and hangs up on the second without a word."""
    await stream.receive_some()
    await stream.send_all(HEAD + BODY)
    await stream.receive_some()


async def speak_no_tls(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@asynccontextmanager
async def serving(handler: Callable[[trio.SocketStream], Awaitable[object]]) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def code_of(client: httpx.AsyncClient, base_url: str) -> ReasonCode:
    with pytest.raises(GenerationFault) as caught:
        async with OpenAICompat(client, base_url).open(CALL):
            pass
    return caught.value.code


async def test_refusal_and_tls_are_told_apart_when_connecting_fails() -> None:
    async with make_client() as client:
        async with serving(speak_no_tls) as port:
            tls = await code_of(client, f"https://127.0.0.1:{port}/v1")
        gone = await code_of(client, f"https://127.0.0.1:{port}/v1")
    assert tls is ReasonCode.PROVIDER_TLS_ERROR
    assert gone is ReasonCode.PROVIDER_UNREACHABLE


async def test_fault_is_tls_when_the_handshake_fails() -> None:
    async with make_client() as client, serving(_handshake) as port:
        code = await code_of(client, f"https://127.0.0.1:{port}/v1")
    assert code is ReasonCode.PROVIDER_TLS_ERROR


async def _handshake(stream: trio.SocketStream) -> None:
    """A TLS server without a certificate: no handshake with it can succeed."""
    tls = trio.SSLStream(stream, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), server_side=True)
    with pytest.raises(trio.BrokenResourceError):
        await tls.do_handshake()


async def test_kept_connection_is_redone_when_the_server_hangs_up() -> None:
    async with make_client() as client, serving(answer_once) as port:
        provider = OpenAICompat(client, f"http://127.0.0.1:{port}/v1")
        for _ in range(3):
            async with provider.open(CALL) as events:
                assert [event async for event in events] == [Content("a")]
