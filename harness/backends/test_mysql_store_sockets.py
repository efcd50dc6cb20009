"""Goal: the store keeps its laws on a real MariaDB, whatever befalls the server.

Method: the same laws as SQLite's; then queries that are cancelled, a server that is frozen, killed
and started again, refuses, or is brought up to date by two programs at once.
"""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Final

import pytest
import sqlalchemy as sa
import trio
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from harness.backends.mariadb import PASSWORD, MariaDb
from harness.store_laws import OWNER, SESSION, StoreLaws, a_turn
from qs.store.__main__ import main
from qs.store.database import Database
from qs.store.migrate import migrate, version_of
from qs.store.port import StoreFault, StoreRefused
from qs.store.sql_store import SqlStore
from qs.store.tables import metadata, sessions

SLOW: Final = sa.text("SELECT SLEEP(30)")
LIMIT_S: Final = 0.5
GRACE_S: Final = 8.0  # for busy machines; the queries would take 30


@pytest.fixture(scope="module")
def url(mariadb: MariaDb) -> str:
    """A database with the tables in it."""
    url = mariadb.url("laws")
    database = Database.at(url)
    migrate(database)
    database.close()
    return url


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    """The store, empty."""
    made = SqlStore(Database.at(url), timeout_s=10)
    with made.database.transaction(writes=True) as connection:
        connection.execute(sa.delete(sessions))
    yield made
    await made.aclose()


@pytest.fixture
def fresh(mariadb: MariaDb) -> Iterator[Database]:
    """A database with nothing in it."""
    database = Database.at(mariadb.url("fresh"))
    yield database
    database.close()


class TestMariaDbStore(StoreLaws):
    """The laws."""


async def test_query_is_killed_on_the_server_and_its_connection_serves_on_when_its_asker_leaves(
    mariadb: MariaDb, store: SqlStore
) -> None:
    ids: set[object] = set()

    def connection_id(connection: sa.Connection) -> object:
        return connection.execute(sa.text("SELECT CONNECTION_ID()")).scalar()

    for _ in range(5):
        ids.add(await store._ask(connection_id))
        with trio.move_on_after(0.3) as left:
            await store._ask(lambda connection: connection.execute(SLOW))
        assert left.cancelled_caught
        await gone_from(mariadb)
    await store.put([a_turn(1)])
    assert await store.read(SESSION, OWNER, 1) is not None
    ids.add(await store._ask(connection_id))
    assert len(ids) == 1, "the killed query's connection was thrown away"


async def test_all_threads_are_free_again_when_many_askers_leave_at_once(
    mariadb: MariaDb, store: SqlStore
) -> None:
    with trio.move_on_after(0.5):
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(store._ask, lambda connection: connection.execute(SLOW))
    await gone_from(mariadb)
    with trio.fail_after(GRACE_S):
        await store.put([a_turn(1, opens=True)])
        assert await store.read(SESSION, OWNER, 1) is not None


async def test_slow_query_is_a_fault_in_time_and_killed_when_it_takes_too_long(
    mariadb: MariaDb, url: str, store: SqlStore
) -> None:
    hasty = SqlStore(Database.at(url), timeout_s=10)
    assert await hasty.read(SESSION, OWNER, 1) is None, "it is connected"
    hasty.timeout_s = LIMIT_S
    began = trio.current_time()
    with pytest.raises(StoreFault, match=r"no answer within 0\.5 s"):
        await hasty._ask(lambda connection: connection.execute(SLOW))
    assert trio.current_time() - began < LIMIT_S + GRACE_S
    await gone_from(mariadb)
    hasty.timeout_s = 10
    await hasty.put([a_turn(1)])
    await hasty.aclose()


async def gone_from(mariadb: MariaDb) -> None:
    """Soon, no slow query runs on the server."""
    with trio.fail_after(GRACE_S):
        while any("SLEEP" in statement for statement in mariadb.running()):  # noqa: ASYNC110 - it is
            await trio.sleep(0.05)  # another program's


async def test_store_is_a_fault_while_the_server_is_frozen_and_works_when_it_goes_on(
    mariadb: MariaDb, url: str
) -> None:
    store = SqlStore(Database.at(url), timeout_s=10)
    await store.put([a_turn(1, opens=True)])
    store.timeout_s = LIMIT_S
    mariadb.freeze()
    try:
        began = trio.current_time()
        with pytest.raises(StoreFault):
            await store.read(SESSION, OWNER, 1)
        assert not (await store.check()).ok
        assert trio.current_time() - began < 2 * LIMIT_S + GRACE_S
    finally:
        mariadb.thaw()
    store.timeout_s = 10
    await works_again(store)
    await store.aclose()


async def test_store_names_the_place_and_no_password_while_the_server_is_dead_and_works_again(
    mariadb: MariaDb, url: str
) -> None:
    store = SqlStore(Database.at(url))
    await store.put([a_turn(1, opens=True)])
    mariadb.kill()
    try:
        for _ in range(6):
            with pytest.raises(StoreFault) as caught:
                await store.put([a_turn(2)])
        state = await store.check()
        assert not state.ok
        assert f"store laws at 127.0.0.1:{mariadb.port}: " in state.detail
        assert "ss/w" not in state.detail + str(caught.value)
    finally:
        mariadb.start()
    await works_again(store)
    await store.put([a_turn(2)])
    transcript = await store.read(SESSION, OWNER, 9)
    assert transcript is not None
    assert transcript.turns == (a_turn(2), a_turn(1, opens=True))
    await store.aclose()


