"""A database at a url, for blocking use: SQLite in one file, or MySQL and MariaDB.

    Database.at(url)              opens nothing yet
    .transaction(asking)          a connection inside one transaction, committed on leaving
    asking.stop()                 ends what it does there, from another thread, on the server too

SQLAlchemy and its drivers end here: whatever they raise becomes a `StoreFault`, or a
`StoreRefused` where asking again cannot help. Connections are kept for the next one, also the one
whose statement was killed; one that has died, or leads to a file that is no longer there, is
replaced unseen.
"""

import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Lock
from typing import Final, Protocol, cast
from urllib.parse import quote

import pymysql  # type: ignore[import-untyped]  # it ships no types
import sqlalchemy as sa
from attrs import define, field
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from qs.store.port import StoreFault, StoreRefused

CONNECTIONS_MAX: Final = 4
BUSY_TIMEOUT_S: Final = 5.0
_CONNECT_S: Final = 2
# A thread that waits for a server which has vanished is held no longer than this.
_SILENCE_S: Final = 15
_KILL_S: Final = 1
_STOP_AGAIN_S: Final = 0.1
_STOPS_MAX: Final = 10
_WRITES: Final = "writes"
# What the driver raises where its server's first words are somebody else's.
_FALLS_OVER: Final = (
    AssertionError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
_MYSQL: Final[Mapping[str, object]] = {
    "charset": "utf8mb4",
    "connect_timeout": _CONNECT_S,
    "read_timeout": _SILENCE_S,
    "write_timeout": _SILENCE_S,
}
_SQLITE: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # what is erased is overwritten
)


class _Dbapi(Protocol):
    """As much of a driver's connection as is used here."""

    def interrupt(self) -> None: ...
    def thread_id(self) -> int: ...


