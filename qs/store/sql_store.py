"""The engine behind `Store`: SQL, the same for SQLite and for MySQL and MariaDB.

Everything blocks, so everything runs through an injected `run_blocking`. Whoever leaves, or has
waited for `timeout_s`, is let go at once; what he asked is then ended where it runs, on the server
too, within a bound, and its connection serves the next.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar, cast

import sqlalchemy as sa
import trio
from attrs import define, field
from sqlalchemy.engine import Connection

from contracts.limits import CLEANUP_MS, QS_STORE_TIMEOUT_MS
from qs.blocking import RunBlocking, in_worker_threads
from qs.store.database import CONNECTIONS_MAX, Database
from qs.store.migrate import migrate
from qs.store.port import (
    Feedback,
    KeptTurn,
    Session,
    StoreFault,
    StoreState,
    Transcript,
    TurnStatus,
    supersedes,
)
from qs.store.rows import (
    Row,
    citation_rows,
    feedback_row,
    session_of,
    session_row,
    source_rows,
    turn_of,
    turn_row,
)
from qs.store.tables import citations, feedback, sessions, sources, turns

T = TypeVar("T")
# How many sessions one transaction of a purge deletes: others get their turn in between. 200 of
# fifty turns with twenty sources each took SQLite more than the two seconds that it has.
_PURGED_AT_ONCE: Final = 20
_COUNTED_MAX: Final = 100_000


def _threads(count: int) -> RunBlocking:
    return in_worker_threads(trio.CapacityLimiter(count))


@define
class SqlStore:
    """The `Store` in a database. It opens nothing before the first use."""

    database: Database
    timeout_s: float = QS_STORE_TIMEOUT_MS / 1000
    run_blocking: RunBlocking = field(factory=lambda: _threads(CONNECTIONS_MAX))
    # Of its own, since all threads may be waiting for what is to be ended.
    run_stopping: RunBlocking = field(factory=lambda: _threads(CONNECTIONS_MAX))

    async def prepare(self) -> None:
        """Bring the tables up to this program's version; however long that takes."""
        await self.run_blocking(lambda: migrate(self.database))

    async def put(self, turns: Sequence[KeptTurn]) -> None:
        """Keep these turns in one transaction."""

        def put_all(connection: Connection) -> None:
            for turn in turns:
                _put(connection, turn)

        await self._ask(put_all, writes=True)

    async def read(self, session_id: str, owner: str, newest: int) -> Transcript | None:
        """The session with its newest turns."""
        return await self._ask(lambda connection: _read(connection, session_id, owner, newest))

    async def erase(self, session_id: str, owner: str) -> bool:
        """Delete a session; what hangs on it goes with it."""
        one = sa.delete(sessions).where(
            sessions.c.session_id == session_id, sessions.c.owner == owner
        )
        erased = await self._ask(lambda connection: _count(connection, one) > 0, writes=True)
        if erased:
            await self._overwrite()
        return erased

    async def rate(self, request_id: str, owner: str, feedback: Feedback) -> bool:
        """Keep feedback on a turn, in place of any before."""
        return await self._ask(
            lambda connection: _rate(connection, request_id, owner, feedback), writes=True
        )

    async def purge(self, unused_since_ms: int) -> int:
        """Delete the sessions last used before this, some at a time."""
        purged = 0
        while True:
            some = await self._ask(lambda c: _purge(c, unused_since_ms), writes=True)
            purged += some
            if some < _PURGED_AT_ONCE:
                break
        if purged:
            await self._overwrite()
        return purged

    async def check(self) -> StoreState:
        """How many sessions are kept, as far as that is soon counted, or why it cannot be told."""
        some = sa.select(sessions.c.used_ms).limit(_COUNTED_MAX).subquery()
        counted = sa.select(sa.func.count()).select_from(some)
        try:
            many = await self._ask(lambda c: c.execute(counted).scalar_one())
        except StoreFault as fault:
            return StoreState(ok=False, detail=str(fault))
        least = "" if many < _COUNTED_MAX else "at least "
        return StoreState(ok=True, detail=f"{least}{many} sessions")

    async def aclose(self) -> None:
        """Close the idle connections; one in use closes when it has ended."""
        await self.run_stopping(self.database.close)

    async def _overwrite(self) -> None:
        """What was deleted is nowhere else; where it takes long it goes on by itself."""
        with trio.move_on_after(CLEANUP_MS / 1000), suppress(StoreFault):
            await self.run_blocking(self.database.overwrite)

    async def _ask(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        asking = self.database.asking()
        ended = False

        def run() -> T:
            with self.database.transaction(asking, writes=writes) as connection:
                return work(connection)

        try:
            with trio.move_on_after(self.timeout_s):
                answer = await self.run_blocking(run)
                ended = True
                return answer
            raise StoreFault(f"{self.database.name}: no answer within {self.timeout_s:g} s")
        finally:
            if not ended and asking.leave():
                with trio.move_on_after(CLEANUP_MS / 1000, shield=True):
                    await self.run_stopping(asking.stop)


def _put(connection: Connection, turn: KeptTurn) -> None:
    asked = turn.asked
    if not _used(connection, turn):
        return
    same = sa.and_(turns.c.owner == asked.owner, turns.c.request_id == asked.request_id)
    wanted = sa.select(turns.c.turn_id, turns.c.status).where(same).with_for_update()
    before = connection.execute(wanted).first()
    if before is not None:
        stands = not supersedes(turn.ended.status, cast(TurnStatus, before.status))
        if stands or before.turn_id == asked.turn_id:
            # It was given for the request, while this attempt was the last that was known here.
            _give_if_newer(connection, before.turn_id, turn.feedback)
            return
        connection.execute(sa.delete(turns).where(turns.c.turn_id == before.turn_id))
    connection.execute(sa.insert(turns), turn_row(turn))
    for table, rows in ((sources, source_rows(turn)), (citations, citation_rows(turn))):
        if rows:
            connection.execute(sa.insert(table), rows)
    if turn.feedback is not None:
        connection.execute(sa.insert(feedback), feedback_row(asked.turn_id, turn.feedback))


def _used(connection: Connection, turn: KeptTurn) -> bool:
    """Note that a turn's session was used, or make it; False where it was erased."""
    asked = turn.asked
    this = sessions.c.session_id == asked.session_id
    found = _rows(connection, sa.select(sessions).where(this).with_for_update())
    if not found:
        if asked.opens:
            made = Session(asked.session_id, asked.owner, asked.asked_ms, asked.asked_ms)
            connection.execute(sa.insert(sessions), session_row(made))
        return asked.opens
    session = session_of(found[0])
    if session.used_ms < asked.asked_ms:
        connection.execute(sa.update(sessions).where(this).values(used_ms=asked.asked_ms))
    return session.owner == asked.owner


def _read(connection: Connection, session_id: str, owner: str, newest: int) -> Transcript | None:
    wanted = sa.select(sessions).where(
        sessions.c.session_id == session_id, sessions.c.owner == owner
    )
    of_owner = _rows(connection, wanted)
    if not of_owner:
        return None
    session = session_of(of_owner[0])
    found = _rows(
        connection,
        sa.select(turns)
        .where(turns.c.session_id == session_id)
        .order_by(turns.c.asked_ms.desc(), turns.c.turn_id)
        .limit(newest),
    )
    ids = [turn["turn_id"] for turn in found]
    shown, cited, rated = (_by_turn(connection, table, ids) for table in _OF_TURNS)
    return Transcript(
        session,
        tuple(
            turn_of(
                turn,
                shown[turn["turn_id"]],
                cited[turn["turn_id"]],
                next(iter(rated[turn["turn_id"]]), None),
                opens=turn["asked_ms"] == session.created_ms,
            )
            for turn in found
        ),
    )


_OF_TURNS: Final = (sources, citations, feedback)


def _by_turn(
    connection: Connection, table: sa.Table, ids: Sequence[object]
) -> defaultdict[object, list[Row]]:
    """The table's rows of these turns, in their order, by turn."""
    wanted = sa.select(table).where(table.c.turn_id.in_(ids)).order_by(*table.primary_key)
    rows: defaultdict[object, list[Row]] = defaultdict(list)
    for row in _rows(connection, wanted):
        rows[row["turn_id"]].append(row)
    return rows


def _rows(connection: Connection, wanted: sa.Select[tuple[object, ...]]) -> list[Row]:
    return [dict(row) for row in connection.execute(wanted).mappings()]


def _rate(connection: Connection, request_id: str, owner: str, given: Feedback) -> bool:
    wanted = sa.select(turns.c.turn_id).where(
        turns.c.owner == owner, turns.c.request_id == request_id
    )
    turn_id = connection.execute(wanted.with_for_update()).scalar()
    if turn_id is None:
        return False
    _give(connection, turn_id, given)
    return True


def _give(connection: Connection, turn_id: str, given: Feedback) -> None:
    connection.execute(sa.delete(feedback).where(feedback.c.turn_id == turn_id))
    connection.execute(sa.insert(feedback), feedback_row(turn_id, given))


def _give_if_newer(connection: Connection, turn_id: str, given: Feedback | None) -> None:
    wanted = sa.select(feedback.c.given_ms).where(feedback.c.turn_id == turn_id)
    if given is not None and (connection.execute(wanted).scalar() or 0) < given.given_ms:
        _give(connection, turn_id, given)


def _purge(connection: Connection, unused_since_ms: int) -> int:
    old = sa.select(sessions.c.session_id).where(sessions.c.used_ms < unused_since_ms)
    ids = connection.execute(old.limit(_PURGED_AT_ONCE)).scalars().all()
    return _count(connection, sa.delete(sessions).where(sessions.c.session_id.in_(ids)))


def _count(connection: Connection, change: sa.Delete) -> int:
    """How many rows a deletion took."""
    return connection.execute(change).rowcount
