"""Copies of what is kept, taken while it is in use, and put back.

    copy_file(source, target)      a SQLite file, as it is at one moment, whoever writes it
    dump(database, target)         a server's tables, by its own client's tools
    load_dump(database, source)

A copy appears under its name only when it is whole. SQLite files are copied page by page into one
another, so whoever has them open goes on and sees the new content at once. The tools of MariaDB or
MySQL must be installed for a server; the password goes to them by their environment, never by an
argument that every user of the machine can read.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from qs.store.database import Database
from qs.store.migrate import VERSION_TABLE
from qs.store.tables import metadata

_PAGES_AT_ONCE: Final = 1_000
_PAUSE_S: Final = 0.01
_WAIT_S: Final = 10.0
_DUMPERS: Final = ("mariadb-dump", "mysqldump")
_CLIENTS: Final = ("mariadb", "mysql")
Told = Callable[[int, int], None]


class BackupFault(Exception):
    """There is no copy, or it cannot be put back; the message says why."""


def copy_file(source: Path, target: Path, told: Told = lambda _left, _all: None) -> None:
    """Copy a SQLite file to `target`: a new file, or over the content of one that may be in use.

    `told` hears now and then how many pages are left, and of how many. Raises BackupFault.
    """
    if not source.is_file():
        raise BackupFault(f"{source} does not exist")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            return _copy_pages(source, target, told)
        with _whole(target) as part:
            _copy_pages(source, part, told)
            with closing(_open(part)) as alone:  # all of it in its one file
                alone.execute("PRAGMA journal_mode = DELETE")
    except (sqlite3.Error, OSError) as error:
        raise BackupFault(f"{source} to {target}: {error}") from error


def _copy_pages(source: Path, target: Path, told: Told) -> None:
    with closing(_open(source)) as read, closing(_open(target)) as written:
        # One moment of the source, held: else every write to it would begin the copy again. It says
        # here, too, if it is no database.
        read.execute("BEGIN")
        if not read.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise BackupFault(f"{source} has nothing in it: it is no whole copy")
        read.backup(
            written,
            pages=_PAGES_AT_ONCE,
            sleep=_PAUSE_S,
            progress=lambda _status, left, of: told(left, of),
        )


def dump(database: Database, target: Path) -> None:
    """Write a server's tables into a file. Raises BackupFault."""
    options = ["--single-transaction", "--skip-lock-tables", "--no-tablespaces", "--hex-blob"]
    tables = [*metadata.tables, VERSION_TABLE]
    target.parent.mkdir(parents=True, exist_ok=True)
    with _whole(target) as part, part.open("xb") as out:
        command = [_tool(_DUMPERS), *_server(database), *options, str(database.url.database)]
        _run([*command, *tables], database, stdout=out)
        os.fsync(out.fileno())


def load_dump(database: Database, source: Path) -> None:
    """Put back what `dump` wrote, in place of what is there. Raises BackupFault."""
    try:
        with source.open("rb") as script:
            command = [_tool(_CLIENTS), *_server(database), str(database.url.database)]
            _run(command, database, stdin=script)
    except OSError as error:
        raise BackupFault(f"{source}: {error.strerror}") from error


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A place to write a file, which gets its name only when it is whole."""
    part = target.with_name(f"{target.name}.part")
    _forget(part)
    try:
        yield part
        part.replace(target)
    except OSError as error:
        raise BackupFault(f"{target}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            _forget(part)


def _forget(part: Path) -> None:
    for name in (part.name, *(part.name + end for end in ("-wal", "-shm", "-journal"))):
        part.with_name(name).unlink(missing_ok=True)


def _tool(names: Sequence[str]) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise BackupFault(
            f"{' or '.join(names)} is needed and is not installed: "
            "on Debian or Ubuntu `apt-get install mariadb-client`"
        )
    return found


def _server(database: Database) -> list[str]:
    url = database.url
    place = ["--protocol=tcp", f"--host={url.host}", f"--port={url.port or 3306}"]
    user = [f"--user={url.username}"] if url.username else []
    return ["--no-defaults", *place, *user, "--default-character-set=utf8mb4"]


def _run(command: Sequence[str], database: Database, **streams: object) -> None:
    password = {"MYSQL_PWD": str(database.url.password)} if database.url.password else {}
    done = subprocess.run(  # type: ignore[call-overload]  # noqa: S603 - the server's own tools
        command,
        env={**_environment(), **password},
        stderr=subprocess.PIPE,
        check=False,
        **streams,
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise BackupFault(f"{Path(command[0]).name}: {said or f'exit {done.returncode}'}")


def _environment() -> dict[str, str]:
    return {"PATH": os.defpath}
