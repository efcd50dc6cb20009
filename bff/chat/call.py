"""One question asked of the BFF over HTTP, and its answer, held to the contract as it arrives.

    async with asked(server, request) as events:      an async iterator of proved events
    body = await whole(server, request)               the plain answer's bytes, proved

Any failure is one of two: `Refused`, an error the BFF gave with a status of its own, and `Broken`,
an answer that ended, fell silent or broke the contract, or a server that is not there. Text that
came before `Broken` is no answer: it has to be withdrawn.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
import trio
from attrs import frozen

from contracts import sse
from contracts.chat import ChatRequest, ChatResponse, ErrorBody
from contracts.codec import decode, encode
from contracts.events import StreamEvent, from_frame
from contracts.limits import EVENT_BYTES, HEARTBEAT_MS, RESPONSE_BODY_BYTES
from contracts.order import State, StreamOrder
from contracts.reasons import ReasonCode
from contracts.strict_json import ContractViolation

SILENCE_S: Final = 3 * HEARTBEAT_MS / 1000  # three heartbeats missed: nobody is there
CONNECT_S: Final = 5.0
WHOLE_S: Final = 60.0  # a plain answer has no heartbeats
_OK: Final = 200


@frozen
class Server:
    """Where the BFF is, and the key that it takes."""

    client: httpx.AsyncClient
    url: str
    key: str


class Refused(Exception):
    """The call was not admitted: the BFF's own words."""

    def __init__(self, body: ErrorBody, retry_after: str | None) -> None:
        super().__init__(f"{body.error.code}: {body.error.message}")
        self.body = body
        self.retry_after = retry_after


class Broken(Exception):
    """There is no answer that could be believed."""

    def __init__(self, code: ReasonCode, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


@asynccontextmanager
async def asked(server: Server, request: ChatRequest) -> AsyncIterator[AsyncIterator[StreamEvent]]:
    """The answer's events, to and with `done`; leaving the block leaves the call."""
    url = f"{server.url}/chat?stream=true"
    sent = server.client.build_request(
        "POST", url, content=encode(request), headers=_headers(server), timeout=_limits(SILENCE_S)
    )
    response = await _sent(server, sent)
    try:
        await _admitted(response)
        yield _events(response, StreamOrder(request.options.citations_required))
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await response.aclose()


async def whole(server: Server, request: ChatRequest) -> bytes:
    """The plain answer, proved. Raises Refused, Broken."""
    url = f"{server.url}/chat"
    sent = server.client.build_request(
        "POST", url, content=encode(request), headers=_headers(server), timeout=_limits(WHOLE_S)
    )
    response = await _sent(server, sent)
    try:
        await _admitted(response)
        raw = await _read(response)
        decode(raw, ChatResponse)
    except ContractViolation as violation:
        raise Broken(ReasonCode.HOP_PROTOCOL_ERROR, str(violation)) from None
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await response.aclose()
    return raw


def _headers(server: Server) -> dict[str, str]:
    key = {"x-api-key": server.key} if server.key else {}
    return {"content-type": "application/json", **key}


def _limits(silence_s: float) -> httpx.Timeout:
    return httpx.Timeout(silence_s, connect=CONNECT_S)


async def _sent(server: Server, request: httpx.Request) -> httpx.Response:
    try:
        return await server.client.send(request, stream=True)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise Broken(ReasonCode.HOP_UNREACHABLE, f"nobody answers at {server.url}") from error
    except httpx.TimeoutException as error:
        raise Broken(ReasonCode.HOP_TIMEOUT, "no answer in time") from error
    except httpx.HTTPError as error:
        raise Broken(ReasonCode.HOP_DISCONNECTED, "the connection broke") from error


async def _admitted(response: httpx.Response) -> None:
    """Nothing where the answer is one; else the refusal, in the contract's form or not."""
    if response.status_code == _OK:
        return
    try:
        body = decode(await _read(response), ErrorBody)
    except ContractViolation:
        why = f"HTTP {response.status_code} without a reason"
        raise Broken(ReasonCode.HOP_PROTOCOL_ERROR, why) from None
    raise Refused(body, response.headers.get("retry-after"))


async def _read(response: httpx.Response) -> bytes:
    raw = bytearray()
    try:
        async for piece in response.aiter_bytes():
            raw += piece
            if len(raw) > RESPONSE_BODY_BYTES:
                raise Broken(ReasonCode.HOP_PROTOCOL_ERROR, "the answer is too long")
    except httpx.TimeoutException as error:
        raise Broken(ReasonCode.HOP_TIMEOUT, "the answer stopped arriving") from error
    except httpx.HTTPError as error:
        raise Broken(ReasonCode.HOP_DISCONNECTED, "the connection broke") from error
    return bytes(raw)


async def _events(response: httpx.Response, order: StreamOrder) -> AsyncIterator[StreamEvent]:
    decoder = sse.Decoder(EVENT_BYTES)
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        raise Broken(ReasonCode.HOP_PROTOCOL_ERROR, "the answer is no stream")
    try:
        async for piece in response.aiter_bytes():
            decoder.feed(piece)
            while (frame := decoder.next_frame()) is not None:
                event = from_frame(frame)
                order.advance(event)
                yield event
                if order.state is State.CLOSED:
                    return
    except (ContractViolation, sse.FrameTooLarge) as violation:
        raise Broken(ReasonCode.HOP_PROTOCOL_ERROR, str(violation)) from None
    except httpx.TimeoutException as error:
        raise Broken(ReasonCode.HOP_TIMEOUT, "the answer fell silent") from error
    except httpx.HTTPError as error:
        raise Broken(ReasonCode.HOP_DISCONNECTED, "the connection broke") from error
    raise Broken(ReasonCode.HOP_DISCONNECTED, "the answer ended without `done`")
