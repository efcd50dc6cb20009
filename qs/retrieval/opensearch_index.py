"""The retriever for an OpenSearch server: one search is one request, and its answer is proved.

The caller holds the deadline. A search that is cancelled closes its connection, by which the server
learns of it and ends the search there, too; another search opens another. Whatever goes wrong
before the answer's head is RAG_UNAVAILABLE; an answer that breaks off or is not what it should be
is RAG_BAD_RESPONSE.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import httpx
from attrs import field, frozen

from contracts.reasons import ReasonCode
from hop.exchange import ResponseBytes, send
from qs.retrieval.opensearch_schema import format_problem
from qs.retrieval.opensearch_wire import (
    Json,
    Misunderstood,
    count_body,
    count_of,
    error_of,
    fault_of,
    hits_of,
    object_of,
    search_body,
)
from qs.retrieval.port import Hit, IndexState, RetrievalFault
from qs.retrieval.query import query_terms

ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
_STATUS_OK: Final = 200
_LINGER_S: Final = 0.02  # for an end that is near, so that the connection is kept
_NO_ADDRESS: Final = (httpx.InvalidURL, UnicodeError)


def signed_in(user: str, password: str) -> Mapping[str, str]:
    """The header that says who we are; none where we are nobody."""
    if not user:
        return {}
    return {"authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


@frozen
class OpenSearchIndex:
    """The `Retriever` on an alias of a server. `client` is its own, and is closed with it."""

    client: httpx.AsyncClient
    url: str
    alias: str
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    connect_timeout_s: float = 1.0

    async def search(self, query: str, top_k: int) -> Sequence[Hit]:
        """At most `top_k` hits, best first; a cancelled search is ended in the server, too."""
        wanted = query_terms(query)
        if not wanted:
            return ()
        body = await self._ask("POST", "_search", search_body(query, wanted, top_k))
        return hits_of(body, wanted, top_k)

    async def check(self) -> IndexState:
        """How many chunks can be searched, or why none can."""
        try:
            if problem := _problem(await self._ask("GET", "_mapping")):
                return IndexState(ok=False, detail=f"index {self.alias}: {problem}")
            chunks = count_of(await self._ask("POST", "_search", count_body()))
        except RetrievalFault as fault:
            return IndexState(ok=False, detail=f"index {self.alias}: {fault.detail}")
        if not chunks:
            return IndexState(ok=False, detail=f"index {self.alias}: is empty")
        return IndexState(ok=True, detail=f"{chunks} chunks")

    async def aclose(self) -> None:
        """Close every connection."""
        await self.client.aclose()

    async def _ask(self, method: str, what: str, told: Json | None = None) -> bytes:
        """The body of the server's answer where that is one. Raises RetrievalFault."""
        response = await self._sent(self._request(method, what, told))
        reading = ResponseBytes(response)
        try:
            body = await _whole(reading)
        except (httpx.TransportError, httpx.StreamError) as error:
            raise _bad(f"the answer broke off: {type(error).__name__}") from error
        finally:
            await reading.aclose(_LINGER_S)
        if response.status_code != _STATUS_OK:
            raise fault_of(error_of(response.status_code, body))
        return body

    async def _sent(self, make: Callable[[], httpx.Request]) -> httpx.Response:
        try:
            return await send(self.client, make)
        except (httpx.TransportError, *_NO_ADDRESS) as error:
            detail = f"{self.url}: {type(error).__name__}: {error}"
            raise RetrievalFault(ReasonCode.RAG_UNAVAILABLE, detail) from error

    def _request(self, method: str, what: str, told: Json | None) -> Callable[[], httpx.Request]:
        content = json.dumps(told).encode() if told is not None else b""
        kind = {"content-type": "application/json"} if content else {}
        return lambda: self.client.build_request(
            method,
            f"{self.url}/{self.alias}/{what}",
            content=content,
            headers={**self.headers, **kind},
            timeout=httpx.Timeout(None, connect=self.connect_timeout_s),
        )


async def _whole(reading: ResponseBytes) -> bytes:
    data = bytearray()
    while (piece := await reading.next()) is not None:
        data += piece
        if len(data) > ANSWER_BYTES_MAX:
            raise _bad(f"the answer is over {ANSWER_BYTES_MAX} bytes")
    return bytes(data)


def _problem(body: bytes) -> str | None:
    """What is wrong with the index behind the alias, by what it says of itself."""
    try:
        told = object_of(body)
    except Misunderstood as error:
        raise _bad(str(error)) from None
    if len(told) != 1:
        return f"the alias stands for {len(told)} indices, not for one"
    (index,) = told.values()
    mappings = index.get("mappings") if isinstance(index, dict) else None
    meta = mappings.get("_meta") if isinstance(mappings, dict) else None
    return format_problem(meta if isinstance(meta, dict) else {})


def _bad(detail: str) -> RetrievalFault:
    return RetrievalFault(ReasonCode.RAG_BAD_RESPONSE, detail)
