"""The legal order of one answer's events: `meta sources? citations? delta* error? done`.

This file does not know who speaks. The sender advances it before encoding and the receiver after
decoding, so every law is checked twice. It does no I/O. It works on steps, not on events, so that
a relay which reads only names and endings can hold the same law.
"""

from enum import Enum, auto

from attrs import define, field, frozen

from contracts.events import NAMES, Done, Failed, StreamEvent
from contracts.reasons import ReasonCode
from contracts.strict_json import ContractViolation, Violation


class State(Enum):
    """Where a stream stands."""

    __hash__ = object.__hash__  # Enum's own is written in Python, and asked for every event

    OPENING = auto()  # nothing sent: a failure may still choose an HTTP status
    STARTED = auto()  # `meta` is out: a failure must be an event
    SEARCHED = auto()  # `sources` are out
    PROVED = auto()  # `citations` are out, so text may follow
    ANSWERING = auto()  # text is out: a failure must withdraw it
    FAILED = auto()  # `error` is out: only `done` may follow
    CLOSED = auto()


class Step(Enum):
    """What an event does to the order; `done` is two steps, by its status."""

    __hash__ = object.__hash__

    META = "meta"
    SOURCES = "sources"
    CITATIONS = "citations"
    DELTA = "delta"
    ERROR = "error"
    DONE_OK = "done ok"
    DONE_FALLBACK = "done fallback"


TRANSITIONS: dict[State, dict[Step, State]] = {
    State.OPENING: {Step.META: State.STARTED},
    State.STARTED: {
        Step.SOURCES: State.SEARCHED,
        Step.CITATIONS: State.PROVED,
        Step.ERROR: State.FAILED,
    },
    State.SEARCHED: {Step.CITATIONS: State.PROVED, Step.ERROR: State.FAILED},
    State.PROVED: {Step.DELTA: State.ANSWERING, Step.ERROR: State.FAILED},
    State.ANSWERING: {
        Step.DELTA: State.ANSWERING,
        Step.ERROR: State.FAILED,
        Step.DONE_OK: State.CLOSED,
    },
    State.FAILED: {Step.DONE_FALLBACK: State.CLOSED},
    State.CLOSED: {},
}

# Where citations are not required there is no `citations` event, and text needs no proof.
TRANSITIONS_UNCITED: dict[State, dict[Step, State]] = {
    **TRANSITIONS,
    State.STARTED: {
        Step.SOURCES: State.SEARCHED,
        Step.DELTA: State.ANSWERING,
        Step.ERROR: State.FAILED,
    },
    State.SEARCHED: {Step.DELTA: State.ANSWERING, Step.ERROR: State.FAILED},
}


class OrderViolation(ContractViolation):
    """An event that may not stand here."""

    def __init__(self, state: State, problem: str) -> None:
        super().__init__([Violation("$", f"{problem} (the stream is {state.name})")])


@frozen
class Seen:
    """As much of an event as the order needs: `code` and `discard` of `error`, `code` of `done`."""

    step: Step
    code: ReasonCode | None = None
    discard: bool = False


# What is known of an event by its name: all there is to know of text, of which there is most.
SEEN: dict[str, Seen] = {
    name: Seen(Step(name)) for name in ("meta", "sources", "citations", "delta")
}


@define
class StreamOrder:
    """One stream's place in the table. `citations_required` is the request's."""

    citations_required: bool
    state: State = field(default=State.OPENING, init=False)
    failure: ReasonCode | None = field(default=None, init=False)

    def advance(self, event: StreamEvent) -> None:
        """Take one event. Raises OrderViolation where it may not stand."""
        self.see(seen(event))

    def see(self, seen: Seen) -> None:
        """Take one step. Raises OrderViolation where it may not stand."""
        table = TRANSITIONS if self.citations_required else TRANSITIONS_UNCITED
        after = table[self.state].get(seen.step)
        if after is None:
            raise OrderViolation(self.state, f"`{seen.step.value}` may not stand here")
        if after is State.FAILED and seen.discard is not (self.state is State.ANSWERING):
            raise OrderViolation(self.state, "`discard` must say whether a `delta` was sent")
        if seen.step is Step.DONE_FALLBACK and seen.code is not self.failure:
            raise OrderViolation(
                self.state, f"`done` must carry the code of `error`, {self.failure}"
            )
        if after is State.FAILED:
            self.failure = seen.code
        self.state = after


def seen(event: StreamEvent) -> Seen:
    """What the order needs of an event."""
    if isinstance(event, Failed):
        return Seen(Step.ERROR, event.code, event.discard)
    if isinstance(event, Done):
        ok = event.status == "ok"
        return Seen(Step.DONE_OK if ok else Step.DONE_FALLBACK, event.reason_code)
    return SEEN[NAMES[type(event)]]
