"""What is kept of conversations, and what may be asked of whoever keeps it; nothing about how.

A turn is one question and how it ended. It is kept under its session, which belongs to the owner
that made it (the caller's name, as `hop.keys` has it), and never under another: whoever asks for
somebody else's session is told that there is none. The text of an answer is kept only where the
answer ended well: text that was withdrawn, cut off or never ended is nowhere.

`Conversations` is what the query service asks; `Store` is an engine behind it. Between the two
stands the spool (`qs.store.spool`), so that a turn that has just ended can be read before any
engine has it, and while none can be reached.

A turn is known by `(owner, request_id)`. Answered again, it is kept once: the later attempt takes
the place of the earlier, unless it ended worse (`supersedes`).
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol

from attrs import field, frozen

from contracts.chat import Citation, Source, Usage
from contracts.reasons import ReasonCode

TurnStatus = Literal["ok", "fallback", "error", "gone", "interrupted"]
"""`ok` and `fallback` as in `done`; `error`: an HTTP error; `gone`: the client left or stopped
reading; `interrupted`: this program was killed meanwhile. The last three answered nobody."""
Rating = Literal["up", "down"]

_RANKS: Final[dict[TurnStatus, int]] = {
    "ok": 2,
    "fallback": 1,
    "error": 0,
    "gone": 0,
    "interrupted": 0,
}


@frozen
class Session:
    """A conversation. Times are milliseconds since the epoch."""

    session_id: str
    owner: str
    created_ms: int
    used_ms: int


@frozen
class Asked:
    """A question that was taken, before anything is done about it.

    `turn_id` is this attempt's own, of 32 hex digits. `opens`: whether it makes its session; one
    that does not is kept only while its session is, so that erasing a session is final.
    """

    turn_id: str
    request_id: str
    trace_id: str
    session_id: str
    owner: str
    opens: bool
    question: str
    asked_ms: int
    prompt_version: str


@frozen
class Ended:
    """How a turn ended; `reason_code` is None where it is `ok`."""

    status: TurnStatus
    reason_code: ReasonCode | None
    model: str | None
    usage: Usage | None
    timings_ms: dict[str, int]
    ended_ms: int


@frozen
class Feedback:
    """What its asker thinks of an answer."""

    rating: Rating
    comment: str | None
    given_ms: int


@frozen
class KeptTurn:
    """One turn, whole. `answer` is None unless it ended `ok`.

    `sources` and `citations` are copies from the time of the answer; `content_hashes` has the
    SHA-256 of each source's passage by its `chunk_id`, so that an old answer can be audited after
    the index has changed.
    """

    asked: Asked
    ended: Ended
    answer: str | None
    sources: tuple[Source, ...] = ()
    citations: tuple[Citation, ...] = ()
    content_hashes: dict[str, str] = field(factory=dict)
    feedback: Feedback | None = None


@frozen
class Transcript:
    """A session and its turns, newest first.

    `complete` is False where the engine could not be reached and `turns` are only those that have
    not been moved to it: enough to go on talking, not to show as the whole.
    """

    session: Session
    turns: tuple[KeptTurn, ...]
    complete: bool = True


@frozen
class StoreState:
    """What readiness shows."""

    ok: bool
    detail: str


class StoreFault(Exception):
    """The engine could not be asked, or not in time; asking again later may help."""


class StoreRefused(StoreFault):
    """The engine is there and will not do it, however often it is asked; the message says why."""


class Conversations(Protocol):
    """What the query service asks. Every method may raise StoreFault."""

    async def read(self, session_id: str, owner: str, newest: int) -> Transcript | None:
        """The session with at most `newest` of its turns; None: this owner has none of this id."""
        ...

    async def erase(self, session_id: str, owner: str) -> bool:
        """Delete a session and all that is kept under it; False: this owner has none of this id."""
        ...

    async def rate(self, request_id: str, owner: str, feedback: Feedback) -> bool:
        """Keep feedback on a turn, in place of any before; False: this owner has no such turn."""
        ...


class Store(Conversations, Protocol):
    """An engine that keeps turns. Every method but `check` and `aclose` may raise StoreFault."""

    async def prepare(self) -> None:
        """Make the tables what this program needs; safe beside another that does the same."""
        ...

    async def put(self, turns: Sequence[KeptTurn]) -> None:
        """Keep these, in this order, all or none, durable on return.

        A turn that is there already changes nothing, nor does one whose session was erased.
        """
        ...

    async def purge(self, unused_since_ms: int) -> int:
        """Delete the sessions last used before this; how many there were."""
        ...

    async def check(self) -> StoreState:
        """Whether it could be asked now; raises nothing."""
        ...

    async def aclose(self) -> None:
        """Give back every connection."""
        ...


def supersedes(later: TurnStatus, earlier: TurnStatus) -> bool:
    """Whether a later attempt takes the place of an earlier one of the same request."""
    return _RANKS[later] >= _RANKS[earlier]
