# ruff: noqa: E501 - a row of the table is read as one
"""Violations of an answer's form."""

from collections.abc import Sequence
from typing import Final

from attrs import evolve

from harness.evidence import Evidence
from harness.tests.doctoring import (
    ABSTAINED,
    GOOD,
    PLAIN,
    PLAIN_FALLBACK,
    REFUSED,
    STREAMED,
    WEAK,
    WITHDRAWN,
    Frame,
    exchange_of,
    played,
    reasked,
    rebytes,
    restreamed,
    rewritten,
    with_records,
)
from harness.tests.planted import (
    after_end,
    before_end,
    body,
    dropped,
    planted,
    saying,
    stream,
)


def _asks_no_http() -> Evidence:
    """The BFF sends a request line that is none."""
    return reasked(played(PLAIN_FALLBACK), "qs", 0, b"POST /chat", b"POST\t/chat")


def _not_http() -> Evidence:
    return rebytes(played(GOOD), "bff", STREAMED, b"\r\nevent: meta", b"x\r\nevent: meta")


def _ends_within_a_frame() -> Evidence:
    """The last chunk comes after a line without the blank one that would end its frame."""
    good = played(GOOD)
    link = exchange_of(good, "bff", STREAMED).link
    records = [
        evolve(it, data=b"6\r\ndata: \r\n" + it.data)
        if (it.link, it.data) == (link, b"0\r\n\r\n")
        else it
        for it in good.wire.records
    ]
    return with_records(good, records)


def _citations_after_text(frames: list[Frame]) -> Sequence[Frame]:
    (proof,) = (frame for frame in frames if frame.name == "citations")
    rest = [frame for frame in frames if frame.name != "citations"]
    return [*rest[:3], evolve(proof, at=rest[2].at), *rest[3:]]


def _status(new: bytes) -> Evidence:
    return rebytes(played(GOOD), "bff", REFUSED, b"HTTP/1.1 400", b"HTTP/1.1 " + new)


def _header(old: bytes, new: bytes, host: str = "bff") -> Evidence:
    good = played(GOOD)
    said = exchange_of(good, host, STREAMED).answer_headers["x-trace-id"].encode()
    return rebytes(good, host, STREAMED, old or said, new)


def _other_trace_at_qs() -> Evidence:
    """QS made up a trace id of its own, and says so everywhere."""
    doctored = _header(b"", b"0" * 31 + b"1", "qs")
    return restreamed(doctored, "qs", STREAMED, saying("meta", trace_id="0" * 31 + "1"))


_FIXED: Final = {"role": "assistant", "content": "Something else."}
_CITED: Final = [{"chunk_id": "topic4-1#1", "marker": "c1", "title": None, "url": None}]

