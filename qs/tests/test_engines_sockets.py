"""Goal: both search engines keep the port's promises.

Method: one suite, over a real index file, and over a real socket to the fake OpenSearch server. The
same suite runs against a real OpenSearch node in `make test-backends`.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from fakes.opensearch_server.engine import Engine as Server
from fakes.opensearch_server.stage import FakeOpenSearch
from harness.tidy import ROOT
from qs.retrieval.sqlite_index import SqliteIndex
from qs.tests.engine_conformance import Engine, EngineConformance, SqliteEngine
from qs.tests.opensearch_engine import OpenSearchEngine, served


class TestSqlite(EngineConformance):
    """The embedded engine."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        return SqliteEngine(tmp_path / "index.sqlite3")


@pytest.mark.parametrize("noticed", [True, False])
def test_an_index_can_be_made_again_when_its_file_alone_was_deleted_under_a_retriever(
    noticed: bool, tmp_path: Path
) -> None:
    """The files that SQLite keeps beside it stay, and the retriever's connection holds them."""
    docs, path = tmp_path / "docs", tmp_path / "index.sqlite3"
    docs.mkdir()
    (docs / "a.md").write_text("green")
    _ingest(docs, path)

    async def ask() -> None:
        index = SqliteIndex(path)
        assert await index.search("green", 1)
        (docs / "a.md").write_text(f"# Blue\n\nblue {'more of it ' * 20_000}")
        await trio.to_thread.run_sync(_ingest, docs, path)
        assert await index.search("blue", 1)
        path.unlink()
        assert not noticed or not (await index.check()).ok
        await trio.to_thread.run_sync(_ingest, docs, path)
        assert await index.search("blue", 1)
        await index.aclose()

    trio.run(ask)


def _ingest(docs: Path, path: Path) -> None:
    """In a process of its own, as SQLite's locks are a process's."""
    subprocess.run(  # noqa: S603 - our own program, no shell
        [sys.executable, "-m", "qs.ingest", str(docs), "--index", str(path)],
        cwd=ROOT, check=True, capture_output=True, timeout=60,
    )  # fmt: skip


class TestOpenSearch(EngineConformance):
    """The server, as the fake plays it."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        with served(FakeOpenSearch()) as url:
            yield OpenSearchEngine(url)


class TestOpenSearchWithNori(EngineConformance):
    """A server with the plugin for Korean."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        with served(FakeOpenSearch(Server(plugins=("analysis-nori",)))) as url:
            yield OpenSearchEngine(url)
