"""Goal: the SQLite retriever answers from the file that is there now, or says why it cannot.

Method: real index files in a temporary folder. The work runs inline, as in simulation, but for the
one test of cancellation, which needs a real thread and a query that would never end.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.testing

from contracts.reasons import ReasonCode
from harness.memory_store import inline
from qs.ingest.chunker import Chunk
from qs.ingest.index_writer import open_index
from qs.retrieval.port import Hit, RetrievalFault, Retriever, best_score
from qs.retrieval.relevance import DEFAULT_MIN_SCORE
from qs.retrieval.sqlite_index import SqliteIndex
from qs.retrieval.sqlite_schema import APPLICATION_ID, FORMAT_VERSION
from qs.retrieval.sqlite_search import Reader, holders
from qs.tests.engine_conformance import PAGES

T = TypeVar("T")


def _fill(path: Path, pages: dict[str, str], root: str = "/root") -> Path:
    with open_index(path) as index, index.transaction():
        for name, content in pages.items():
            chunk = Chunk(f"{name}:1", name, ("Handbook", name), None, content)
            index.put(root, name, content, [chunk])
    return path


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _titles(hits: Sequence[Hit]) -> list[str | None]:
    return [hit.title for hit in hits]


async def _fault(index: SqliteIndex) -> RetrievalFault:
    with pytest.raises(RetrievalFault) as caught:
        await index.search("package", 5)
    state = await index.check()
    assert (state.ok, state.detail) == (False, caught.value.detail)
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return _fill(tmp_path / "index.sqlite3", PAGES)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Which package does this file belong to?", "dpkg"),
        ("How do I compile a kernel?", "kernel"),
        ("tell me of apt", "apt"),
        ("패키지 설치", "한국어"),
        ("検索コマンド", "日本語"),
        ("升级系统", "中文"),
        ("Wie groß ist die GRÖSSE der ubertragung?", "Deutsch"),
    ],
)
async def test_the_right_chunk_is_first_in_every_script(
    path: Path, question: str, name: str
) -> None:
    index: Retriever = SqliteIndex(path, inline)
    hits = await index.search(question, 3)
    assert hits[0].title == f"Handbook › {name}"
    assert hits[0].content == PAGES[name]
    assert DEFAULT_MIN_SCORE <= best_score(hits) <= 1.0
    assert len(hits) <= 3
    await index.aclose()


def test_terms_are_found_alike_whether_they_are_walked_or_looked_up(tmp_path: Path) -> None:
    pages = {
        f"page {number}": f"{'apt ' * (number % 2)}{'dpkg ' * (number % 3)}all"
        for number in range(60)
    }
    with contextlib.closing(sqlite3.connect(_fill(tmp_path / "index", pages))) as connection:
        reader = Reader(connection, (0, 0))
        terms, chunks = ["apt", "dpkg", "page", "7", "nowhere"], range(5, 45)
        for columns in ("", "heading: "):
            walked, looked_up = (
                holders(reader, terms, chunks, columns, walked_max) for walked_max in (1_000, -1)
            )
            assert walked == looked_up
    assert walked[8] == ["page", "7"]


async def test_a_question_off_the_subject_scores_under_the_threshold(path: Path) -> None:
    index = SqliteIndex(path, inline)
    hits = await index.search("What signed treaty made Ulaanbaatar the capital of Mongolia?", 5)
    assert _titles(hits) == ["Handbook › apt"]
    assert 0 < best_score(hits) < DEFAULT_MIN_SCORE
    assert await index.search("What is the capital of Mongolia?", 5) == ()
    await index.aclose()


async def test_a_question_of_nothing_finds_nothing_without_looking(tmp_path: Path) -> None:
    index = SqliteIndex(tmp_path / "none", inline)
    assert await index.search("What is it?!", 5) == ()
    assert best_score(()) == 0.0


async def test_the_same_text_is_one_hit_when_two_roots_hold_it(path: Path) -> None:
    _fill(path, PAGES, root="/copy")
    index = SqliteIndex(path, inline)
    assert _titles(await index.search("compile kernel", 5)) == ["Handbook › kernel"]
    assert (await index.check()).detail == f"{2 * len(PAGES)} chunks"
    await index.aclose()


async def test_new_content_is_found_when_the_index_is_filled_again(path: Path) -> None:
    index = SqliteIndex(path, inline)
    assert await index.search("zebra", 5) == ()
    _fill(path, {"animals": "A zebra has stripes.", "apt": "Now about something else."})
    assert _titles(await index.search("zebra", 5)) == ["Handbook › animals"]
    assert _titles(await index.search("signed archive", 5)) == []
    assert (await index.check()).ok
    await index.aclose()


async def test_the_index_is_not_ready_when_its_file_is_deleted_and_ready_when_it_is_back(
    path: Path,
) -> None:
    index = SqliteIndex(path, inline)
    assert await index.search("kernel", 5)
    _remove(path)
    fault = await _fault(index)
    assert fault.code is ReasonCode.RAG_INDEX_NOT_READY
    assert "python -m qs.ingest" in fault.detail
    _fill(path, {"new": "A new kernel."})
    assert _titles(await index.search("kernel", 5)) == ["Handbook › new"]
    await index.aclose()


async def test_new_content_is_found_when_another_file_takes_the_indexs_place(path: Path) -> None:
    index = SqliteIndex(path, inline)
    assert await index.search("kernel", 5)
    # Nobody asked while it was gone.
    _remove(path)
    _fill(path, {"new": "A new kernel."})
    assert _titles(await index.search("kernel", 5)) == ["Handbook › new"]
    await index.aclose()


def _missing(path: Path) -> None:
    assert not path.exists()


def _other_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE documents (path)")


def _other_version(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(_fill(path, PAGES))) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION + 1}")


def _not_a_database(path: Path) -> None:
    path.write_bytes(b"text " * 500)


def _no_chunks(path: Path) -> None:
    _fill(path, {})


def _damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


UNUSABLE: tuple[tuple[Callable[[Path], None], str], ...] = (
    (_missing, "no such file"),
    (Path.mkdir, "cannot be opened"),
    (Path.touch, "not an index"),
    (_not_a_database, "not an index"),
    (_other_database, "not an index"),
    (_other_version, f"this program reads {FORMAT_VERSION}"),
    (_no_chunks, "is empty"),
)


@pytest.mark.parametrize(("make", "said"), UNUSABLE)
async def test_the_index_is_not_ready_when_its_file_is_unusable(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    path = tmp_path / "index.sqlite3"
    make(path)
    index = SqliteIndex(path, inline)
    fault = await _fault(index)
    assert fault.code is ReasonCode.RAG_INDEX_NOT_READY
    assert said in fault.detail.lower()
    assert str(path) in str(fault)
    await index.aclose()


async def test_the_answer_is_bad_when_the_file_is_damaged(path: Path) -> None:
    _damage(path)
    index = SqliteIndex(path, inline)
    fault = await _fault(index)
    assert fault.code is ReasonCode.RAG_BAD_RESPONSE
    assert "damaged" in fault.detail
    await index.aclose()


async def test_the_search_is_unavailable_when_the_file_stays_locked(path: Path) -> None:
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("PRAGMA journal_mode = DELETE")
    locker.execute("BEGIN EXCLUSIVE")
    index = SqliteIndex(path, inline, busy_timeout_s=0.0)
    assert (await _fault(index)).code is ReasonCode.RAG_UNAVAILABLE
    locker.close()
    assert await index.search("kernel", 5)
    await index.aclose()


HEADER = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT_VERSION}"
ENDLESS = """
    CREATE TABLE top (number);
    INSERT INTO top VALUES (9e15);
    CREATE VIEW chunks AS
        WITH RECURSIVE n(chunk) AS (
            SELECT 1 UNION ALL SELECT chunk + 1 FROM n WHERE chunk < (SELECT number FROM top)
        ) SELECT chunk FROM n;
    PRAGMA journal_mode = WAL;