PLANTED: Final = (
    planted("answers_are_http", "asked of qs: illegal request line", _asks_no_http),
    planted("answers_are_http", "call-0 at bff: illegal chunk header", _not_http,
            "log_and_answer_agree"),
    planted("answers_are_http", "call-0 at bff: the stream ends within a frame", _ends_within_a_frame,
            "words_are_the_contracts ends_as_demanded log_and_answer_agree"),
    planted("answers_are_http", "call-0 at bff: an event's data is no JSON object",
            stream(STREAMED, lambda f: [*f[:-1], Frame(f[-1].at, "delta", b'["x"]'), f[-1]]),
            "schemas_hold text_is_the_models"),
    planted("exactly_one_done", "call-0 at bff: 2 times `done`",
            stream(STREAMED, lambda f: [*f, f[-1]]), "order_is_legal"),
    planted("exactly_one_done", "call-0 at bff: `delta` after `done`",
            stream(STREAMED, after_end("delta", {"delta": " [c1]"})),
            "order_is_legal words_are_the_contracts text_is_the_models ends_as_demanded log_and_answer_agree"),
    planted("exactly_one_done", "call-0 at bff: no `done`", stream(STREAMED, dropped("done")),
            "words_are_the_contracts ends_as_demanded log_and_answer_agree"),
    planted("order_is_legal", "call-0 at bff: meta sources delta citations delta",
            stream(STREAMED, _citations_after_text)),
    planted("order_is_legal", "call-0 at llmgw: `sources` are the query service's",
            stream(STREAMED, lambda f: [f[0], Frame(f[0].at, "sources", {"sources": []}), *f[1:]], "llmgw")),
    planted("order_is_legal", "call-0 at bff: `discard` is False",
            stream(0, saying("error", discard=False), plan=WITHDRAWN)),
    planted("order_is_legal", "call-3 at bff: `discard` is True",
            stream(ABSTAINED, saying("error", discard=True))),
    planted("order_is_legal", "call-3 at bff: `error` says MODEL_ABSTAINED, `done` OUTPUT_EMPTY",
            stream(ABSTAINED, saying("done", reason_code="OUTPUT_EMPTY")),
            "ends_as_demanded log_and_answer_agree words_are_the_contracts"),
    planted("order_is_legal", "call-0 at bff: `done` is not ok, and no `error` was before it",
            stream(0, dropped("error"), plan=WITHDRAWN)),
    planted("order_is_legal", "call-0 at bff: fallback with None",
            stream(STREAMED, saying("done", status="fallback")),
            "ends_as_demanded log_and_answer_agree words_are_the_contracts"),
    planted("order_is_legal", "call-0 at bff: `done` and `citations` differ",
            stream(STREAMED, saying("done", citations=[]))),
    planted("order_is_legal", "call-0 at bff: `done` and `citations` differ",
            stream(0, saying("done", citations=_CITED), plan=WITHDRAWN),
            "citations_are_retrieved words_are_the_contracts"),
    planted("schemas_hold", "call-0 at bff: a `delta` of ''",
            stream(STREAMED, before_end("delta", {"delta": ""}))),
    planted("schemas_hold", "call-0 at bff: there is no `event-usage`",
            stream(STREAMED, before_end("usage", {})), "order_is_legal"),
    planted("schemas_hold", "call-0 at bff: event-done $: Additional properties",
            stream(STREAMED, saying("done", colour="red"))),
    planted("schemas_hold", "call-0 at bff: event-delta $: Additional properties",
            stream(STREAMED, before_end("delta", {"delta": " [c1]", "index": 0})), "text_is_the_models"),
    planted("schemas_hold", "call-1 at bff: chat-response $.model", body(PLAIN, model=7)),
    planted("schemas_hold", "call-1 at llmgw: generate-response $.model", body(PLAIN, "llmgw", model=7)),
    planted("schemas_hold", "call-4 at bff: error-body $.error", body(REFUSED, error={"code": "INPUT_INVALID"})),
    planted("words_are_the_contracts", "call-3 at bff: HALF_AN_ANSWER is no reason code",
            stream(ABSTAINED, saying("done", reason_code="HALF_AN_ANSWER")),
            "order_is_legal schemas_hold ends_as_demanded log_and_answer_agree"),
    planted("words_are_the_contracts", "call-4 at bff: INPUT_INVALID with HTTP 422, not 400",
            lambda: _status(b"422")),
    planted("words_are_the_contracts", "call-5 at bff: INPUT_INVALID can not end an answer",
            body(WEAK, reason_code="INPUT_INVALID"), "ends_as_demanded log_and_answer_agree"),
    planted("words_are_the_contracts", "call-1 at llmgw: ADMISSION_QUEUE_FULL can not end an answer",
            body(PLAIN, "llmgw", status="fallback", reason_code="ADMISSION_QUEUE_FULL",
                 message_key="busy", content=None, citations=[]),
            "log_and_answer_agree deadlines_are_kept"),
    planted("words_are_the_contracts", "call-0 at bff: ok, and next_action RETRY",
            stream(STREAMED, saying("done", next_action="RETRY"))),
    planted("words_are_the_contracts", "call-1 at bff: ok, and message_key busy",
            body(PLAIN, message_key="busy")),
    planted("words_are_the_contracts", "call-5 at bff: RAG_LOW_SCORE, and the status is ok",
            body(WEAK, status="ok"), "text_is_the_models"),
    planted("words_are_the_contracts", "call-5 at bff: a fallback that cites",
            body(WEAK, citations=_CITED), "citations_are_retrieved"),
    planted("words_are_the_contracts", "call-0 at llmgw: a fallback with content",
            lambda: rewritten(played(PLAIN_FALLBACK), "llmgw", 0, lambda a: {**a, "content": "So far"})),
    planted("words_are_the_contracts", "call-3 at bff: message_key busy, not sources",
            stream(ABSTAINED, saying("done", message_key="busy"))),
    planted("words_are_the_contracts", "call-5 at bff: next_action NONE, not REFINE_QUERY",
            body(WEAK, next_action="NONE")),
    planted("words_are_the_contracts", "call-3 at bff: the text shown is 'No.'",
            stream(ABSTAINED, saying("error", message="No."))),
    planted("words_are_the_contracts", "call-5 at bff: the text shown is 'Something else.'",
            body(WEAK, answer=_FIXED)),
    planted("ids_are_one", "call-0 at bff: answered as call-9",
            lambda: rebytes(played(GOOD), "bff", STREAMED, b"x-request-id: call-0", b"x-request-id: call-9")),
    planted("ids_are_one", "call-0 at bff: the body says call-9",
            stream(STREAMED, saying("meta", request_id="call-9"))),
    planted("ids_are_one", "call-1 at bff: the body says call-9", body(PLAIN, request_id="call-9")),
    planted("ids_are_one", "call-0 at bff: two trace ids, ",
            stream(STREAMED, saying("meta", trace_id="0" * 31 + "1"))),
    planted("ids_are_one", "call-0: 2 trace ids on its way", _other_trace_at_qs),
)  # fmt: skip
