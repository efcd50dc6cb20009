"""The store's laws, on the one in memory and on SQLite; and what only a file has."""

import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from harness.memory_store import MemoryStore, inline
from harness.store_laws import OWNER, SESSION, StoreLaws, a_turn
from qs.store.database import Database
from qs.store.migrate import migrate, version_of
from qs.store.port import Store, StoreFault, StoreRefused
from qs.store.sql_store import SqlStore
from qs.store.tables import metadata


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without anything in it, made once."""
    path = tmp_path_factory.mktemp("store") / "store.sqlite3"
    database = at(path)
    migrate(database)
    database.close()
    return path


def at(path: Path) -> Database:
    return Database.at(f"sqlite:///{path}")


def sqlite_store(path: Path) -> SqlStore:
    return SqlStore(at(path), run_blocking=inline, run_stopping=inline)


class TestMemoryStore(StoreLaws):
    """The one in memory."""

    @pytest.fixture
    async def store(self) -> Store:
        return MemoryStore()


class TestSqliteStore(StoreLaws):
    """SQLite."""

    @pytest.fixture
    async def store(self, migrated: Path, tmp_path: Path) -> AsyncIterator[Store]:
        shutil.copy(migrated, tmp_path / "store.sqlite3")
        made = sqlite_store(tmp_path / "store.sqlite3")
        yield made
        await made.aclose()


# What only a file has.


@pytest.fixture
def path(migrated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated, tmp_path / "store.sqlite3"))


async def test_store_is_made_anew_when_its_file_is_deleted_under_it(path: Path) -> None:
    store = sqlite_store(path)
    await store.put([a_turn(1)])
    Path.unlink(path)
    with pytest.raises(StoreFault, match="no such table"):
        await store.put([a_turn(2, opens=True)])
    await store.prepare()
    await store.put([a_turn(3, opens=True)])
    transcript = await store.read(SESSION, OWNER, 9)
    assert transcript is not None
    assert [turn.asked.turn_id for turn in transcript.turns] == [a_turn(3).asked.turn_id]
    await store.aclose()


async def test_store_refuses_when_the_file_is_of_a_newer_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE store_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreRefused, match=r"version 9999, which a newer version .* up to 0001"):
        await sqlite_store(path).prepare()


async def test_store_refuses_when_the_file_holds_somebody_elses_tables(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE letters (a)")
    connection.close()
    with pytest.raises(StoreRefused, match="not of this program: letters"):
        await sqlite_store(path).prepare()
    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert names == [("letters",)]


@pytest.mark.parametrize("what", ["not a database at all" * 100, ""])
async def test_store_is_a_fault_or_fresh_when_the_file_is_no_database(
    tmp_path: Path, what: str
) -> None:
    path = tmp_path / "store.sqlite3"
    path.write_text(what)
    store = sqlite_store(path)
    if what:
        with pytest.raises(StoreFault, match="not a database"):
            await store.prepare()
        assert not (await store.check()).ok
    else:
        await store.prepare()
        assert (await store.check()).ok
    await store.aclose()


async def test_store_says_where_when_its_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreFault, match=r"Not a directory|File exists"):
        await sqlite_store(tmp_path / "file" / "store.sqlite3").prepare()


@pytest.mark.parametrize("way", ["erased", "purged"])
async def test_text_is_in_no_file_when_it_was_deleted(path: Path, way: str) -> None:
    store = sqlite_store(path)
    await store.put([a_turn(1, question="Sesame")])
    assert await (store.erase(SESSION, OWNER) if way == "erased" else store.purge(2**50))
    assert not [one.name for one in path.parent.iterdir() if b"Sesame" in one.read_bytes()]
    await store.aclose()


async def test_sessions_are_counted_no_further_than_is_soon_done(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100001)"
        " INSERT INTO sessions SELECT i, 'o', i, i FROM n"
    )
    connection.commit()
    connection.close()
    store = sqlite_store(path)
    state = await store.check()
    assert (state.ok, state.detail) == (True, "at least 100000 sessions")
    await store.aclose()


def test_steps_undo_each_other_when_run_down_and_up(path: Path) -> None:
    database = at(path)
    before = _schema(path)
    assert migrate(database, "base", down=True).current is None
    assert _schema(path) == [("store_version",)]
    assert version_of(database).current is None
    after = migrate(database)
    assert after.current == after.newest == "0001"
    assert _schema(path) == before
    with pytest.raises(StoreRefused, match="no version '7'"):
        migrate(database, "7")
    database.close()


def _schema(path: Path) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    wanted = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    found = connection.execute(wanted).fetchall()
    connection.close()
    return found


def test_tables_are_what_the_steps_make(path: Path) -> None:
    database = at(path)
    with database.transaction() as connection:
        options = {"version_table": "store_version", "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    database.close()
