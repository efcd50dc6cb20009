# ruff: noqa: E501 - a row of the table is read as one
"""Violations of what programs tell of themselves: spans astray, figures that are not true."""

from collections.abc import Callable
from typing import Final

from attrs import evolve

from harness.evidence import Evidence, ModelCall
from harness.telemetry import SpanTold, Told
from harness.tests.doctoring import GOOD, played, relogged
from harness.tests.planted import planted

_STRANGER: Final = "f" * 16


def _retold(program: str, edit: Callable[[Told], Told]) -> Evidence:
    """A program told something else."""
    good = played(GOOD)
    return evolve(good, told={**good.told, program: edit(good.told[program])})


def _respanned(
    program: str, name: str, edit: Callable[[SpanTold], SpanTold]
) -> Callable[[], Evidence]:
    """The first span of this name was another; none of the others hangs on it any more."""

    def told(it: Told) -> Told:
        at = next(place for place, span in enumerate(it.spans) if span.name == name)
        return evolve(it, spans=(*it.spans[:at], edit(it.spans[at]), *it.spans[at + 1 :]))

    return lambda: _retold(program, told)


def _figure(program: str, name: str, value: float, **labels: str) -> Callable[[], Evidence]:
    """A figure was another, or there was one more."""
    key = name, frozenset({"service": program, **labels}.items())
    return lambda: _retold(program, lambda it: evolve(it, figures={**it.figures, key: value}))


def _unended() -> Evidence:
    return _retold("qs", lambda it: evolve(it, begun=it.begun | {_STRANGER}))


def _misled_model() -> Evidence:
    """What the model server was sent names a span that nobody has."""

    def edit(call: ModelCall) -> ModelCall:
        head, mark, rest = call.request.partition(b"\r\ntraceparent: 00-")
        ids = rest[:33] + _STRANGER.encode() + rest[49:]
        return evolve(call, request=head + mark + ids if mark else head)

    good = played(GOOD)
    return evolve(good, model=tuple(map(edit, good.model)))


PLANTED: Final = (
    planted("spans_end", f"qs: span {_STRANGER} never ended", _unended),
    planted("spans_end", "qs: 'retrieve' is not within 'POST /chat'",
            _respanned("qs", "retrieve", lambda it: evolve(it, ended=it.ended + 60))),
    planted("spans_end", "llmgw: 'queue' is not within 'POST /v1/generate'",
            _respanned("llmgw", "queue", lambda it: evolve(it, began=it.began - 1))),
    planted("spans_make_one_tree", "qs: 'POST /chat' hangs on no call of bff",
            _respanned("qs", "POST /chat", lambda it: evolve(it, parent_id=_STRANGER))),
    planted("spans_make_one_tree", "bff: 'POST /chat' hangs on no call of nobody",
            _respanned("bff", "POST /chat", lambda it: evolve(it, parent_id=it.span_id)),),
    planted("spans_make_one_tree", "llmgw: 'attempt' hangs on nothing of its own program",
            _respanned("llmgw", "attempt", lambda it: evolve(it, parent_id=""))),
    planted("spans_make_one_tree", "qs: 'retrieve' is in another trace than 'POST /chat'",
            _respanned("qs", "retrieve", lambda it: evolve(it, trace_id="e" * 32))),
    planted("model_is_told_the_trace", f"the model was told of a span {_STRANGER}", _misled_model),
    planted("spans_agree_with_the_log", "qs: no span ends as the log says: call-0",
            _respanned("qs", "POST /chat", lambda it: evolve(it, attributes={**it.attributes, "bsl.phase": "lost"}))),
    planted("spans_agree_with_the_log", "llmgw: no line of the log ends as a span: call-1",
            lambda: relogged(played(GOOD), "llmgw",
                             lambda lines: [it for it in lines if it["request_id"] != "call-1"]),
            also="log_and_answer_agree figures_agree_with_the_log"),
    planted("figures_agree_with_the_log", "bff: of ok/ 3 are counted and 4 logged",
            _figure("bff", "bsl_requests_total", 3, status="ok", reason_code="")),
    planted("figures_agree_with_the_log", "qs: bsl_request_duration_seconds_count is 1 and not",
            _figure("qs", "bsl_request_duration_seconds_count", 1)),
    planted("figures_agree_with_the_log", "qs: bsl_time_to_first_delta_seconds_count is 9 and not",
            _figure("qs", "bsl_time_to_first_delta_seconds_count", 9)),
    planted("labels_are_of_closed_sets", "bff: bsl_requests_total has status='zarquon'",
            _figure("bff", "bsl_requests_total", 0, status="zarquon", reason_code=""),),
    planted("labels_are_of_closed_sets", "llmgw: bsl_tokens_total has model='gpt-9'",
            _figure("llmgw", "bsl_tokens_total", 0, kind="prompt", model="gpt-9")),
    planted("waiting_is_counted", "llmgw: 0.250 s of waiting count as its own work",
            _figure("llmgw", "bsl_overhead_seconds_sum", 0.25)),
    planted("spans_carry_no_content", "llmgw: 'zarquon' is on 'attempt'",
            _respanned("llmgw", "attempt", lambda it: evolve(it, attributes={"detail": "About ZARQUON"}))),
)  # fmt: skip
