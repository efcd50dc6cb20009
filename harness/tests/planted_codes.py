"""Violations of the codes: an end that nothing demanded, a log that tells another."""

from typing import Final

from attrs import evolve

from harness.evidence import Evidence, LogLine
from harness.plans import Call
from harness.tests.doctoring import (
    ABSTAINED,
    GOOD,
    LEAVING,
    PLAIN,
    STREAMED,
    exchange_of,
    played,
    relogged,
    with_records,
    without,
)
from harness.tests.planted import body, planted, saying, stream
from harness.wire_log import Record


def _planned(number: int, call: Call) -> Evidence:
    """Something else was to befall this call."""
    good = played(GOOD)
    calls = list(good.plan.calls)
    calls[number] = call
    return evolve(good, plan=evolve(good.plan, calls=tuple(calls)))


def _no_answer() -> Evidence:
    """The connection is closed, and nothing was said; the log says that all is well."""
    good = played(GOOD)
    link = exchange_of(good, "bff", PLAIN).link
    mute = without(good, "bff", PLAIN, lambda it: it.way == "down")
    return with_records(mute, [*mute.wire.records, Record(5.2, link, "down", "eof")])


def _closing(number: int, program: str = "bff", **fields: object) -> Evidence:
    """The closing line of a call says something else."""

    def edit(lines: list[LogLine]) -> list[LogLine]:
        return [
            {**line, **fields} if line["request_id"] == f"call-{number}" else line for line in lines
        ]

    return relogged(played(GOOD), program, edit)


def _lines(times: int, program: str) -> Evidence:
    def edit(lines: list[LogLine]) -> list[LogLine]:
        return [line for line in lines if line["request_id"] != "call-0"] + [
            line for line in lines if line["request_id"] == "call-0"
        ] * times

    return relogged(played(GOOD), program, edit)


def _left_unsaid() -> Evidence:
    """A client left, and the log says that it was answered."""

    def edit(lines: list[LogLine]) -> list[LogLine]:
        return [{**line, "status": "ok", "reason_code": None} for line in lines]

    return relogged(played(LEAVING), "qs", edit)


# A log that is not true agrees with no span and with no figure either.
_TOLD: Final = "spans_agree_with_the_log figures_agree_with_the_log"
PLANTED: Final = (
    planted("ends_as_demanded", "call-0: ok, where OUTPUT_TRUNCATED is due",
            lambda: _planned(STREAMED, Call(model="finish-length"))),
    planted("ends_as_demanded", "call-1: ok, where RAG_NO_CHUNKS is due",
            lambda: _planned(PLAIN, Call(1, stream=False, at_s=5.0, search="nothing"))),
    planted("ends_as_demanded", "call-1: ok, where INPUT_TOO_LARGE is due",
            lambda: _planned(PLAIN, Call(1, stream=False, at_s=5.0, client="too-large"))),
    planted("ends_as_demanded", "call-3: RAG_NO_CHUNKS, where MODEL_ABSTAINED is due",
            stream(ABSTAINED, lambda frames: saying("done", reason_code="RAG_NO_CHUNKS")(
                list(saying("error", code="RAG_NO_CHUNKS")(frames)))),
            "log_and_answer_agree model_is_not_asked_in_vain"),
    planted("ends_as_demanded", "call-1: (cut), where ok is due", _no_answer),
    planted("log_and_answer_agree", "call-0 at bff: 0 closing lines in the log",
            lambda: _lines(0, "bff"), _TOLD),
    planted("log_and_answer_agree", "call-0 at llmgw: 2 closing lines in the log",
            lambda: _lines(2, "llmgw"), _TOLD),
    planted("log_and_answer_agree", "call-0 at bff: answered ok, logged OUTPUT_EMPTY",
            lambda: _closing(STREAMED, status="fallback", reason_code="OUTPUT_EMPTY"), _TOLD),
    planted("log_and_answer_agree", "call-1 at qs: answered ok, logged CLIENT_DISCONNECTED",
            lambda: _closing(PLAIN, "qs", status="gone", reason_code="CLIENT_DISCONNECTED"), _TOLD),
    planted("log_and_answer_agree", "call-0 at qs: answered (left), logged ok", _left_unsaid,
            _TOLD),
    planted("log_and_answer_agree", "call-1 at llmgw: answered ok, logged OUTPUT_EMPTY",
            lambda: _closing(PLAIN, "llmgw", reason_code="OUTPUT_EMPTY"), _TOLD),
    planted("log_and_answer_agree", "call-1 at bff: answered OUTPUT_EMPTY, logged ok",
            body(PLAIN, status="fallback", reason_code="OUTPUT_EMPTY"),
            "ends_as_demanded words_are_the_contracts"),
)  # fmt: skip
