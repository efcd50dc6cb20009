"""Who may ask the model server: so many calls at once, and so many more in a queue.

A call holds a slot for its whole lifetime: it is taken and entered there in one step, so that no
leaving client, no limit and no drain can lose it, whatever lands in the same moment. Who waits gets
the next free slot in the order of arrival, and nobody overtakes.

    ADMISSION_QUEUE_FULL        every slot is taken and every place in the queue too
    ADMISSION_QUEUE_TIMEOUT     no slot came free in time, or before the answer was due

Both are told to come back when the queue's own limit has passed: by then every place that is taken
now is free again.
"""

import trio
from attrs import define, field

from contracts.reasons import ReasonCode
from hop.incoming import Call, Refusal, shutting_down
from hop.spans import span
from hop.waiting import waiting


@define(eq=False)
class Admission:
    """One model server's slots, and the queue before them. `patience_ms` bounds the waiting."""

    slots: int
    places: int
    patience_ms: int
    _free: trio.Semaphore = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._free = trio.Semaphore(self.slots, max_value=self.slots)

    @property
    def taken(self) -> int:
        """How many slots are held."""
        return self.slots - self._free.value

    @property
    def waiting(self) -> int:
        """How many calls wait for one."""
        return self._free.statistics().tasks_waiting

    async def admit(self, call: Call) -> None:
        """Returns when the call has its slot, for as long as it lives. Raises Refusal."""
        if self.taken == self.slots and self.waiting >= self.places:
            raise self._refusal(
                ReasonCode.ADMISSION_QUEUE_FULL, "every place in the queue is taken"
            )
        call.phase = "queue"
        patience_ends = call.program.now() + self.patience_ms / 1000
        with (
            call.program.drain.work() as drain,
            trio.move_on_at(min(patience_ends, call.deadline.at)),
            waiting(),
            span("queue"),
        ):
            await self._free.acquire()
            # No await may stand between these two.
            call.request.lifetime.callback(self._free.release)
            return
        if drain.cancelled_caught:
            raise shutting_down()
        raise self._refusal(ReasonCode.ADMISSION_QUEUE_TIMEOUT, "no slot came free in time")

    def _refusal(self, code: ReasonCode, message: str) -> Refusal:
        return Refusal(code, message, retry_after_ms=self.patience_ms)

    async def check(self) -> tuple[bool, str]:
        """How busy it is, for `/ready`: good to know, and never a fault."""
        await trio.lowlevel.checkpoint()
        return True, f"{self.taken} of {self.slots} slots taken, {self.waiting} waiting"
