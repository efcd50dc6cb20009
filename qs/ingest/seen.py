"""Which documents an ingest has come across: what is not among them is gone from the root.

It is kept in a temporary database of SQLite's, which goes to disk when it grows, so that a corpus
of any size is remembered in the same few megabytes.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Final

from attrs import frozen

PLACE_MARKS: Final = "/#"

_SCHEMA = """
CREATE TABLE seen (path TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE unseen_below (prefix TEXT PRIMARY KEY) WITHOUT ROWID;
"""


@frozen
class Seen:
    """The paths of one root that were seen, and the places that could not be looked into."""

    _database: sqlite3.Connection

    def add(self, path: str) -> bool:
        """Whether it was seen for the first time."""
        return bool(
            self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (path,)).rowcount
        )

    def add_all_below(self, prefix: str) -> None:
        """Whatever begins so, up to one of the marks, may still be there: nobody could look."""
        self._database.execute("INSERT OR IGNORE INTO unseen_below VALUES (?)", (prefix,))

    def add_all(self) -> None:
        """Everything may still be there."""
        self.add_all_below("")

    def gone(self, paths: Iterable[str]) -> Iterator[str]:
        """Those that were not seen and would have been."""
        return (path for path in paths if not self._may_be_there(path))

    def _may_be_there(self, path: str) -> bool:
        """A place ends with a mark, so that each path is below few, whatever their number."""
        places = ["", *(path[:at] for at, mark in enumerate(path, start=1) if mark in PLACE_MARKS)]
        found = self._database.execute(
            "SELECT 1 FROM seen WHERE path = ? UNION ALL SELECT 1 FROM unseen_below"  # noqa: S608 - only placeholders are put in
            f" WHERE prefix IN ({', '.join('?' * len(places))}) LIMIT 1",
            (path, *places),
        )
        return found.fetchone() is not None


@contextmanager
def open_seen() -> Iterator[Seen]:
    """Nothing seen yet; gone at the end."""
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        database.executescript(_SCHEMA)
        database.execute("BEGIN")
        yield Seen(database)