"""


async def test_a_search_without_end_stops_in_its_thread_when_it_is_cancelled(
    tmp_path: Path,
) -> None:
    path = tmp_path / "index.sqlite3"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.executescript(ENDLESS + HEADER)
    left = threading.Event()

    async def in_thread(work: Callable[[], T], /) -> T:
        def watched() -> T:
            try:
                return work()
            finally:
                left.set()

        return await trio.to_thread.run_sync(watched, abandon_on_cancel=True)

    index = SqliteIndex(path, in_thread)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(index.search, "kernel", 5)
        await trio.testing.wait_all_tasks_blocked(cushion=0.05)
        assert not left.is_set()
        nursery.cancel_scope.cancel()
    assert await trio.to_thread.run_sync(left.wait, 5)
    writer.execute("UPDATE top SET number = 3")
    writer.close()
    assert (await index.check()).detail == "3 chunks"
    await index.aclose()


async def test_a_search_that_is_stopped_before_it_begins_touches_nothing(path: Path) -> None:
    late: list[Callable[[], object]] = []

    async def never(work: Callable[[], T], /) -> T:
        late.append(work)
        await trio.sleep_forever()
        raise AssertionError

    index = SqliteIndex(path, never)
    with trio.move_on_after(0):
        await index.search("kernel", 5)
    with pytest.raises(RetrievalFault, match="interrupted"):
        late[0]()
    await index.aclose()


async def test_searches_at_once_do_not_disturb_one_another(path: Path) -> None:
    index = SqliteIndex(path)
    found: list[str | None] = []

    async def ask() -> None:
        found.extend(_titles(await index.search("compile kernel", 1)))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(ask)
    assert found == ["Handbook › kernel"] * 20
    await index.aclose()
    with pytest.raises(RetrievalFault):
        await index.search("kernel", 5)