async def works_again(store: SqlStore) -> None:
    with trio.fail_after(30):
        while True:
            try:
                assert await store.read(SESSION, OWNER, 1) is not None
            except StoreFault:
                await trio.sleep(0.1)
            else:
                return


async def test_store_says_what_the_server_says_when_it_refuses(mariadb: MariaDb, url: str) -> None:
    wrong = SqlStore(Database.at(url.replace("wrd", "").replace("chats", "nobody")))
    with pytest.raises(StoreFault, match="1045 Access denied for user 'nobody'"):
        await wrong.prepare()
    no_such = SqlStore(Database.at(url.replace("/laws", "/elsewhere")))
    with pytest.raises(StoreFault, match=r"Access denied|Unknown database") as caught:
        await no_such.prepare()
    assert not isinstance(caught.value, StoreRefused), "it may be there later"


# Versions.


def test_steps_undo_each_other_and_make_the_tables_as_declared(
    mariadb: MariaDb, fresh: Database
) -> None:
    assert migrate(fresh).current == "0001"
    with fresh.transaction() as connection:
        options = {"version_table": "store_version", "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    columns = (
        "SELECT DISTINCT collation_name FROM information_schema.columns"
        " WHERE table_schema = 'fresh' AND table_name <> 'store_version'"
        " AND collation_name IS NOT NULL"
    )
    assert mariadb.run(columns) == [("utf8mb4_bin",)], "whatever the database's own default is"
    assert migrate(fresh, "base", down=True).current is None
    assert mariadb.run("SHOW TABLES IN fresh") == [("store_version",)]
    assert migrate(fresh).current == "0001"


def test_one_of_many_makes_the_tables_when_all_start_at_once(mariadb: MariaDb) -> None:
    url, many = mariadb.url("fresh"), 6
    together = Barrier(many)

    def start(_: int) -> str | None:
        database = Database.at(url)
        together.wait()
        try:
            return migrate(database).current
        finally:
            database.close()

    with ThreadPoolExecutor(many) as threads:
        assert [*threads.map(start, range(many))] == ["0001"] * many


def test_half_made_tables_are_completed_when_the_step_was_cut_off(
    mariadb: MariaDb, fresh: Database
) -> None:
    migrate(fresh)
    mariadb.run("DELETE FROM fresh.store_version", "DROP TABLE fresh.feedback, fresh.citations")
    assert migrate(fresh).current == "0001"
    assert len(mariadb.run("SHOW TABLES IN fresh")) == len(metadata.tables) + 1


def test_tables_of_somebody_else_and_a_newer_version_are_refused(
    mariadb: MariaDb, fresh: Database
) -> None:
    mariadb.run("CREATE TABLE fresh.turns (a INT)", "CREATE TABLE fresh.letters (a INT)")
    with pytest.raises(StoreRefused, match="not of this program: turns"):
        migrate(fresh)
    mariadb.run("DROP TABLE fresh.turns")
    assert migrate(fresh).current == "0001", "a table of another name is nobody's trouble"
    mariadb.run("UPDATE fresh.store_version SET version_num = '9999'")
    with pytest.raises(StoreRefused, match="version 9999, which a newer version"):
        version_of(fresh)


# Copies.


async def test_copy_brings_back_what_was_kept_when_the_tables_are_lost(
    mariadb: MariaDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {
        "QS_STORE_URL": mariadb.url("copied"),
        "QS_INDEX_PATH": str(tmp_path / "none.sqlite3"),
        "QS_SPOOL_DIR": str(tmp_path / "spool"),
    }
    copy = str(tmp_path / "copy")
    store = SqlStore(Database.at(environ["QS_STORE_URL"]))
    await store.prepare()
    await store.put([a_turn(1, opens=True), a_turn(2)])
    before = await store.read(SESSION, OWNER, 9)
    assert before is not None
    assert await trio.to_thread.run_sync(main, ["backup", copy], environ) == 0
    await store.put([a_turn(3)])
    mariadb.run("DROP TABLE copied.feedback", "DROP TABLE copied.citations")
    assert await trio.to_thread.run_sync(main, ["restore", copy], environ) == 0
    assert await store.read(SESSION, OWNER, 9) == before
    await store.put([a_turn(3)])
    await store.aclose()
    assert "version 0001, newest 0001" in capsys.readouterr().out
    assert PASSWORD.encode() not in everything_in(tmp_path)


def everything_in(folder: Path) -> bytes:
    """The bytes of all its files."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_no_copy_is_left_and_the_server_is_quoted_when_it_refuses(
    mariadb: MariaDb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, folder = mariadb.url("copied"), tmp_path / "copy"
    environ = {"QS_STORE_URL": url, "QS_INDEX_PATH": str(tmp_path / "none.sqlite3")}
    assert main(["backup", str(folder)], environ) == 1
    assert "there is neither a store nor an index yet" in capsys.readouterr().err
    assert main(["backup", str(folder)], environ | {"QS_STORE_URL": url.replace("ss", "s")}) == 1
    assert "Access denied for user" in capsys.readouterr().err
    assert [*tmp_path.rglob("*")] == [], "not even a folder"
