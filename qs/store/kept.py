"""What is kept, as the query service sees it: the spool and the store behind it as one.

    async with open_kept(store, spool, program, …) as kept:
        kept.recorded(call, …)            a producer whose turn is written down as it is told
        await kept.read(…), .erase(…), .rate(…)

A turn can be read as soon as it has ended: what has not been moved is read from the spool. A turn
is moved whole, in the store before it leaves the spool, so a kill in between repeats it at most,
and the store keeps it once.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio
from attrs import define, field
from prometheus_client import Counter

from contracts.framing import PROMPT_VERSION
from contracts.limits import CLEANUP_MS, SPOOL_FLUSH_MS
from hop.incoming import Call
from hop.program import Program
from hop.stream import Produce
from qs.store.merging import merged
from qs.store.port import (
    Asked,
    Feedback,
    KeptTurn,
    Store,
    StoreFault,
    StoreRefused,
    StoreState,
    Transcript,
)
from qs.store.recorder import Tell, WallMs, recorded
from qs.store.spool import Spool
from qs.store.waiting import Ready

_TURN_HEX: Final = 32
_AT_ONCE: Final = 50  # turns in one transaction, at most
_PAUSE_S: Final = (0.1, 5.0)  # after a first failure, and at most
_ADOPT_S: Final = 60.0
_PURGE_S: Final = 3_600.0
DAY_MS: Final = 24 * 3_600 * 1_000


def wall_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@define(eq=False)
class Kept:
    """Spool and store as one: the `Conversations` that the app asks."""

    _store: Store
    _spool: Spool
    _program: Program
    _retention_days: int = 0
    _wall_ms: WallMs = wall_clock_ms
    _last_asked_ms: int = field(default=0, init=False)
    _prepared: bool = field(default=False, init=False)
    _down: str | None = field(default=None, init=False)  # why the store takes nothing just now
    _at_once: int = field(default=_AT_ONCE, init=False)
    _arrived: trio.Event = field(factory=trio.Event, init=False)
    _moving: trio.Lock = field(factory=trio.Lock, init=False)
    _empty: trio.Event = field(factory=trio.Event, init=False)
    _lost_turns: Counter = field(init=False)
    _failures: Counter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._spool.on_ended = self._wake
        self._spool.on_lost = self._lost
        metrics = self._program.metrics
        metrics.watch("bsl_spool_waiting", "Turns in the spool", lambda: len(self._spool.waiting))
        self._lost_turns = metrics.counter("bsl_spool_failures", "Turns that could not be kept")
        self._failures = metrics.counter("bsl_store_failures", "Times the store took nothing")

    def recorded(
        self, call: Call, question: str, session_id: str, *, opens: bool, tell: Tell
    ) -> Produce:
        """A producer that tells what `tell` does, and keeps it. `opens`: it makes its session."""
        # Turns are told apart and put in order by when they were asked.
        self._last_asked_ms = max(self._last_asked_ms + 1, self._wall_ms())
        asked = Asked(
            turn_id=self._program.new_hex(_TURN_HEX),
            request_id=call.ids.request_id,
            trace_id=call.ids.trace_id,
            session_id=session_id,
            owner=call.caller,
            opens=opens,
            question=question,
            asked_ms=self._last_asked_ms,
            prompt_version=PROMPT_VERSION,
        )
        return recorded(self._spool, asked, self._wall_ms, tell)

    async def read(self, session_id: str, owner: str, newest: int) -> Transcript | None:
        """The session with its newest turns, those in the spool among them."""
        opening = self._spool.waiting.opening.get(session_id)
        if opening is not None and opening.owner != owner:
            opening = None  # and on as for any other that is not there
        # The spool first: what is moved meanwhile is then found twice, not missed.
        here = [
            turn
            for ready in self._spool.waiting.of_session(session_id, owner)[:newest]
            if (turn := await self._read(ready))
        ]
        try:
            stored = await self._store.read(session_id, owner, newest)
        except StoreFault:
            if not here and opening is None:
                raise
            return merged(None, here, opening, newest, complete=False)
        return merged(stored, here, opening, newest)

    async def erase(self, session_id: str, owner: str) -> bool:
        """Delete a session, wherever parts of it are."""
        async with self._moving:
            stored = await self._store.erase(session_id, owner)
            try:
                spooled = await self._spool.erase(session_id, owner)
            except OSError as error:
                raise StoreFault(f"the spool: {error.strerror}") from error
        return stored or spooled

    async def rate(self, request_id: str, owner: str, feedback: Feedback) -> bool:
        """Keep feedback on a turn, wherever it is."""
        async with self._moving:
            ready = self._spool.waiting.of_request(request_id, owner)
            if ready is None:
                return await self._store.rate(request_id, owner, feedback)
            try:
                await self._spool.rated(ready, feedback)
            except OSError as error:
                raise StoreFault(f"the spool: {error.strerror}") from error
        return True

    async def check_store(self) -> tuple[bool, str]:
        """For `/ready`."""
        if self._down is not None:
            return False, self._down
        state: StoreState = await self._store.check()
        return state.ok, state.detail

    async def check_spool(self) -> tuple[bool, str]:
        """For `/ready`: whether turns can be written down, and how many wait."""
        await trio.lowlevel.checkpoint()
        lost = self._spool.last_lost
        waiting = f"{len(self._spool.waiting)} turns waiting"
        return lost is None, waiting if lost is None else f"{waiting}; the last was lost: {lost}"

    async def prepare(self) -> None:
        """At start: the store's version, and what an earlier life has left in the spool.

        Raises StoreRefused where the store is not for this program; whatever else fails is only
        logged, and tried again until it works.
        """
        await self._adopt()
        try:
            await self._store.prepare()
            self._prepared = True
        except StoreRefused:
            raise
        except StoreFault as fault:
            self._failed(fault)

    async def run(self) -> None:
        """Move turns on as they end, and keep house; until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._move_on)
            nursery.start_soon(self._adopt_now_and_then)
            if self._retention_days:
                nursery.start_soon(self._purge_now_and_then)

    async def flush(self, limit_s: float) -> None:
        """Wait until every turn has been moved, or this long; the next start moves what stays."""
        with trio.move_on_after(limit_s):
            while len(self._spool.waiting) and self._down is None:
                await self._empty.wait()

    async def aclose(self) -> None:
        """Let go of the spool's folder and of the store's connections."""
        await self._spool.leave()
        await self._store.aclose()

    async def _move_on(self) -> None:
        pause_s, longest_s = _PAUSE_S
        while True:
            batch = self._spool.waiting.next(self._at_once)
            # A store that is down is tried without a turn too: `/ready` says so as long as it is.
            if not batch and self._down is None:
                self._empty.set()
                await self._arrived.wait()
                self._arrived, self._empty = trio.Event(), trio.Event()
                continue
            try:
                await self._move(batch)
            except (StoreFault, OSError) as fault:
                self._failed(fault)
                # It may be that so many cannot be stored in its time.
                self._at_once = max(1, self._at_once // 2)
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, longest_s)
            else:
                self._worked()
                self._at_once = min(_AT_ONCE, 2 * self._at_once)
                pause_s = _PAUSE_S[0]

    async def _move(self, batch: list[Ready]) -> None:
        """Move these from the spool to the store. Raises StoreFault, OSError."""
        if not self._prepared:
            await self._store.prepare()
            self._prepared = True
        async with self._moving:
            refusal = await self._put(batch)
            if refusal is None:
                await self._spool.remove(batch)
                return
            if len(batch) == 1:
                self._program.log.error("turn refused", detail=str(refusal))
                await self._spool.set_aside(batch[0])
                return
        for ready in batch:  # whichever it is, the others are taken
            await self._move([ready])

    async def _put(self, batch: list[Ready]) -> StoreRefused | None:
        turns = [await self._spool.read(ready) for ready in batch]
        try:
            await self._store.put([turn for turn in turns if turn is not None])
        except StoreRefused as refusal:
            return refusal
        return None

    async def _read(self, ready: Ready) -> KeptTurn | None:
        try:
            return await self._spool.read(ready)
        except OSError as error:
            raise StoreFault(f"the spool: {error.strerror}") from error

    async def _adopt(self) -> None:
        try:
            await self._spool.adopt()
        except OSError as error:
            self._lost(f"the spool cannot be opened: {error.strerror}")

    async def _adopt_now_and_then(self) -> None:
        while True:
            await trio.sleep(_ADOPT_S)
            await self._adopt()

    async def _purge_now_and_then(self) -> None:
        while True:
            await self._purge()
            await trio.sleep(_PURGE_S)

    async def _purge(self) -> None:
        before = self._wall_ms() - self._retention_days * DAY_MS
        try:
            purged = await self._store.purge(before)
        except StoreFault as fault:
            self._program.log.warning("purge failed", detail=str(fault))
        else:
            self._program.log.info("purged", sessions=purged)

    def _wake(self) -> None:
        self._arrived.set()

    def _lost(self, why: str) -> None:
        self._lost_turns.inc()
        self._program.log.error("turn not kept", detail=why)

    def _failed(self, fault: Exception) -> None:
        self._prepared = False
        self._failures.inc()
        if self._down is None:
            self._program.log.error("store down", detail=str(fault))
        self._down = str(fault)

    def _worked(self) -> None:
        if self._down is not None:
            self._program.log.info("store back", waiting=len(self._spool.waiting))
        self._down = None


@asynccontextmanager
async def open_kept(
    store: Store,
    spool: Spool,
    program: Program,
    retention_days: int = 0,
    wall_ms: WallMs = wall_clock_ms,
) -> AsyncIterator[Kept]:
    """Spool and store, at work. Raises StoreRefused where the store is not for this program."""
    kept = Kept(store, spool, program, retention_days, wall_ms)
    try:
        await kept.prepare()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kept.run)
            yield kept
            await kept.flush(SPOOL_FLUSH_MS / 1000)
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(CLEANUP_MS / 1000, shield=True):
            await kept.aclose()
