"""A client that knows only public HTTP: it asks as a plan's call says, reads, stalls or leaves.

It drives the chain in memory and the chain as processes alike: all it needs is an httpx client and
the address of the BFF.
"""

import json
import re

import httpx
import trio
from attrs import define, field, frozen

from harness.causes import CLIENTS, Asking, session_of_before
from harness.evidence import CUT, LEFT, request_id, word_of
from harness.plans import Call
from harness.topics import EARLIER, OFF_TOPIC, TOPICS
from hop.exchange import RequestBytes, ResponseBytes

_SESSION = re.compile(rb'"session_id":"([0-9a-f]{32})"')
_STALL_S = 30.0
_OUT_OF_PATIENCE_S = 120.0


@frozen
class Answer:
    """What a client got: its last word as `harness.evidence` has it."""

    status: int = 0
    headers: dict[str, str] = field(factory=dict)
    body: bytes = b""
    word: str = LEFT

    @property
    def session_id(self) -> str | None:
        """The session that it is of, where that was told."""
        told = _SESSION.search(self.body)
        return told[1].decode() if told else None


async def perform(
    client: httpx.AsyncClient,
    base_url: str,
    call: Call,
    number: int,
    key: str = "",
    session_id: str | None = None,
) -> Answer:
    """Ask, and behave as the call says. Raises nothing that a server can bring about.

    `key` is what its clients were given, if anything; `session_id` the session that it continues.
    """
    row = CLIENTS.get(call.client)
    patience_s = _OUT_OF_PATIENCE_S if call.leaves_after_s is None else call.leaves_after_s
    if row is not None and row.leaves_after_s is not None:
        patience_s = min(patience_s, row.leaves_after_s)
    with trio.move_on_after(patience_s):
        try:
            asking = asking_of(call, key, session_id)
            return await _asked(client, base_url, asking, call, number)
        except httpx.TransportError:
            return Answer(word=CUT)
    return Answer()


def asking_of(call: Call, key: str = "", session_id: str | None = None) -> Asking:
    """The request that a call sends; its key in the one header, or in both that can hold it."""
    question = OFF_TOPIC if call.topic < 0 else TOPICS[call.topic].question
    body = json.dumps({"message": {"role": "user", "content": question}}).encode()
    asking = Asking(body, path="/chat?stream=true" if call.stream else "/chat")
    options: dict[str, object] = {}
    if not call.citations_required:
        options["citations_required"] = False
    if call.top_k is not None:
        options["top_k"] = call.top_k
    if options:
        asking = asking.with_fields(options=options)
    if call.history:
        asking = asking.with_fields(history=earlier(call.history))
    named = session_of_before(call) if call.store else session_id
    if named is not None:
        asking = asking.with_fields(session_id=named)
    if call.deadline_ms is not None:
        asking = asking.with_header("x-deadline-ms", str(call.deadline_ms))
    if key:
        asking = asking.with_key(*((key,) if call.topic % 2 else (key, key)))
    row = CLIENTS.get(call.client)
    return row.ask(asking) if row is not None else asking


def earlier(messages: int) -> list[dict[str, str]]:
    """So many messages of what was said before."""
    roles = ("user", "assistant") * messages
    return [
        {"role": role, "content": text}
        for role, text in zip(roles, EARLIER[:messages], strict=False)
    ]


async def _asked(
    client: httpx.AsyncClient, base_url: str, asking: Asking, call: Call, number: int
) -> Answer:
    request = client.build_request(
        asking.method,
        base_url + asking.path,
        content=asking.body,
        headers={**asking.headers, "x-request-id": request_id(number)},
    )
    request.stream = _Paused(asking) if asking.body_pause_s else RequestBytes(asking.body)
    response = await client.send(request, stream=True)
    pieces, body = ResponseBytes(response), bytearray()
    try:
        if call.client and CLIENTS[call.client].stops_reading:
            await trio.sleep(_STALL_S)
        while (piece := await pieces.next()) is not None:
            body += piece
            if call.reads_every_s:
                await trio.sleep(call.reads_every_s)
    finally:
        await pieces.aclose(0)
    headers = dict(response.headers)
    word = word_of(response.status_code, headers, bytes(body))
    return Answer(response.status_code, headers, bytes(body), word)


@define
class _Paused(httpx.AsyncByteStream):
    """A body that pauses in its middle. No generator: one that is left is nobody's to close."""

    _asking: Asking
    _sent: int = 0

    def __aiter__(self) -> "_Paused":
        return self

    async def __anext__(self) -> bytes:
        if self._sent == len(self._asking.body):
            raise StopAsyncIteration
        if self._sent:
            await trio.sleep(self._asking.body_pause_s)
        begin, self._sent = self._sent, self._sent or len(self._asking.body) // 2
        if begin:
            self._sent = len(self._asking.body)
        return self._asking.body[begin : self._sent]
