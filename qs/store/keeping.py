"""What keeps conversations in a running program, as its settings say, and how ready it is.

A file of this machine is the program's own: when it cannot be used the program is not ready. A
server is a neighbour: that it is down shows in `/ready`, turns wait in the spool, answers go on. So
does a spool that cannot be written, because an answer that is not kept is still an answer.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from hop.app import Check
from hop.program import CannotServe, Program
from qs.blocking import in_worker_threads
from qs.config import QueryServiceSettings
from qs.store.database import Database
from qs.store.kept import Kept, open_kept
from qs.store.port import StoreRefused
from qs.store.spool import Spool
from qs.store.spool_folder import SpoolFolder
from qs.store.sql_store import SqlStore

_SPOOL_THREADS: Final = 8


@frozen
class Keeping:
    """What is kept, and the checks that `/ready` makes of it."""

    kept: Kept
    own: Mapping[str, Check]
    neighbours: Mapping[str, Check]

    @classmethod
    def of(cls, kept: Kept, *, store_is_own: bool) -> "Keeping":
        """With the store's check where it belongs."""
        store = {"store": kept.check_store}
        spool = {"spool": kept.check_spool}
        return cls(kept, store, spool) if store_is_own else cls(kept, {}, {**store, **spool})


@asynccontextmanager
async def open_keeping(program: Program, settings: QueryServiceSettings) -> AsyncIterator[Keeping]:
    """The store and the spool of the settings, at work. Raises CannotServe."""
    database = Database.at(settings.store_url)
    store = SqlStore(database, settings.store_timeout_ms / 1000)
    threads = trio.CapacityLimiter(_SPOOL_THREADS)
    folder = SpoolFolder(Path(settings.spool_dir))
    # Work on a file is never left behind: the next on the same file must find it done.
    spool = Spool(folder, in_worker_threads(threads, abandon=False))
    try:
        async with open_kept(store, spool, program, settings.retention_days) as kept:
            yield Keeping.of(kept, store_is_own=database.is_file)
    except StoreRefused as refusal:
        raise CannotServe(str(refusal)) from refusal
