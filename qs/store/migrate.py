"""The store's version: brought up to what this program needs, or refused with a reason.

Alembic's steps, run on a connection of ours: no `alembic.ini`, no environment file. Two programs
that start at once take turns: on SQLite by the write transaction itself, on a server by a named
lock. On SQLite a step that fails or is killed leaves nothing behind; on a server, where a change of
tables cannot be undone, it is made again.

A store of a newer version, or tables that are somebody else's, are refused and not touched.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from attrs import frozen
from sqlalchemy.engine import Connection

from qs.store.database import Database
from qs.store.port import StoreFault, StoreRefused
from qs.store.tables import metadata

VERSION_TABLE: Final = "store_version"
_LOCK: Final = "bsl store version"
# Shorter than a connection may be silent: whoever waits longer is told, and asks again.
_LOCK_S: Final = 10
_FOLDER: Final = Path(__file__).parent / "migrations"


@frozen
class Version:
    """Where a store stands: None before the first step. `newest` is what this program needs."""

    current: str | None
    newest: str


def version_of(database: Database) -> Version:
    """The store's version. Raises StoreFault; StoreRefused where it is not one of ours."""
    with database.transaction() as connection:
        return _version(database, connection)


def migrate(database: Database, target: str = "head", *, down: bool = False) -> Version:
    """Bring the store to `target`: a version, `head` or `base`. Raises StoreFault, StoreRefused.

    Refused where it would go the other way: what an older version cannot hold is deleted.
    """
    wanted = _resolved(target)
    database.make_room()
    with _alone(database), database.transaction(writes=True) as connection:
        before = _version(database, connection)
        if before.current != wanted:
            if down is not _older(wanted, before.current):
                way = "an upgrade" if down else "a downgrade"
                raise StoreRefused(
                    f"{database.name} is of version {before.current or 'none'}: "
                    f"from there to {wanted or 'none'} is {way}"
                )
            _run(connection, before.current, wanted, down=down)
        return _version(database, connection)


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_FOLDER), version_locations=[str(_FOLDER / "versions")])


def _resolved(target: str) -> str | None:
    scripts = _scripts()
    if target == "base":
        return None
    if target == "head":
        return scripts.get_current_head()
    if target not in {script.revision for script in _steps(scripts)}:
        raise StoreRefused(f"there is no version {target!r}")
    return target


def _older(one: str | None, other: str | None) -> bool:
    return (one or "") < (other or "")  # versions sort by name


def _run(connection: Connection, current: str | None, wanted: str | None, *, down: bool) -> None:
    scripts = _scripts()

    def steps(_: object, __: MigrationContext) -> object:
        if down:
            return scripts._downgrade_revs(wanted or "base", current)
        return scripts._upgrade_revs(wanted or "head", current or "base")

    with EnvironmentContext(Config(), scripts, fn=steps, destination_rev=wanted) as environment:
        # The connection is in a transaction already, which Alembic leaves to us.
        environment.configure(connection=connection, version_table=VERSION_TABLE)
        environment.run_migrations()


def _version(database: Database, connection: Connection) -> Version:
    scripts = _scripts()
    newest = scripts.get_current_head()
    if newest is None:  # Alembic says of a folder that it cannot list that it is empty.
        raise StoreFault(f"{database.name}: the steps of its versions cannot be read just now")
    tables = set(sa.inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        # A server's database may be shared; a file is ours alone.
        theirs = tables if database.is_file else tables & set(metadata.tables)
        if theirs:
            some = ", ".join(sorted(theirs)[:3])
            raise StoreRefused(f"{database.name} has tables that are not of this program: {some}")
        return Version(None, newest)
    marks = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
    current = connection.execute(sa.select(marks.c.version_num)).scalar()
    if current is not None and current not in {script.revision for script in _steps(scripts)}:
        raise StoreRefused(
            f"{database.name} is of version {current}, which a newer version of this program made; "
            f"this one knows versions up to {newest}: run the newer one, or restore a backup"
        )
    return Version(current, newest)


def _steps(scripts: ScriptDirectory) -> Iterator[Script]:
    return scripts.walk_revisions()


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    """Nobody else changes the tables until it is committed; on SQLite the transaction's affair."""
    if database.is_file:
        yield
        return
    # On a connection of its own: given back any sooner, another would not see what was changed.
    with database.transaction() as connection:
        taken = connection.execute(sa.select(sa.func.get_lock(_LOCK, _LOCK_S))).scalar()
        if taken != 1:
            raise StoreFault(f"{database.name}: another program has been changing it for long")
        try:
            yield
        finally:
            connection.execute(sa.select(sa.func.release_lock(_LOCK)))
