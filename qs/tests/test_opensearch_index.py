"""Goal: whatever the server does, a search ends in its hits or in the one code that says why not.

Method: the fake server in memory, on a virtual clock; it fails row by row, and is asked again.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from attrs import frozen

from contracts.reasons import ReasonCode
from fakes.opensearch_server.faults import FAULTS, Fault, http
from fakes.opensearch_server.query import corpus_of
from fakes.opensearch_server.stage import FakeOpenSearch
from harness.net import MemoryNetwork
from hop.call import make_client
from qs.retrieval.opensearch_index import OpenSearchIndex, signed_in
from qs.retrieval.opensearch_schema import CHUNK, definition
from qs.retrieval.opensearch_wire import hits_of, search_body
from qs.retrieval.port import RetrievalFault

LIMIT_S = 1.5
RECORD = {
    "kind": CHUNK,
    "chunk_id": "k:1",
    "doc_id": "k",
    "title": "Kernel",
    "url": None,
    "content": "Compile it.",
    "heading": "kernel",
    "terms": "kernel kernel compile",
}


@frozen
class _Stage:
    server: FakeOpenSearch
    network: MemoryNetwork
    index: OpenSearchIndex

    async def finds(self) -> bool:
        (hit,) = await self.index.search("compile the kernel", 5)
        return (hit.title, hit.score) == ("Kernel", 1.0)


@asynccontextmanager
async def _stage(server: FakeOpenSearch | None = None, user: str = "") -> AsyncIterator[_Stage]:
    server = server or FakeOpenSearch()
    mappings = definition(nori=False)["mappings"]
    server.engine.answer("PUT", "/bsl-000001", b'{"mappings": {}}')
    index = server.engine.indices["bsl-000001"]
    index.mappings = mappings  # type: ignore[assignment]  # an object of JSON
    index.searched = corpus_of({"1": RECORD}, ("terms", "heading"))
    server.engine.aliases["bsl"] = "bsl-000001"
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(nursery)
        network.listen("os", server.serve)
        client = make_client(network.transport())
        searched = OpenSearchIndex(client, "http://os:9200", "bsl", signed_in(user, "pass:word"))
        yield _Stage(server, network, searched)
        await searched.aclose()
        nursery.cancel_scope.cancel()


async def _code(index: OpenSearchIndex) -> ReasonCode:
    """What a search comes to, as `qs.turn` sees it."""
    with trio.move_on_after(LIMIT_S):
        with pytest.raises(RetrievalFault) as caught:
            await index.search("compile the kernel", 5)
        return caught.value.code
    return ReasonCode.RAG_TIMEOUT


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_search_ends_as_the_row_demands_and_the_next_one_is_answered(
    fault: Fault, autojump_clock: trio.testing.MockClock
) -> None:
    async with _stage() as stage:
        stage.server.befall("_search", fault)
        assert await _code(stage.index) is fault.code
        assert await stage.finds()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_readiness_raises_nothing_when_the_server_fails(
    fault: Fault, autojump_clock: trio.testing.MockClock
) -> None:
    async with _stage() as stage:
        stage.server.befall("_mapping", fault)
        with trio.move_on_after(LIMIT_S):
            state = await stage.index.check()
            assert not state.ok or fault.code is ReasonCode.RAG_BAD_RESPONSE
        assert (await stage.index.check()).detail == "1 chunks"


async def test_the_connection_is_kept_after_an_answer() -> None:
    async with _stage() as stage:
        for _ in range(3):
            assert await stage.finds()
        assert len(stage.network.links) == 1


async def test_a_kept_connection_that_turns_out_dead_is_no_fault() -> None:
    async with _stage() as stage:
        assert await stage.finds()
        stage.server.befall("_search", FAULTS["reset"])
        assert await stage.finds()


async def test_a_cancelled_search_closes_its_connection(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with _stage() as stage:
        stage.server.befall("_search", FAULTS["silent"])
        began = trio.current_time()
        with trio.move_on_after(LIMIT_S):
            await stage.index.search("compile the kernel", 5)
        await trio.testing.wait_all_tasks_blocked()
        assert [entry.ended for entry in stage.server.journal] == ["left"]
        assert trio.current_time() - began == pytest.approx(LIMIT_S)
        assert not stage.network.links
        assert await stage.finds()


async def test_nobody_there_is_unavailable() -> None:
    async with _stage() as stage:
        gone = OpenSearchIndex(make_client(stage.network.transport()), "http://gone:9200", "bsl")
        with pytest.raises(RetrievalFault) as caught:
            await gone.search("kernel", 5)
        assert caught.value.code is ReasonCode.RAG_UNAVAILABLE
        assert not (await gone.check()).ok
        await gone.aclose()


async def test_who_we_are_is_said_and_never_shown() -> None:
    async with _stage(user="reader") as stage:
        assert await stage.finds()
        assert stage.server.journal[0].headers["authorization"] == "Basic cmVhZGVyOnBhc3M6d29yZA=="
        assert "cmVhZGVy" not in repr(stage.index)


async def test_an_alias_for_two_indices_is_not_ready() -> None:
    async with _stage() as stage:
        said = http(200, b'{"bsl-000001": {"mappings": {}}, "bsl-000002": {"mappings": {}}}')
        row = Fault("two", "two indices", ReasonCode.RAG_INDEX_NOT_READY, lambda *_: (said,))
        stage.server.befall("_mapping", row)
        state = await stage.index.check()
        assert (state.ok, "2 indices" in state.detail) == (False, True)


async def test_nothing_is_found_when_every_word_stands_in_most_of_a_large_index() -> None:
    async with _stage() as stage:
        body = await stage.index._ask("POST", "_search", search_body("kernel", ["kernel"], 5))
        told = json.loads(body)
        buckets = told["aggregations"]["all"]["holding"]["buckets"]
        buckets["chunks"]["doc_count"], buckets["t0"]["doc_count"] = 9_000, 8_000
        assert hits_of(json.dumps(told).encode(), ["kernel"], 5) == ()
