"""What the programs tell of themselves: one tree of spans for a call, and figures that are true.

Spans are held against one another and against the log, figures against the log. On a virtual clock
nothing takes time but waiting, so whatever time a call has spent on its own was a wait that nobody
counted. Where nothing was told, as by programs of their own, there is nothing to judge.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from contracts.reasons import ReasonCode
from harness.checkers.leaks import CONTENT
from harness.evidence import PROGRAMS, Evidence, LogLine
from harness.telemetry import SpanTold

_CLOSING: Final = ("call ended", "not routed", "not served")
_ABOVE: Final = {"qs": "bff", "llmgw": "qs"}
_MOMENT_S: Final = 1e-6
_TRACEPARENT: Final = re.compile(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-01\r\n")
_SAMPLE_LABELS: Final[Mapping[str, frozenset[str]]] = {
    "service": frozenset(PROGRAMS),
    "status": frozenset({"ok", "fallback", "error", "gone", "refused"}),
    "reason_code": frozenset({"", *ReasonCode}),
    "kind": frozenset({"prompt", "completion"}),
    "outcome": frozenset({"sent", "dropped"}),
    "gen_ai_operation_name": frozenset({"chat"}),
    "gen_ai_provider_name": frozenset({"openai", "toy"}),
    "gen_ai_request_model": frozenset({"llama3.1:8b-instruct", "_OTHER"}),
    "gen_ai_token_type": frozenset({"input", "output"}),
    "error_type": frozenset({"", "cancelled", "_OTHER", *ReasonCode}),
}


def _spans(evidence: Evidence) -> dict[str, SpanTold]:
    """Every span of every program, by its id."""
    return {span.span_id: span for told in evidence.told.values() for span in told.spans}


def spans_end(evidence: Evidence) -> Iterator[str]:
    """Whatever becomes of a call, each span that began has ended, and inside the one it is in."""
    spans = _spans(evidence)
    for program, told in evidence.told.items():
        for span_id in sorted(told.begun - spans.keys()):
            yield f"{program}: span {span_id} never ended"
    for span in spans.values():
        outer = spans.get(span.parent_id)
        if outer is None:
            continue
        within = span.ended <= outer.ended or outer.program != span.program
        if not (outer.began <= span.began <= span.ended and within):
            yield f"{span.program}: {span.name!r} is not within {outer.name!r}"


def spans_make_one_tree(evidence: Evidence) -> Iterator[str]:
    """From the BFF's own down to the model's call, every span hangs on one that there is."""
    spans = _spans(evidence)
    for span in spans.values():
        outer = spans.get(span.parent_id)
        if span.kind == "server":
            above = _ABOVE.get(span.program, "")
            if (outer.program if outer else "", outer.kind if outer else "client") != (
                above,
                "client",
            ):
                yield f"{span.program}: {span.name!r} hangs on no call of {above or 'nobody'}"
        elif outer is None or outer.program != span.program:
            yield f"{span.program}: {span.name!r} hangs on nothing of its own program"
        if outer is not None and outer.trace_id != span.trace_id:
            yield f"{span.program}: {span.name!r} is in another trace than {outer.name!r}"


def model_is_told_the_trace(evidence: Evidence) -> Iterator[str]:
    """What the model server is asked for a call names the span in which it is asked."""
    spans = _spans(evidence)
    for call in evidence.model if evidence.told else ():
        found = _TRACEPARENT.search(call.request)
        if found is None:
            continue  # Nobody's call: what the gateway asks for itself.
        trace_id, span_id = (part.decode() for part in found.groups())
        asking = spans.get(span_id)
        named = asking.attributes.get("gen_ai.operation.name") if asking else None
        if asking is None or named != "chat" or asking.trace_id != trace_id:
            yield f"the model was told of a span {span_id} that no call of it has"


def spans_agree_with_the_log(evidence: Evidence) -> Iterator[str]:
    """Each call's closing line has its span, of the same trace and with the same end."""
    for program, told in evidence.told.items():
        logged = Counter(
            _end(line["request_id"], line["trace_id"], line["reason_code"], line["phase"])
            for line in _closing(evidence, program)
            if line["event"] == "call ended"
        )
        spanned = Counter(
            _end(
                span.attributes.get("bsl.request_id"),
                span.trace_id,
                span.attributes.get("bsl.reason_code"),
                span.attributes.get("bsl.phase"),
            )
            for span in told.spans
            if span.kind == "server"
        )
        for end in sorted((logged - spanned).keys()):
            yield f"{program}: no span ends as the log says: {' '.join(end)}"
        for end in sorted((spanned - logged).keys()):
            yield f"{program}: no line of the log ends as a span: {' '.join(end)}"


def _end(*parts: object) -> tuple[str, ...]:
    return tuple(str(part) for part in parts)


def _closing(evidence: Evidence, program: str) -> list[LogLine]:
    return [line for line in evidence.logs[program] if line["event"] in _CLOSING]


def figures_agree_with_the_log(evidence: Evidence) -> Iterator[str]:
    """As many calls are counted as lines close them, by their ends; and as many first texts."""
    for program, told in evidence.told.items():
        lines = _closing(evidence, program)
        counted = Counter[tuple[str, str]]()
        for (name, labels), value in told.figures.items():
            if name == "bsl_requests_total":
                by = dict(labels)
                counted[by["status"], by["reason_code"]] += int(value)
        logged = Counter((str(it["status"]), str(it["reason_code"] or "")) for it in lines)
        for end in sorted({*counted, *logged}):
            if counted[end] != logged[end]:
                found = f"{counted[end]} are counted and {logged[end]} logged"
                yield f"{program}: of {'/'.join(end)} {found}"
        first = sum(line["ttft_ms"] is not None for line in lines)
        for name, due in (
            ("bsl_request_duration_seconds_count", len(lines)),
            ("bsl_time_to_first_delta_seconds_count", first),
        ):
            if told.total(name) != due:
                yield f"{program}: {name} is {told.total(name):g} and not {due}"


def labels_are_of_closed_sets(evidence: Evidence) -> Iterator[str]:
    """No label holds what a client or a server sent."""
    for program, told in evidence.told.items():
        for name, labels in told.figures:
            for label, value in sorted(labels):
                if value not in _SAMPLE_LABELS.get(label, frozenset()):
                    yield f"{program}: {name} has {label}={value!r}"


def waiting_is_counted(evidence: Evidence) -> Iterator[str]:
    """What is not waiting is work, and work takes no time here."""
    for program, told in evidence.told.items():
        worked_s = told.total("bsl_overhead_seconds_sum")
        if abs(worked_s) > _MOMENT_S:
            yield f"{program}: {worked_s:.3f} s of waiting count as its own work"


def spans_carry_no_content(evidence: Evidence) -> Iterator[str]:
    """No word of a question, a passage or an answer is on any span."""
    for span in _spans(evidence).values():
        text = json.dumps([span.name, dict(span.attributes)], ensure_ascii=False).lower()
        for word in CONTENT:
            if word.lower() in text:
                yield f"{span.program}: {word!r} is on {span.name!r}"


CHECKERS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    spans_end,
    spans_make_one_tree,
    model_is_told_the_trace,
    spans_agree_with_the_log,
    figures_agree_with_the_log,
    labels_are_of_closed_sets,
    waiting_is_counted,
    spans_carry_no_content,
)
