"""What every search engine is held to, whichever it is: the port's promises, asked of a real index.

    class TestSomeEngine(EngineConformance): and a fixture `engine` that gives an `Engine`

The scores are held against the embedded engine's: `Hit.score` has one meaning.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

import pytest
import trio

from contracts.limits import MESSAGE_CHARS
from contracts.reasons import ReasonCode
from qs.ingest.chunker import Chunk
from qs.ingest.index_writer import open_index
from qs.ingest.port import IndexFault, IndexWriter
from qs.retrieval.port import Hit, IndexState, RetrievalFault, Retriever, best_score
from qs.retrieval.relevance import DEFAULT_MIN_SCORE
from qs.retrieval.sqlite_index import SqliteIndex

PAGES: Final = {
    "apt": "APT installs a package from the archive. Packages are signed.",
    "dpkg": "dpkg shows which package a file belongs to.",
    "kernel": "Compile the kernel with the configuration of your choice.",
    "한국어": "패키지를 설치하려면 명령을 실행합니다.",
    "日本語": "パッケージを検索するには次のコマンドを使います。",
    "中文": "如何安装软件包以及如何升级系统。",
    "Deutsch": "Die Größe der Übertragung hängt vom Rechner ab.",
    "ไทย": "ติดตั้งแพ็กเกจด้วยคำสั่ง",
    "हिन्दी": "संस्करण बदलें",
    "QS_INDEX_PATH": "The file that is searched.",
}

QUESTIONS: Final = (
    ("Which package does this file belong to?", "dpkg"),
    ("How do I compile a kernel?", "kernel"),
    ("tell me of apt", "apt"),
    ("where is the index path", "QS_INDEX_PATH"),
    ("패키지는 어떻게 설치하나요?", "한국어"),
    ("検索コマンドとは何ですか", "日本語"),
    ("什么是升级系统", "中文"),
    ("Wie groß ist die GRÖSSE der ubertragung?", "Deutsch"),
    ("ติดตั้ง", "ไทย"),
    ("संस्करण", "हिन्दी"),
    ("件", "中文"),
    ("signed archive of quantum chromodynamics in Ulaanbaatar", "apt"),
)

HOSTILE: Final = (
    "'; DROP TABLE chunks; --",
    '" OR 1=1 --',
    "C++ AND NOT (kernel",
    "kernel~2 ker?el k*",
    "content:kernel^10 _exists_:title",
    "/ker[n]el/ {a TO z} [* TO *]",
    '{"query": {"match_all": {}}}',
    "NEAR(a b, 3) ^kernel",
    "%_\\ \x00 \u202e kernel",
)


class Engine(Protocol):
    """An engine under test, with an index of its own."""

    def writer(self) -> AbstractContextManager[IndexWriter]:
        """The index, opened for writing as an ingest does."""
        ...

    def retriever(self) -> Retriever:
        """The index, opened for searching."""
        ...

    def delete(self) -> None:
        """Take the index away, as an operator would."""
        ...

    def age(self) -> None:
        """Make the index one of another format."""
        ...


def chunk(name: str, content: str) -> Chunk:
    """A chunk of a page of this name."""
    return Chunk(f"{name}:1"[:64], name, ("Handbook", name), None, content)


def fill(engine: Engine, pages: Mapping[str, str], root: str = "/root") -> None:
    """Put these pages, and publish."""
    with engine.writer() as index:
        with index.transaction():
            for name, content in pages.items():
                index.put(root, name, content, [chunk(name, content)])
        index.publish()


def search(engine: Engine, question: str, top_k: int = 5) -> list[Hit]:
    """The hits of one question."""

    async def ask() -> list[Hit]:
        retriever = engine.retriever()
        try:
            return list(await retriever.search(question, top_k))
        finally:
            await retriever.aclose()

    return trio.run(ask)


def check(engine: Engine) -> IndexState:
    """What readiness is told."""

    async def ask() -> IndexState:
        retriever = engine.retriever()
        try:
            return await retriever.check()
        finally:
            await retriever.aclose()

    return trio.run(ask)


def titles(hits: Sequence[Hit]) -> list[str | None]:
    """Their titles, in their order."""
    return [hit.title for hit in hits]


class EngineConformance:
    """The suite. Each test is given an engine without an index."""

    @pytest.fixture
    def filled(self, engine: Engine) -> Engine:
        fill(engine, PAGES)
        return engine

    def test_the_right_chunk_is_first_in_every_script(self, filled: Engine) -> None:
        for question, name in QUESTIONS:
            hits = search(filled, question, 3)
            assert titles(hits)[:1] == [f"Handbook › {name}"], question
            assert hits[0].content == PAGES[name]
            assert 0 < best_score(hits) <= 1.0
            assert len(hits) <= 3

    def test_a_score_means_the_same_as_the_embedded_engines(
        self, filled: Engine, tmp_path: Path
    ) -> None:
        reference = SqliteEngine(tmp_path / "reference.sqlite3")
        fill(reference, PAGES)
        for question, _ in QUESTIONS:
            scores = {hit.chunk_id: hit.score for hit in search(filled, question)}
            expected = {hit.chunk_id: hit.score for hit in search(reference, question)}
            assert scores == pytest.approx(expected), question

    def test_a_question_off_the_subject_scores_under_the_threshold(self, filled: Engine) -> None:
        hits = search(filled, "What signed treaty made Ulaanbaatar the capital of Mongolia?")
        assert titles(hits) == ["Handbook › apt"]
        assert 0 < best_score(hits) < DEFAULT_MIN_SCORE
        assert search(filled, "What is the capital of Mongolia?") == []
        assert search(filled, "What is it?!") == []

    def test_no_word_of_a_question_reaches_the_query_language(self, filled: Engine) -> None:
        for hostile in HOSTILE:
            found = titles(search(filled, hostile))
            assert set(found) <= {"Handbook › kernel", "Handbook › apt", "Handbook › dpkg"}, hostile
        assert check(filled).ok

    def test_a_question_of_4000_characters_is_searched(self, filled: Engine) -> None:
        filler = " ".join(f"wort{number}" for number in range(1_000))
        syllables = " ".join(f"{chr(0xAC00 + at)}{chr(0xB000 + at)}" for at in range(1_400))
        apart = " ".join(chr(0x4E00 + at) for at in range(2_000))
        longs = filler, syllables, apart, "検索語" * 1_400, "(" * 4_000, "😀" * 4_000
        for long in (f"kernel {rest}" for rest in longs):
            hits = search(filled, long[:MESSAGE_CHARS])
            assert "Handbook › kernel" in titles(hits)

    def test_the_same_text_is_one_hit_when_two_roots_hold_it(self, filled: Engine) -> None:
        fill(filled, PAGES, root="/copy")
        assert titles(search(filled, "compile kernel")) == ["Handbook › kernel"]
        assert check(filled) == IndexState(True, f"{2 * len(PAGES)} chunks")

    def test_new_content_is_found_and_old_is_not_when_it_is_written_again(
        self, filled: Engine
    ) -> None:
        assert search(filled, "zebra") == []
        fill(filled, {"animals": "A zebra has stripes.", "apt": "Now about something else."})
        assert titles(search(filled, "zebra")) == ["Handbook › animals"]
        assert titles(search(filled, "signed archive")) == []

    def test_what_is_removed_is_gone_and_other_roots_stay(self, filled: Engine) -> None:
        fill(filled, {"apt": "APT of the other root."}, root="/other")
        with filled.writer() as index:
            with index.transaction():
                index.remove("/root", "apt")
                index.remove("/root", "never there")
            index.publish()
            assert index.count_chunks() == len(PAGES)
        assert [hit.content for hit in search(filled, "apt")] == ["APT of the other root."]

    def test_a_writer_tells_what_it_holds_in_portions(self, filled: Engine) -> None:
        fill(filled, {"apt": "APT of the other root."}, root="/other")
        with filled.writer() as index:
            assert index.digests("/root", ["apt", "nowhere"]) == {"apt": PAGES["apt"]}
            assert index.digests("/other", ["apt", "dpkg"]) == {"apt": "APT of the other root."}
            found: list[str] = []
            while portion := index.paths("/root", found[-1] if found else "", 3):
                assert len(portion) <= 3
                found += portion
            assert found == sorted(PAGES, key=str.encode)

    def test_nothing_of_a_batch_is_written_when_it_is_broken_off(self, filled: Engine) -> None:
        with filled.writer() as index:
            with pytest.raises(ZeroDivisionError), index.transaction():
                index.put("/root", "zebra", "1", [chunk("zebra", "A zebra has stripes.")])
                raise ZeroDivisionError
            index.publish()
        assert search(filled, "zebra") == []

    def test_the_index_is_not_ready_when_it_is_deleted_and_ready_when_it_is_back(
        self, filled: Engine
    ) -> None:
        filled.delete()
        self.assert_not_ready(filled, "qs.ingest")
        fill(filled, {"new": "A new kernel."})
        assert titles(search(filled, "kernel")) == ["Handbook › new"]

    def test_the_index_is_not_ready_when_nobody_has_made_it(self, engine: Engine) -> None:
        self.assert_not_ready(engine, "qs.ingest")

    def test_the_index_is_not_ready_when_it_is_empty(self, engine: Engine) -> None:
        fill(engine, {"apt": PAGES["apt"]})
        with engine.writer() as index:
            with index.transaction():
                index.remove("/root", "apt")
            index.publish()
        self.assert_not_ready(engine, "empty")

    def test_an_index_of_another_format_is_refused_with_a_hint(self, filled: Engine) -> None:
        filled.age()
        state = check(filled)
        assert not state.ok
        assert "format" in state.detail
        assert "delete it" in state.detail
        with pytest.raises(IndexFault, match="delete it"), filled.writer():
            pass

    def assert_not_ready(self, engine: Engine, said: str) -> None:
        with pytest.raises(RetrievalFault) as caught:
            search(engine, "kernel")
        assert caught.value.code is ReasonCode.RAG_INDEX_NOT_READY
        assert said in caught.value.detail
        assert not check(engine).ok


class SqliteEngine:
    """The embedded engine on a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def writer(self) -> AbstractContextManager[IndexWriter]:
        return open_index(self.path)

    def retriever(self) -> Retriever:
        return SqliteIndex(self.path)

    def delete(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def age(self) -> None:
        with open_index(self.path) as writer:
            writer.connection.execute("PRAGMA user_version = 99")
