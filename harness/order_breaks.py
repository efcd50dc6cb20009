"""Every (state, event) pair of the order of events, played to the program that reads the stream.

    for case in CASES:
        played = await play(case)       one call through the real program, its next hop played

A case brings the stream to a state, sends one event, and goes on to a legal end if there is one.
`Played` holds what the played hop's connection really took and what the client got in the end,
both as bytes; it judges nothing. `played.line()` is it as a line of the run log.
"""

import base64
from collections import deque
from collections.abc import Iterable
from typing import Final

from attrs import frozen

from contracts.order import TRANSITIONS, TRANSITIONS_UNCITED, State, Step
from harness.alone import (
    CITATIONS,
    FELL_BACK,
    HOPS,
    META,
    OK,
    SOURCES,
    Hop,
    ask,
    done_data,
    error_data,
    frame,
    open_alone,
)
from harness.hop_stage import LAST_CHUNK, SSE_HEAD, Play, Upstream, chunk
from harness.memory_stream import MemoryStream

Table = dict[State, dict[Step, State]]


@frozen
class Case:
    """One cell of a table, at the program that reads: `hop` bff reads QS, qs reads LLMGW."""

    hop: Hop
    cited: bool
    state: State
    step: Step

    @property
    def table(self) -> str:
        """Which of the two tables it is a cell of."""
        return "cited" if self.cited else "uncited"

    @property
    def after(self) -> State | None:
        """The state that the step leads to; None where it is refused."""
        return table_of(self.hop, cited=self.cited)[self.state].get(self.step)

    @property
    def name(self) -> str:
        """For people, and for the names of tests."""
        return f"{self.hop}-{self.table}-{self.state.name}-{self.step.value.replace(' ', '-')}"


@frozen
class Played:
    """What became of a case. `sent` holds the events that the reader's connection took."""

    case: Case
    sent: bytes
    received: bytes

    def line(self) -> dict[str, object]:
        """A line of the run log; bytes in base64."""
        return {
            "hop": self.case.hop,
            "table": self.case.table,
            "state": self.case.state.name,
            "step": self.case.step.value,
            "legal": self.case.after is not None,
            "sent": base64.b64encode(self.sent).decode(),
            "received": base64.b64encode(self.received).decode(),
        }


def table_of(hop: Hop, *, cited: bool) -> Table:
    """The order as this program takes it: `sources` are QS's to send, never the gateway's."""
    table = TRANSITIONS if cited else TRANSITIONS_UNCITED
    if hop == "bff":
        return table
    return {
        state: {step: after for step, after in row.items() if step is not Step.SOURCES}
        for state, row in table.items()
    }


def paths(table: Table) -> dict[State, tuple[Step, ...]]:
    """The shortest way to each state that can be reached."""
    found: dict[State, tuple[Step, ...]] = {State.OPENING: ()}
    waiting = deque([State.OPENING])
    while waiting:
        state = waiting.popleft()
        for step, after in table[state].items():
            if after not in found:
                found[after] = (*found[state], step)
                waiting.append(after)
    return found


CASES: Final[tuple[Case, ...]] = tuple(
    Case(hop, cited, state, step)
    for hop in HOPS
    for cited in (True, False)
    for state in paths(table_of(hop, cited=cited))
    for step in Step
)


def prefix(case: Case) -> list[bytes]:
    """The events that lead to the case's state."""
    table = table_of(case.hop, cited=case.cited)
    return frames(paths(table)[case.state], cited=case.cited)


def stream(case: Case) -> list[bytes]:
    """All events of the case: those before it, its own, and whatever could make it look whole."""
    table = table_of(case.hop, cited=case.cited)
    steps = [*paths(table)[case.state], case.step]
    return frames([*steps, *_rest(table, case.after or case.state)], cited=case.cited)


def _rest(table: Table, state: State) -> list[Step]:
    """A legal way from here to the end."""
    steps: list[Step] = []
    while state is not State.CLOSED:
        row = table[state]
        # Towards text and a good end where there is a way; an error has but one.
        wanted = (Step.DONE_OK, Step.CITATIONS, Step.DELTA, Step.DONE_FALLBACK, Step.META)
        step = next(step for step in wanted if step in row)
        steps.append(step)
        state = row[step]
    return steps


def frames(steps: Iterable[Step], *, cited: bool) -> list[bytes]:
    """An event for each step; `error` withdraws text where some went before it."""
    made: list[bytes] = []
    text_is_out = False
    for step in steps:
        made.append(_frame(step, cited=cited, discard=text_is_out))
        text_is_out = text_is_out or step is Step.DELTA
    return made


def _frame(step: Step, *, cited: bool, discard: bool) -> bytes:
    data: dict[Step, dict[str, object]] = {
        Step.META: META,
        Step.SOURCES: {"sources": SOURCES},
        Step.CITATIONS: {"citations": CITATIONS},
        Step.DELTA: {"delta": "One."},
        Step.ERROR: error_data(discard=discard),
        Step.DONE_OK: done_data(OK, cited=cited),
        Step.DONE_FALLBACK: done_data(FELL_BACK),
    }
    return frame(step.value.partition(" ")[0], data[step])


def telling(events: Iterable[bytes], sent: bytearray) -> Play:
    """A stream of these events; what the connection took of them is added to `sent`."""

    async def play(connection: MemoryStream) -> None:
        await connection.send_all(SSE_HEAD)
        for event in events:
            if event:
                await connection.send_all(chunk(event))
                sent.extend(event)
        await connection.send_all(LAST_CHUNK)

    return play


async def play(case: Case) -> Played:
    """One call through the program, its next hop playing the case. Wants a virtual clock."""
    sent = bytearray()
    async with open_alone(case.hop, Upstream(telling(stream(case), sent))) as stage:
        response = await stage.post(ask(cited=case.cited), "/chat?stream=true")
        await stage.at_rest()
    assert response.status_code == 200, response.text
    return Played(case, bytes(sent), response.content)