@define
class Asking:
    """One use of a connection, which may be stopped from another thread.

    The lock makes sure that only this use is stopped: once the connection is given back, another
    may be using it.
    """

    _database: "Database"
    _dbapi: _Dbapi | None = field(default=None, init=False)
    _left: bool = field(default=False, init=False)
    _ended: Event = field(factory=Event, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    def begin(self, connection: Connection) -> None:
        """From here on `stop` ends what the connection does, or refuses to let it begin."""
        self._dbapi = cast(_Dbapi, connection.connection.dbapi_connection)
        if self._left:
            raise StoreFault("whoever asked has left")

    def end(self) -> None:
        """The connection is somebody else's now."""
        with self._lock:
            self._dbapi = None
        self._ended.set()

    def leave(self) -> bool:
        """Let nothing begin any more; whether something has begun, which `stop` has to end.

        It is said first and looked at afterwards, and `begin` does the reverse: one sees the other.
        """
        self._left = True
        return self._dbapi is not None

    def stop(self) -> None:
        """End it wherever it is; nothing happens when it has ended. Blocks.

        It is said again until it is heard: between two statements nobody listens.
        """
        for _ in range(_STOPS_MAX):
            with self._lock:
                if self._dbapi is None:
                    return
                self._database.stop(self._dbapi)
            if self._ended.wait(_STOP_AGAIN_S):
                return


@define
class Database:
    """Where the tables are."""

    url: URL
    engine: Engine

    @classmethod
    def at(cls, url: str) -> "Database":
        """The database of a url that the settings have taken."""
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return cls(parsed, _sqlite(parsed))
        return cls(parsed, _mysql(parsed))

    @classmethod
    def to_look_at(cls, path: Path) -> "Database":
        """A SQLite file of which nothing is changed, not even how it is kept."""
        place = f"file:{quote(str(path.absolute()))}?mode=ro"
        engine = sa.create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(place, uri=True),
            poolclass=NullPool,
            hide_parameters=True,
        )
        return cls(URL.create("sqlite", database=str(path)), engine)

    @property
    def is_file(self) -> bool:
        """Whether it is this machine's own file, not a server's."""
        return self.engine.dialect.name == "sqlite"

    @property
    def path(self) -> Path:
        """The file, where it is one."""
        assert self.is_file and self.url.database
        return Path(self.url.database)

    @property
    def name(self) -> str:
        """What messages call it: never with a password."""
        if self.is_file:
            return f"store {self.url.database}"
        return f"store {self.url.database} at {self.url.host}:{self.url.port or 3306}"

    def make_room(self) -> None:
        """Make the folder that the file stands in."""
        if self.is_file:
            with self._foreign_faults():
                self.path.parent.mkdir(parents=True, exist_ok=True)

    def asking(self) -> Asking:
        """A use that can be stopped."""
        return Asking(self)

    @contextmanager
    def transaction(
        self, asking: Asking | None = None, *, writes: bool = False
    ) -> Iterator[Connection]:
        """A connection in one transaction. Raises StoreFault, whatever fails in it."""
        asking = asking or self.asking()
        with self._foreign_faults(), self._connected() as plain:
            connection = plain.execution_options(**{_WRITES: writes})
            try:
                asking.begin(connection)
                with connection.begin():
                    yield connection
            finally:
                asking.end()

    def stop(self, dbapi: _Dbapi) -> None:
        """End the statement that runs on this connection, which stays usable."""
        if self.is_file:
            dbapi.interrupt()
            return
        place, options = self.engine.dialect.create_connect_args(self.url)
        limits = {"connect_timeout": _KILL_S, "read_timeout": _KILL_S}
        options = {**options, **_MYSQL, **limits}
        with (
            suppress(pymysql.Error, OSError, *_FALLS_OVER),
            pymysql.connect(*place, **options) as second,
        ):
            second.query(f"KILL QUERY {dbapi.thread_id():d}")

    def overwrite(self) -> None:
        """Take out of SQLite's log what was deleted from its file, unless somebody is reading."""
        if self.is_file:
            with (
                self._foreign_faults(),
                closing(self.engine.raw_connection()) as connection,
                suppress(sqlite3.Error),
            ):
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the idle connections; one still used is closed when it is given back."""
        self.engine.dispose()

    def _connected(self) -> Connection:
        try:
            return self.engine.connect()
        except _FALLS_OVER as error:
            raise StoreFault(f"{self.name}: no database answers there: {error}") from error

    @contextmanager
    def _foreign_faults(self) -> Iterator[None]:
        try:
            yield
        except (exc.DataError, exc.NotSupportedError) as error:
            raise StoreRefused(f"{self.name}: {_reason(error)}") from error
        except exc.SQLAlchemyError as error:
            raise StoreFault(f"{self.name}: {_reason(error)}") from error
        except OSError as error:
            raise StoreFault(f"{self.name}: {error.strerror}") from error


def _reason(error: exc.SQLAlchemyError) -> str:
    """What the driver said, without the statement and its values: they hold people's text."""
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return str(cause)
    if isinstance(cause, pymysql.err.IntegrityError | pymysql.err.DataError):
        return f"{type(cause).__name__} {cause.args[0]}"  # its words quote the value
    return " ".join(str(word) for word in cause.args) if cause else type(error).__name__


def _sqlite(url: URL) -> Engine:
    engine = sa.create_engine(
        url,
        poolclass=QueuePool,
        pool_size=CONNECTIONS_MAX,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        hide_parameters=True,
    )
    path = Path(url.database or "")

    def connected(dbapi: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        dbapi.isolation_level = (
            None  # transactions begin where SQLAlchemy says, not where it guesses
        )
        for pragma in _SQLITE:
            dbapi.execute(pragma)
        entry.info["file"] = _file(path)

    def checked_out(_: object, entry: ConnectionPoolEntry, __: object) -> None:
        if entry.info["file"] != _file(path):
            raise exc.DisconnectionError("the file is not there any more")

    def begun(connection: Connection) -> None:
        # A reader that turns writer half-way is refused at once where another writes.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "checkout", checked_out)
    event.listen(engine, "begin", begun)
    return engine


def _file(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _mysql(url: URL) -> Engine:
    return sa.create_engine(
        url,
        pool_size=CONNECTIONS_MAX,
        pool_pre_ping=True,
        pool_recycle=1_800,
        # Gaps are not locked, so two that store at once do not stand in each other's way.
        isolation_level="READ COMMITTED",
        connect_args=dict(_MYSQL),
        hide_parameters=True,
    )
