"""Sessions at QS: whose they are, what a question continues, and the calls that read, erase, rate.

    known_owner(call, keys)             an `Admit`: the caller by its key, and whom it asks for
    Sessions.part_of(call, request)     the conversation that a question is part of

A session that is unknown, erased or another owner's is not found, and nothing tells which it is.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final, TypeVar

import trio
from attrs import frozen
from quart import Response

from contracts.chat import ChatRequest
from contracts.codec import encode
from contracts.generation import PromptMessage
from contracts.limits import SESSION_TURNS_MAX
from contracts.reasons import ReasonCode
from contracts.rules import SESSION_ID, SESSION_OWNER
from contracts.sessions import OWNER_HEADER, FeedbackRequest
from contracts.strict_json import Violation
from hop.app import body_response, empty_response
from hop.incoming import Call, Outcome, Received, Refusal, invalid, known_caller, shutting_down
from hop.keys import Keys
from hop.waiting import waiting
from qs.config import QueryServiceSettings
from qs.conversation import TURNS_READ, history_of, is_crowded, questions_of, shown
from qs.store.kept import wall_clock_ms
from qs.store.port import Conversations, Feedback, StoreFault, Transcript

T = TypeVar("T")
SESSION_HEX: Final = 32  # 128 random bits
_OWNER_HEX: Final = 32
_UNREADABLE: Final = "what is kept of conversations cannot be asked just now"


def known_owner(call: Call, keys: Keys) -> None:
    """Take the caller's name from its key and from whom it asks for. Raises Refusal."""
    known_caller(call, keys)
    sent = call.request.headers.getlist(OWNER_HEADER)
    problem = SESSION_OWNER.problem(sent[0]) if len(sent) == 1 else "must stand once"
    if sent and problem:
        raise invalid([Violation(OWNER_HEADER, problem)])
    if sent:
        both = f"{call.caller}/{sent[0]}".encode()
        call.caller = sha256(both).hexdigest()[:_OWNER_HEX]


@frozen
class Part:
    """What a question is part of.

    The turn is kept under `session_id`, and `opens` it where it is new; `told` is what the client
    is told, None of a stateless call. `earlier` are the questions before it. `fault`: why what was
    said before could not be read.
    """

    session_id: str
    told: str | None
    opens: bool
    history: tuple[PromptMessage, ...] = ()
    earlier: tuple[str, ...] = ()
    fault: str | None = None


@frozen
class Sessions:
    """What is kept of conversations, for those who own them."""

    settings: QueryServiceSettings
    conversations: Conversations

    async def part_of(self, call: Call, request: ChatRequest) -> Part:
        """The conversation that a question is part of. Raises Refusal."""
        new = call.program.new_hex(SESSION_HEX)
        if request.session_id is not None:
            return await self._continued(call, request.session_id, new)
        history = tuple(PromptMessage(said.role, said.content) for said in request.history)
        earlier = tuple(said.content for said in request.history if said.role == "user")
        return Part(new, None if history else new, True, history, earlier)

    async def read(self, call: Call, session_id: str) -> Response:
        """The session, as it is shown."""
        self._named(call, session_id)
        newest = SESSION_TURNS_MAX + 1  # one more, to know of more

        async def ask() -> Response:
            found = await self.conversations.read(session_id, call.caller, newest)
            if found is None:
                raise no_session()
            if not found.complete:
                raise StoreFault("only what has not been moved to the store can be read")
            return body_response(encode(shown(found, call.ids)), call.ids)

        return await self._answered(call, ask)

    async def erase(self, call: Call, session_id: str) -> Response:
        """Nothing is kept of the session any more."""
        self._named(call, session_id)

        async def ask() -> Response:
            if not await self.conversations.erase(session_id, call.caller):
                raise no_session()
            return empty_response(call)

        return await self._answered(call, ask)

    async def rate(self, call: Call, received: Received[FeedbackRequest]) -> Response:
        """The feedback is kept."""
        call.due(self.settings.chat_timeout_ms)
        rated = received.body
        feedback = Feedback(rated.rating, rated.comment, wall_clock_ms())

        async def ask() -> Response:
            if not await self.conversations.rate(rated.request_id, call.caller, feedback):
                message = "no turn of yours has this request id"
                raise Refusal(ReasonCode.INPUT_NOT_FOUND, message)
            return empty_response(call)

        return await self._answered(call, ask)

    async def _continued(self, call: Call, session_id: str, new: str) -> Part:
        async def ask() -> Transcript | None:
            found = await self.conversations.read(session_id, call.caller, TURNS_READ)
            if found and is_crowded(found):
                return await self.conversations.read(session_id, call.caller, SESSION_TURNS_MAX)
            return found

        try:
            found = await self._asked(call, ask)
        except StoreFault as fault:
            # Nobody has proved whose session it is: the turn is kept, but not in it.
            return Part(new, session_id, True, fault=str(fault))
        if found is None:
            raise no_session()
        history = history_of(found, self.settings.history_tokens)
        return Part(session_id, session_id, False, history, questions_of(found))

    def _named(self, call: Call, session_id: str) -> None:
        call.due(self.settings.chat_timeout_ms)
        if SESSION_ID.problem(session_id) is not None:
            raise no_session()

    async def _answered(self, call: Call, ask: Callable[[], Awaitable[Response]]) -> Response:
        """What `ask` answers. Raises Refusal."""
        try:
            response = await self._asked(call, ask)
        except StoreFault as fault:
            call.program.log.warning("store failed", phase=call.phase, detail=str(fault))
            raise Refusal(ReasonCode.STORE_UNAVAILABLE, _UNREADABLE) from fault
        call.outcome = Outcome("ok", None)
        return response

    async def _asked(self, call: Call, ask: Callable[[], Awaitable[T]]) -> T:
        """What the store says within its time. Raises StoreFault, Refusal."""
        call.phase = "store"
        limit = call.program.now() + self.settings.store_timeout_ms / 1000
        with (
            call.program.drain.work() as drain,
            trio.move_on_at(min(limit, call.deadline.at)),
            waiting(),
        ):
            return await ask()
        if drain.cancelled_caught:
            raise shutting_down()
        raise StoreFault(f"no answer within {self.settings.store_timeout_ms} ms")


def no_session() -> Refusal:
    """The refusal of a session that is not there for this caller."""
    return Refusal(ReasonCode.INPUT_NOT_FOUND, "no session has this id")
