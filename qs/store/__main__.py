"""`python -m qs.store`: the store's version, copies of what is kept, and what is kept no longer.

Settings come from the environment, as the query service's do. Exit status: 0 when it is done; 1
when it could not be, said in one line; 2 for wrong arguments or settings; 130 after Ctrl-C or
SIGTERM, which leave nothing running that was started here.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import trio

from hop.settings import SettingsError, load
from qs.config import QueryServiceSettings
from qs.store.backup import BackupFault, Told, copy_file, dump, load_dump
from qs.store.database import Database
from qs.store.kept import DAY_MS, wall_clock_ms
from qs.store.migrate import Version, migrate, version_of
from qs.store.port import StoreFault
from qs.store.sql_store import SqlStore

INTERRUPTED: Final = 130
_STORE_FILE, _STORE_DUMP, _INDEX_FILE = "store.sqlite3", "store.sql", "index.sqlite3"
_NOT_MADE: Final = "not made yet; it is, when the query service starts"
Settings = QueryServiceSettings
Asked = argparse.Namespace


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command; the result is the exit status."""
    asked = _parser().parse_args(arguments)
    try:
        settings, _ = load(Settings, environ)
        command: Callable[[Settings, Asked], None] = asked.command
        command(settings, asked)
    except SettingsError as error:
        for line in error.lines:
            print(f"store: {line}", file=sys.stderr)
        return 2
    except (StoreFault, BackupFault) as fault:
        print(f"store: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("store: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _status(settings: Settings, _: Asked) -> None:
    database = Database.at(settings.store_url)
    if not _is_made(database):
        print(f"{database.name}: {_NOT_MADE}")
        return
    with closing(database):
        print(_told(database, version_of(database)))


def _is_made(database: Database) -> bool:
    """Whether the store is there; StoreFault where that cannot be seen."""
    if database.is_file:
        return database.path.exists()  # opened, it would be made
    with closing(database):
        return version_of(database).current is not None


def _upgrade(settings: Settings, asked: Asked) -> None:
    with closing(Database.at(settings.store_url)) as database:
        print(_told(database, migrate(database, asked.version)))


def _downgrade(settings: Settings, asked: Asked) -> None:
    with closing(Database.at(settings.store_url)) as database:
        print(_told(database, migrate(database, asked.version, down=True)))


def _told(database: Database, version: Version) -> str:
    return f"{database.name}: version {version.current or 'none'}, newest {version.newest}"


def _purge(settings: Settings, asked: Asked) -> None:
    days = settings.retention_days if asked.days is None else asked.days
    if not days:
        raise StoreFault("QS_RETENTION_DAYS is 0, which keeps everything: give --days")
    with closing(Database.at(settings.store_url)) as database:
        if not _is_made(database):
            raise StoreFault(f"{database.name}: {_NOT_MADE}")
        purged = trio.run(SqlStore(database).purge, wall_clock_ms() - days * DAY_MS)
    print(f"{purged} conversations, unused for {days} days, are deleted")


def _backup(settings: Settings, asked: Asked) -> None:
    folder = Path(asked.folder or f"var/backups/{time.strftime('%Y-%m-%d-%H%M%S')}")
    if folder.exists() and any(folder.iterdir()):
        raise BackupFault(f"{folder} is not empty: a copy is never written over another")
    database, index = Database.at(settings.store_url), Path(settings.index_path)
    is_made = _is_made(database)
    if not is_made and not index.exists():
        raise BackupFault("there is neither a store nor an index yet")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    umask = os.umask(0o077)  # a copy holds what people have asked, whoever may see its folder
    try:
        if is_made:
            _copy_store(database, folder)
        if index.exists():
            copy_file(index, folder / _INDEX_FILE, _shown("index"))
            print(f"index {index}: {_size(folder / _INDEX_FILE)}")
    finally:
        os.umask(umask)
        if not any(folder.iterdir()):
            folder.rmdir()
    if waiting := list(Path(settings.spool_dir).glob("*/*.turn")):
        print(f"not in it: {len(waiting)} turns that are still in {settings.spool_dir}")
    print(f"the copy is in {folder}")


def _copy_store(database: Database, folder: Path) -> None:
    copy = folder / (_STORE_FILE if database.is_file else _STORE_DUMP)
    if database.is_file:
        copy_file(database.path, copy, _shown("store"))
    else:
        dump(database, copy)
    print(f"{database.name}: {_size(copy)}")


def _restore(settings: Settings, asked: Asked) -> None:
    folder, database = Path(asked.folder), Database.at(settings.store_url)
    name = _STORE_FILE if database.is_file else _STORE_DUMP
    kept, index = folder / name, folder / _INDEX_FILE
    if not kept.exists() and not index.exists():
        raise BackupFault(f"{folder} has neither {name} nor {_INDEX_FILE}")
    if kept.exists():
        if database.is_file:
            version_of(Database.to_look_at(kept))  # refuses what is not ours, or newer
            copy_file(kept, database.path, _shown("store"))
        else:
            load_dump(database, kept)
        with closing(database):
            print(_told(database, migrate(database)))
    if index.exists():
        copy_file(index, Path(settings.index_path), _shown("index"))
        print(f"index {settings.index_path}: restored")


def _shown(what: str) -> Told:
    """On a terminal: how far the copy has come."""

    def told(left: int, of: int) -> None:
        if sys.stderr.isatty():
            done = f"\r{what}: {100 * (of - left) // max(of, 1)} %"
            print(done, end="" if left else "\n", file=sys.stderr, flush=True)

    return told


def _size(path: Path) -> str:
    return f"{path} ({path.stat().st_size / 1_000_000:.1f} MB)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m qs.store",
        description="Look after what is kept of conversations, where QS_STORE_URL says.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, about: str, run: Callable[[Settings, Asked], None]
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about.capitalize() + ".")
        made.set_defaults(command=run)
        return made

    command("status", "print the store's version", _status)
    up = command("upgrade", "bring the store up to this program's version", _upgrade)
    up.add_argument("version", metavar="VERSION", nargs="?", default="head")
    down = command("downgrade", "take the store back to an older version", _downgrade)
    down.add_argument(
        "version",
        metavar="VERSION",
        help="0001, …; `base` deletes the tables with all in them",
    )
    purge = command("purge", "delete conversations that were not used for long", _purge)
    purge.add_argument("--days", type=_days, help="for how many days (default: QS_RETENTION_DAYS)")
    backup = command("backup", "copy the store and the index, while they are in use", _backup)
    backup.add_argument(
        "folder", metavar="FOLDER", nargs="?", help="default: var/backups/ and the time"
    )
    restore = command("restore", "put such a copy back, in place of what is there", _restore)
    restore.add_argument("folder", metavar="FOLDER")
    return parser


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 36_500:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 36500")
    return int(text)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:], os.environ))
