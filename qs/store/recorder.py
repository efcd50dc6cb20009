"""A turn on its way out, written to the spool before it is told.

    produce = recorded(spool, asked, wall_ms, tell)     `tell` gets a `RecordingSink`

The sink is one more `EventSink`, round the one that carries the events. Whatever ends the turn is
kept: `done`, a client that leaves, a drain, and what nobody foresaw. What ends it without `done` is
kept under the code that the call is logged with.
"""

from collections.abc import Awaitable, Callable, Sequence

import trio

from contracts.events import Done, Failed, StreamEvent
from contracts.limits import SPOOL_END_MS
from contracts.reasons import ReasonCode
from hop.incoming import Call
from hop.stream import EventSink, Produce
from qs.retrieval.port import Hit
from qs.store.port import Asked, Ended, TurnStatus
from qs.store.spool import Spool, SpooledTurn
from qs.store.spool_file import hash_of

Tell = Callable[["RecordingSink"], Awaitable[None]]
WallMs = Callable[[], int]


class RecordingSink(EventSink):
    """Events, into the spool and then onwards."""

    def __init__(self, onwards: EventSink, turn: SpooledTurn, wall_ms: WallMs) -> None:
        super().__init__(onwards.call, citations_required=onwards.citations_required)
        self._onwards = onwards
        self._turn = turn
        self._wall_ms = wall_ms

    def found(self, hits: Sequence[Hit]) -> None:
        """Note the passages that were found, of which `sources` shows only the beginnings."""
        self._turn.content_hashes = {hit.chunk_id: hash_of(hit.content) for hit in hits}

    async def _deliver(self, event: StreamEvent) -> None:
        if isinstance(event, Done):
            await self.ends(event.status, event.reason_code, event)
        elif isinstance(event, Failed):
            await self._turn.withdraw()
        else:
            await self._turn.takes(event)
        await self._onwards.emit(event)
        if isinstance(event, Done):
            self._turn.hand_over()

    async def ends(
        self, status: TurnStatus, code: ReasonCode | None, done: Done | None = None
    ) -> None:
        """Keep how the turn ended."""
        timings = self.call.timings() if done is None else done.timings_ms
        model, usage = (None, None) if done is None else (done.model, done.usage)
        await self._turn.ends(Ended(status, code, model, usage, timings, self._wall_ms()))

    async def cut(self, status: TurnStatus, code: ReasonCode) -> None:
        """Keep that it ended without `done`, though its task is being cancelled.

        Whoever left when the answer was whole has missed its end; it is kept all the same. Whoever
        is still there is told this code, whatever was about to be told.
        """
        if not (status == "gone" and self._turn.ended):
            with trio.move_on_after(SPOOL_END_MS / 1000, shield=True):
                await self.ends(status, code)
        self._turn.hand_over()
        self._turn.give_up()


def recorded(spool: Spool, asked: Asked, wall_ms: WallMs, tell: Tell) -> Produce:
    """A producer that tells what `tell` does, and keeps it."""

    async def produce(onwards: EventSink) -> None:
        sink = RecordingSink(onwards, await spool.begin(asked), wall_ms)
        try:
            await tell(sink)
        except trio.Cancelled:
            await sink.cut(*_cut_by(onwards.call))
            raise
        except BaseException:
            await sink.cut(_told(onwards.call), ReasonCode.INTERNAL_ERROR)
            raise
        if not sink.closed:
            await sink.cut(_told(onwards.call), ReasonCode.INTERNAL_ERROR)

    return produce


def _cut_by(call: Call) -> tuple[TurnStatus, ReasonCode]:
    """How a call ends that is cancelled: nobody is left to be told, or the drain's time is up."""
    code = call.cut_by()
    return ("gone", code) if code.http is None else (_told(call), code)


def _told(call: Call) -> TurnStatus:
    """What the client gets where an answer fails: an event of its stream, or an HTTP error."""
    return "fallback" if call.streaming else "error"
