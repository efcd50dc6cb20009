"""How soon the model server's slot is idle when a client has left, by the server's own word.

A client asks, waits until its answer is being written, and leaves; then `/slots` is asked until
every slot is idle. That the slot was freed by the leaving, and not by the end of the answer, shows
in the server's log, which names each generation it gave up; one that ended by itself is tried anew.
"""

from collections.abc import Sequence
from statistics import median
from typing import Final

import trio
from attrs import frozen

from harness.llm.model_server import ModelServer
from harness.raw_client import StreamEnded, dial

TIMES: Final = 5
TRIES_MAX: Final = 25
IDLE_WITHIN_S: Final = 30.0
BEGIN_WITHIN_S: Final = 120.0
LOOK_S: Final = 0.005
# Into the writing, for a plain call, of which nothing is seen before its end.
WRITING_S: Final = 0.3


class NeverLeft(Exception):
    """No answer was long enough to be left."""


@frozen
class Leavings:
    """The times of one mode. `is_promised`: whether they are held to the limit."""

    mode: str
    is_promised: bool
    idle_ms: Sequence[float]

    @property
    def median_ms(self) -> float:
        return median(self.idle_ms)


async def leavings(
    server: ModelServer, bff_port: int, question: str, *, stream: bool, times: int = TIMES
) -> Leavings:
    """Leave so many times."""
    found: list[float] = []
    for _ in range(TRIES_MAX):
        if len(found) == times:
            break
        before = server.cancelled
        idle_s = await _leave(server, bff_port, question, stream=stream)
        if idle_s is not None and server.cancelled > before:
            found.append(idle_s * 1000)
    if not found:
        raise NeverLeft(f"of {TRIES_MAX} answers none was still being written when it was left")
    return Leavings("streaming" if stream else "plain", stream, found)


async def _leave(
    server: ModelServer, bff_port: int, question: str, *, stream: bool
) -> float | None:
    """Seconds from the leaving to the idle slot; None where the answer had ended before."""
    with trio.fail_after(BEGIN_WITHIN_S + IDLE_WITHIN_S):
        async with dial(bff_port) as client:
            written = server.counters().prompt_tokens
            await client.ask(question, stream=stream)
            try:
                if stream:
                    await client.head()
                    while (await client.event())[0] != "delta":
                        pass
                else:
                    while server.counters().prompt_tokens == written:  # noqa: ASYNC110 - no event
                        await trio.sleep(LOOK_S)
                    await trio.sleep(WRITING_S)
            except StreamEnded:
                return None
        left_at = trio.current_time()
        while server.has_busy_slot():  # noqa: ASYNC110 - it is the server that is asked
            await trio.sleep(LOOK_S)
        return trio.current_time() - left_at
