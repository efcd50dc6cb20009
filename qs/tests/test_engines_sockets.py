"""Goal: both search engines keep the port's promises.

Method: one suite, over a real index file, and over a real socket to the fake OpenSearch server. The
same suite runs against a real OpenSearch node in `make test-backends`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.opensearch_server.engine import Engine as Server
from fakes.opensearch_server.stage import FakeOpenSearch
from qs.tests.engine_conformance import Engine, EngineConformance, SqliteEngine
from qs.tests.opensearch_engine import OpenSearchEngine, served


class TestSqlite(EngineConformance):
    """The embedded engine."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        return SqliteEngine(tmp_path / "index.sqlite3")


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
