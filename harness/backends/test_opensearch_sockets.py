"""Goal: search keeps its promises on a real OpenSearch node, killed and started again included.

Method: the engines' suite against the node; ingests that are killed at any moment, and gone on
with; and the four programs as processes, asked without a pause while the node dies and comes back.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Final

import httpx
import pytest
import trio

from contracts.reasons import ReasonCode
from harness.backends.opensearch_node import Node, open_node
from harness.stack import Stack, open_stack, write_documents
from harness.tidy import ROOT
from hop.call import make_client
from qs.ingest.port import IndexFault
from qs.retrieval.opensearch_index import OpenSearchIndex
from qs.retrieval.port import RetrievalFault
from qs.tests.engine_conformance import Engine, EngineConformance, chunk, fill, search
from qs.tests.opensearch_engine import OpenSearchEngine

DOCUMENTS: Final = {
    "apt.md": "# Packages\n\n## Install a package\n\nAPT installs a package with `apt install`.\n",
    "kernel.md": "# Kernel\n\n## Compile it\n\nCompile the kernel with `make`.\n",
}
QUESTION: Final = {"message": {"role": "user", "content": "How do I install a package with APT?"}}
ASKERS: Final = 4
BACK_S: Final = 20.0
MANY: Final = 1_500


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A real node; whoever kills it starts it again."""
    with open_node(tmp_path_factory.mktemp("opensearch")) as running:
        yield running


@pytest.fixture
def engine(node: Node) -> Iterator[OpenSearchEngine]:
    """The node with no index of ours on it."""
    made = OpenSearchEngine(node.url)
    made.delete()
    yield made
    made.delete()


class TestRealNode(EngineConformance):
    """The suite of both engines."""

    @pytest.fixture
    def engine(self, engine: OpenSearchEngine) -> Engine:
        return engine


def test_what_is_searched_stays_as_it_was_until_an_ingest_is_whole(
    engine: OpenSearchEngine,
) -> None:
    fill(engine, {"apt": "APT installs."})
    with engine.writer() as index:
        with index.transaction():
            index.put("/root", "zebra", "1", [chunk("zebra", "A zebra has stripes.")])
        assert search(engine, "zebra") == []
        index.publish()
    assert len(search(engine, "zebra")) == 1


def test_the_later_of_two_ingests_wins_and_the_other_says_why_it_ends(
    engine: OpenSearchEngine,
) -> None:
    fill(engine, {"apt": "APT installs."})
    with engine.writer() as first, engine.writer() as later:
        with first.transaction():
            first.put("/root", "one", "1", [chunk("one", "One.")])
        with later.transaction():
            later.put("/root", "two", "2", [chunk("two", "Zebra two.")])
        with pytest.raises(IndexFault, match="another ingest"), first.transaction():
            first.put("/root", "three", "3", [chunk("three", "Three.")])
        later.publish()
    assert len(search(engine, "zebra")) == 1


def test_a_search_ends_in_time_when_the_node_is_frozen_and_works_when_it_goes_on(
    node: Node, engine: OpenSearchEngine
) -> None:
    fill(engine, {"apt": "APT installs."})

    async def ask() -> None:
        index = OpenSearchIndex(make_client(), node.url, "bsl")
        assert await index.search("apt", 1)
        node.freeze()
        try:
            began = trio.current_time()
            with trio.move_on_after(0.5) as scope:
                await index.search("apt", 1)
            assert scope.cancelled_caught
            assert trio.current_time() - began < 1.0
        finally:
            node.thaw()
        with trio.fail_after(BACK_S):
            assert await index.search("apt", 1)
        await index.aclose()

    trio.run(ask)


def test_a_search_is_unavailable_while_the_node_is_dead_and_works_when_it_is_back(
    node: Node, engine: OpenSearchEngine
) -> None:
    fill(engine, {"apt": "APT installs."})

    async def ask() -> None:
        index = OpenSearchIndex(make_client(), node.url, "bsl")
        assert await index.search("apt", 1)
        node.kill()
        with pytest.raises(RetrievalFault) as caught:
            await index.search("apt", 1)
        assert caught.value.code is ReasonCode.RAG_UNAVAILABLE
        assert not (await index.check()).ok
        node.start()
        with trio.fail_after(BACK_S):
            while not (await index.check()).ok:  # noqa: ASYNC110 - it is another program
                await trio.sleep(0.1)
        assert await index.search("apt", 1)
        await index.aclose()

    trio.run(ask)


def _environ(engine: OpenSearchEngine) -> dict[str, str]:
    return {"QS_RETRIEVER": "opensearch", "QS_OS_URL": engine.url}


def test_an_ingest_that_is_killed_is_gone_on_with_and_nothing_is_twice_or_missing(
    engine: OpenSearchEngine, tmp_path: Path
) -> None:
    pages = {f"p{n}.md": f"# Page {n}\n\nText number {n}.\n" for n in range(MANY)}
    documents = write_documents(tmp_path / "docs", pages)
    command = [sys.executable, "-m", "qs.ingest", str(documents)]
    environ = {**_environ(engine), "PATH": "/usr/bin:/bin"}
    for lived_s in (0.8, 1.6, 2.4):
        ingest = subprocess.Popen(  # noqa: S603 - our own program, no shell
            command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(lived_s)
        ingest.send_signal(signal.SIGKILL)
        ingest.wait(10)
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=True
    )
    assert f"{MANY} in {engine.url}/bsl" in done.stdout
    with engine.writer() as index:
        assert index.count_chunks() == MANY
        found: list[str] = []
        while portion := index.paths(str(documents.resolve()), found[-1] if found else "", 500):
            found += portion
        assert found == sorted(pages)


def test_every_question_is_answered_or_told_why_while_the_node_is_killed_and_started_again(
    node: Node, engine: OpenSearchEngine, tmp_path: Path
) -> None:
    with open_stack(tmp_path, DOCUMENTS, **_environ(engine)) as stack:
        for name in ("fake", "llmgw", "qs", "bff"):
            stack.start(name)
        assert _answer(stack) == "ok"
        stop = Event()
        with ThreadPoolExecutor(ASKERS) as threads:
            running = [threads.submit(_ask_until, stack, stop) for _ in range(ASKERS)]
            try:
                time.sleep(1.0)
                node.kill()
                time.sleep(1.0)
                node.start()
                _wait_until_answered(stack)
                time.sleep(1.0)
            finally:
                stop.set()
            ends = [end for one in running for end in one.result()]
        told = set(ends)
        assert {"ok", ReasonCode.RAG_UNAVAILABLE} <= told, told
        # While it starts it may answer from shards that are not there yet.
        assert told <= {
            "ok",
            ReasonCode.RAG_UNAVAILABLE,
            ReasonCode.RAG_BAD_RESPONSE,
            ReasonCode.RAG_INDEX_NOT_READY,
            ReasonCode.RAG_TIMEOUT,
        }, told
        assert _answer(stack) == "ok"


def _answer(stack: Stack) -> str:
    """How one question ends: `ok`, or its reason code."""
    told = httpx.post(
        f"http://127.0.0.1:{stack['bff'].port}/chat", json=QUESTION, timeout=25.0, trust_env=False
    ).json()
    return "ok" if told["status"] == "ok" else str(told["reason_code"])


def _ask_until(stack: Stack, stop: Event) -> list[str]:
    ends = []
    while not stop.is_set():
        ends.append(_answer(stack))
    return ends


def _wait_until_answered(stack: Stack) -> None:
    until = time.monotonic() + BACK_S
    while _answer(stack) != "ok":
        assert time.monotonic() < until, "the node is back, and nothing is found"
        time.sleep(0.2)
