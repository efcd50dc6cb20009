"""A `Store` in memory, for worlds: held to the same suite as the real ones (`harness/store_cases`).

`fault`, where it is set, is what every call raises: a store that is down; `silent_s` is how long it
says nothing. `keeping_in_memory` is a
query service's whole keeping round it: the real spool in a folder that is gone afterwards, on
trio's clock, blocking work run inline, and no disk waited for.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import attrs
import trio
from attrs import define, field

from hop.program import Program
from qs.store.keeping import Keeping
from qs.store.kept import open_kept
from qs.store.port import (
    Feedback,
    KeptTurn,
    Session,
    StoreFault,
    StoreState,
    Transcript,
    supersedes,
)
from qs.store.spool import Spool
from qs.store.spool_folder import SpoolFolder

T = TypeVar("T")


@define
class MemoryStore:
    """Sessions and turns in dictionaries."""

    fault: StoreFault | None = None
    silent_s: float = 0.0
    sessions: dict[str, Session] = field(factory=dict)
    turns: dict[tuple[str, str], KeptTurn] = field(factory=dict)  # by owner and request

    async def prepare(self) -> None:
        await self._asked()

    async def put(self, turns: Sequence[KeptTurn]) -> None:
        await self._asked()
        for turn in turns:
            self._put(turn)

    async def read(self, session_id: str, owner: str, newest: int) -> Transcript | None:
        await self._asked()
        session = self._session(session_id, owner)
        if session is None:
            return None
        here = [one for one in self.turns.values() if one.asked.session_id == session_id]
        here.sort(key=lambda one: one.asked.asked_ms, reverse=True)
        return Transcript(session, tuple(here[:newest]))

    async def erase(self, session_id: str, owner: str) -> bool:
        await self._asked()
        if self._session(session_id, owner) is None:
            return False
        self._forget(session_id)
        return True

    async def rate(self, request_id: str, owner: str, feedback: Feedback) -> bool:
        await self._asked()
        turn = self.turns.get((owner, request_id))
        if turn is None:
            return False
        self.turns[owner, request_id] = attrs.evolve(turn, feedback=feedback)
        return True

    async def purge(self, unused_since_ms: int) -> int:
        await self._asked()
        old = [one for one, it in self.sessions.items() if it.used_ms < unused_since_ms]
        for session_id in old:
            self._forget(session_id)
        return len(old)

    async def check(self) -> StoreState:
        await trio.lowlevel.checkpoint()
        detail = f"{len(self.sessions)} sessions" if self.fault is None else str(self.fault)
        return StoreState(self.fault is None, detail)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    async def _asked(self) -> None:
        await trio.sleep(self.silent_s)
        if self.fault is not None:
            raise self.fault

    def _session(self, session_id: str, owner: str) -> Session | None:
        session = self.sessions.get(session_id)
        return session if session and session.owner == owner else None

    def _put(self, turn: KeptTurn) -> None:
        asked = turn.asked
        session = self.sessions.get(asked.session_id)
        if session is None:
            if not asked.opens:
                return
            session = Session(asked.session_id, asked.owner, asked.asked_ms, asked.asked_ms)
        used_ms = max(session.used_ms, asked.asked_ms)
        self.sessions[asked.session_id] = attrs.evolve(session, used_ms=used_ms)
        key = asked.owner, asked.request_id
        before, given = self.turns.get(key), turn.feedback
        if before is None or (
            before.asked.turn_id != asked.turn_id
            and supersedes(turn.ended.status, before.ended.status)
        ):
            self.turns[key] = turn
        elif given and (before.feedback is None or before.feedback.given_ms < given.given_ms):
            self.turns[key] = attrs.evolve(before, feedback=given)

    def _forget(self, session_id: str) -> None:
        del self.sessions[session_id]
        for key in [k for k, turn in self.turns.items() if turn.asked.session_id == session_id]:
            del self.turns[key]


@asynccontextmanager
async def keeping_in_memory(
    program: Program, store: MemoryStore | None = None
) -> AsyncIterator[Keeping]:
    """What a query service keeps, at work."""
    store = store or MemoryStore()
    with TemporaryDirectory(prefix="spool-") as place:
        spool = Spool(SpoolFolder(Path(place)), inline, sync=lambda _: None)
        async with open_kept(store, spool, program, wall_ms=partial(_now_ms, program)) as kept:
            yield Keeping.of(kept, store_is_own=True)


def _now_ms(program: Program) -> int:
    return round(program.now() * 1000)


async def inline(work: Callable[[], T], /) -> T:
    """Blocking work, run where it is asked for: time stands still meanwhile."""
    await trio.lowlevel.checkpoint()
    return work()
