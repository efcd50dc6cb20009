"""How soon the model server's slot is idle when a client has left, by the server's own word.

A client asks, waits until the server has read the prompt and writes, and leaves; then `/slots` is
asked until every slot is idle. That the answer was left shows in the gateway's closing line,
CLIENT_DISCONNECTED; that the slot was freed by the leaving, and not by the answer's end, in the
server's log, which names each generation it gave up. What ended by itself is tried anew.

Both modes are held to one limit. Left to itself llama.cpp's server writes a plain answer on for
seconds after its caller has left; that is why the settings for it have LLM_STREAM_ALWAYS.
"""

from collections.abc import Sequence
from statistics import median
from typing import Final

import trio
from attrs import frozen

from harness.faults.chain import closing_line
from harness.llm.model_server import ModelServer
from harness.raw_client import dial
from harness.stack import Stack

TIMES: Final = 5
TRIES_MAX: Final = 15
LEAVE_WITHIN_S: Final = 600.0
LOOK_S: Final = 0.005


class NeverLeft(Exception):
    """No answer was long enough to be left."""


@frozen
class Leavings:
    """The times of one mode."""

    mode: str
    idle_ms: Sequence[float]

    @property
    def median_ms(self) -> float:
        return median(self.idle_ms)


async def leavings(server: ModelServer, stack: Stack, question: str, *, stream: bool) -> Leavings:
    """Leave so many times."""
    mode = "streaming" if stream else "plain"
    found: list[float] = []
    for number in range(TRIES_MAX):
        if len(found) == TIMES:
            break
        with trio.fail_after(LEAVE_WITHIN_S):
            idle_s = await _leave(server, stack, question, f"{mode}-{number}", stream=stream)
        if idle_s is not None:
            found.append(idle_s * 1000)
    if not found:
        raise NeverLeft(f"of {TRIES_MAX} answers none was still being written when it was left")
    return Leavings(mode, found)


async def _leave(
    server: ModelServer, stack: Stack, question: str, request_id: str, *, stream: bool
) -> float | None:
    """Seconds from the leaving to the idle slot; None where the answer had ended before."""
    before, cancelled = server.counters(), server.cancelled
    async with dial(stack["bff"].port) as client:
        await client.ask(question, stream=stream, headers={"x-request-id": request_id})
        while server.counters().prompt_tokens == before.prompt_tokens:  # noqa: ASYNC110 - no event
            await trio.sleep(LOOK_S)
    left_at = trio.current_time()
    while server.has_busy_slot():  # noqa: ASYNC110 - it is the server that is asked
        await trio.sleep(LOOK_S)
    idle_s = trio.current_time() - left_at
    line = await closing_line(stack["llmgw"], request_id)
    was_left = line["reason_code"] == "CLIENT_DISCONNECTED"
    was_given_up = server.cancelled > cancelled
    return idle_s if was_left and was_given_up else None
