"""The edge to QS: relays its stream in the legal order, or its body, and never re-tokenises.

Only the names of events are read, for their order, and the JSON of `meta`, which must be this
call's, of `error` and of `done`; the bytes of all events pass unchanged, since QS has checked them
strictly.
"""

from attrs import frozen

from contracts import sse
from contracts.chat import ChatResponse
from contracts.codec import decode
from contracts.events import EVENTS, Meta, from_frame
from contracts.order import Seen, Step, seen
from contracts.reasons import ReasonCode
from contracts.strict_json import ContractViolation, Violation
from hop.call import HopFault, Reply, mapped
from hop.stream import StreamSink
from hop.tracing import CallIds

_READ = frozenset({"meta", "error", "done"})


@frozen
class Answered:
    """QS's whole answer: the bytes to pass on, and what they were proved to be."""

    raw: bytes
    response: ChatResponse


async def answered(reply: Reply, ids: CallIds) -> Answered:
    """QS's answer in one body, proved, and proved to be this call's. Raises HopFault."""
    raw = await reply.body("application/json")
    with mapped():
        response = decode(raw, ChatResponse)
    _check_ids(response, ids)
    return Answered(raw, response)


async def relay(reply: Reply, sink: StreamSink) -> None:
    """Pass the stream on until `done`. Raises HopFault where it breaks off or breaks the order."""
    reply.expect("text/event-stream")
    while not sink.closed:
        frame = await reply.next_frame()
        if frame is None:
            raise HopFault(ReasonCode.HOP_DISCONNECTED, "the stream ended without `done`")
        with mapped():
            step = _seen(frame, sink.call.ids)
            await sink.relay(step, frame)


def _check_ids(told: ChatResponse | Meta, ids: CallIds) -> None:
    if (told.request_id, told.trace_id) != (ids.request_id, ids.trace_id):
        raise HopFault(ReasonCode.HOP_PROTOCOL_ERROR, "the answer carries another call's ids")


def _seen(frame: sse.Frame, ids: CallIds) -> Seen:
    if frame.event in _READ:
        event = from_frame(frame)
        if isinstance(event, Meta):
            _check_ids(event, ids)
        return seen(event)
    one_line = frame.data is not None and b"\n" not in frame.data
    if frame.event not in EVENTS or not one_line or frame.others:
        raise ContractViolation([Violation("$", f"not an event: {frame.event[:64]!r}")])
    return Seen(Step(frame.event))
