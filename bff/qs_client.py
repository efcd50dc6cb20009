"""The edge to QS: relays its stream in the legal order, or its body, and never re-tokenises.

Only the names of events are read, for their order, and the JSON of `meta`, which must be this
call's, of `error` and of `done`; the bytes of all events pass unchanged, since QS has checked them
strictly.
"""

from attrs import frozen

from contracts import sse
from contracts.chat import ChatRequest, ChatResponse
from contracts.codec import decode
from contracts.events import EVENTS, Meta, from_frame
from contracts.order import SEEN, Seen, seen
from contracts.reasons import ReasonCode
from contracts.strict_json import ContractViolation, Violation
from hop.call import HopFault, Reply, mapped
from hop.stream import StreamSink
from hop.tracing import CallIds

_READ = frozenset({"meta", "error", "done"})


@frozen
class Answering:
    """What an answer must be to be this call's."""

    ids: CallIds
    request: ChatRequest

    def prove(self, told: ChatResponse | Meta) -> None:
        """It has the call's ids, and the session that was asked for. Raises HopFault."""
        if (told.request_id, told.trace_id) != (self.ids.request_id, self.ids.trace_id):
            raise HopFault(ReasonCode.HOP_PROTOCOL_ERROR, "the answer carries another call's ids")
        begins = self.request.session_id is None and not self.request.history
        if not begins and told.session_id != self.request.session_id:
            raise HopFault(ReasonCode.HOP_PROTOCOL_ERROR, "the answer is of another session")


@frozen
class Answered:
    """QS's whole answer: the bytes to pass on, and what they were proved to be."""

    raw: bytes
    response: ChatResponse


async def answered(reply: Reply, answering: Answering) -> Answered:
    """QS's answer in one body, proved, and proved to be this call's. Raises HopFault."""
    raw = await reply.body("application/json")
    with mapped():
        response = decode(raw, ChatResponse)
    answering.prove(response)
    return Answered(raw, response)


async def relay(reply: Reply, sink: StreamSink, answering: Answering) -> None:
    """Pass the stream on until `done`. Raises HopFault where it breaks off or breaks the order."""
    reply.expect("text/event-stream")
    while not sink.closed:
        frame = await reply.next_frame()
        if frame is None:
            raise HopFault(ReasonCode.HOP_DISCONNECTED, "the stream ended without `done`")
        with mapped():
            step = _seen(frame, answering)
            await sink.relay(step, frame)


def _seen(frame: sse.Frame, answering: Answering) -> Seen:
    if frame.event in _READ:
        event = from_frame(frame)
        if isinstance(event, Meta):
            answering.prove(event)
        return seen(event)
    one_line = frame.data is not None and b"\n" not in frame.data
    if frame.event not in EVENTS or not one_line or frame.others:
        raise ContractViolation([Violation("$", f"not an event: {frame.event[:64]!r}")])
    return SEEN[frame.event]
