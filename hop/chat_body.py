"""The one body of `POST /chat`, out of collected events; both hops that answer it say the same."""

from contracts.chat import Answer, ChatResponse
from hop.stream import Collector


def chat_response(collector: Collector) -> ChatResponse:
    """The response that a closed collector holds. Nothing the model wrote is in a fallback."""
    done = collector.done_event
    assert done is not None, "a producer ends in done"
    text = collector.text if done.reason_code is None else done.reason_code.text
    return ChatResponse(
        version="v1",
        trace_id=collector.call.ids.trace_id,
        request_id=collector.call.ids.request_id,
        session_id=collector.call.session_id,
        status=done.status,
        reason_code=done.reason_code,
        message_key=done.message_key,
        answer=Answer("assistant", text),
        citations=done.citations,
        sources=collector.sources,
        next_action=done.next_action,
        retry_after_ms=done.retry_after_ms,
        model=done.model,
        usage=done.usage,
        timings_ms=done.timings_ms,
    )
