"""The form of every answer, on every hop: CONTRACT §3 to §5 and §7, read anew from the page.

The order of events is a regular expression here and a table in `contracts.order`; the reason
codes' columns are read out of docs/contract.md. Answers of an impostor, or over a connection that
the network broke, are judged by what the hop before made of them.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import jsonschema  # type: ignore[import-untyped]  # it has no types

from harness.evidence import Evidence, last_word, request_id
from harness.wire_log import Event, Exchange, JsonObject, json_object

_ROOT: Final = Path(__file__).parents[2]
_CITED: Final = re.compile(
    r"meta (?:sources )?(?:(?:citations )?error done |citations (?:delta )+(?:error )?done )"
)
_UNCITED: Final = re.compile(r"meta (?:sources )?(?:delta )*(?:error done |(?<=delta )done )")
# What may be wanting at the end of a stream that nobody read to its end.
_ENDINGS: Final = (
    "", "done ", "error done ", "delta done ", "citations delta done ", "meta error done ",
)  # fmt: skip
_TEXTS: Final = {
    "sources": "The answer is not in the documents that were searched. Try asking in other words.",
    "busy": "The service is busy or a part of it is not available. Please try again in a moment.",
    "unverified": "No answer could be produced whose sources can be verified. Please try again.",
    "request": "This request cannot be served as it is.",
}
_ACTIONS: Final = {
    "sources": "REFINE_QUERY",
    "busy": "RETRY",
    "unverified": "RETRY",
    "request": "NONE",
}
_PATHS: Final = ("/chat", "/v1/chat", "/v1/generate")


class Row(NamedTuple):
    """A reason code's row in docs/contract.md. `http` is 0 where it is no error."""

    http: int
    fallback: bool
    message: str


@cache
def contract_rows() -> Mapping[str, Row]:
    """The table of CONTRACT §7, as the page has it."""
    found = {}
    for line in (_ROOT / "docs/contract.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"[A-Z]+(?:_[A-Z]+)+", cells[0]) and re.match(r"E\d|F|log", cells[1]):
            http = re.match(r"E(\d+)", cells[1])
            found[cells[0]] = Row(int(http[1]) if http else 0, "F" in cells[1], cells[2])
    return found


def own_answers(evidence: Evidence) -> Iterator[Exchange]:
    """The calls' answers that a program of ours gave, over a connection that held."""
    faulty = {link.number for link in evidence.wire.links if link.fault}
    for exchange in evidence.exchanges:
        path = exchange.target.partition("?")[0]
        if exchange.status is not None and exchange.link not in faulty and path in _PATHS:
            yield exchange


def streams(evidence: Evidence) -> Iterator[tuple[Exchange, tuple[Event, ...]]]:
    """The same, as far as they are event streams."""
    for exchange in own_answers(evidence):
        if exchange.streams:
            yield exchange, exchange.events()


def told(exchange: Exchange) -> str:
    """How a violation names an exchange."""
    return f"{exchange.request_id} at {exchange.host}"


def wants_citations(exchange: Exchange) -> bool:
    """What its request says of citations."""
    asked = _json(exchange.body)
    options = asked.get("options")
    asked = options if isinstance(options, dict) else asked
    return asked.get("citations_required", True) is not False


def _json(data: bytes) -> JsonObject:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def answers_are_http(evidence: Evidence) -> Iterator[str]:
    """What our programs send can be read as HTTP/1.1, and a whole stream as events."""
    for exchange in evidence.exchanges:
        if not exchange.method:
            yield f"asked of {exchange.host}: {exchange.unreadable}"
    for exchange in own_answers(evidence):
        if exchange.unreadable:
            yield f"{told(exchange)}: {exchange.unreadable}"
        if exchange.streams and exchange.ended == "whole" and exchange.unended_frame():
            yield f"{told(exchange)}: the stream ends within a frame"
        if exchange.streams and any(event.data is None for event in exchange.events()):
            yield f"{told(exchange)}: an event's data is no JSON object"


def exactly_one_done(evidence: Evidence) -> Iterator[str]:
    """`done` once, last, always: an answer that begins ends, unless its client left."""
    for exchange, events in streams(evidence):
        dones = [at for at, event in enumerate(events) if event.name == "done"]
        if len(dones) > 1:
            yield f"{told(exchange)}: {len(dones)} times `done`"
        if dones and dones[0] != len(events) - 1:
            yield f"{told(exchange)}: `{events[-1].name}` after `done`"
        if not dones and exchange.left_at is None and not stopped_reading(evidence, exchange):
            yield f"{told(exchange)}: no `done`"


def stopped_reading(evidence: Evidence, exchange: Exchange) -> bool:
    """Whether the client at this request's beginning is one that does not read."""
    return any(
        call.client == "stops-reading" and request_id(number) == exchange.request_id
        for number, call in enumerate(evidence.plan.calls)
    )


def order_is_legal(evidence: Evidence) -> Iterator[str]:
    """`meta sources? citations? delta* error? done`, and what each of them demands."""
    for exchange, events in streams(evidence):
        names = "".join(f"{event.name} " for event in events)
        legal = _CITED if wants_citations(exchange) else _UNCITED
        complete = "done" in names
        endings = ("",) if complete else _ENDINGS
        if events and not any(legal.fullmatch(names + ending) for ending in endings):
            yield f"{told(exchange)}: {' '.join(names.split())}"
        if exchange.host == "llmgw" and "sources" in names:
            yield f"{told(exchange)}: `sources` are the query service's"
        yield from (f"{told(exchange)}: {line}" for line in _end_is_legal(events))


def _end_is_legal(events: tuple[Event, ...]) -> Iterator[str]:
    by_name = {event.name: event for event in events}
    error, done = by_name.get("error"), by_name.get("done")
    if error and error.value("discard") is not ("delta" in by_name):
        yield f"`discard` is {error.value('discard')}"
    if error and done and error.value("code") != done.value("reason_code"):
        yield f"`error` says {error.value('code')}, `done` {done.value('reason_code')}"
    if done and done.value("status") != "ok" and not error:
        yield "`done` is not ok, and no `error` was before it"
    if done and (done.value("status") == "ok") is not (done.value("reason_code") is None):
        yield f"{done.value('status')} with {done.value('reason_code')}"
    cited = by_name["citations"].value("citations") if "citations" in by_name else []
    if done and done.value("citations") != (cited if done.value("status") == "ok" else []):
        yield "`done` and `citations` differ"


def schemas_hold(evidence: Evidence) -> Iterator[str]:
    """Every body and event is what the published JSON Schema says."""
    for exchange in own_answers(evidence):
        if exchange.streams:
            said = [(f"event-{event.name}", event.payload) for event in exchange.events()]
        elif exchange.ended == "whole":
            name = "error-body" if exchange.status != 200 else _body_of(exchange)
            said = [(name, exchange.answer)]
        else:
            said = []
        for name, data in said:
            yield from (f"{told(exchange)}: {line}" for line in _against(name, data))


def _body_of(exchange: Exchange) -> str:
    return "generate-response" if exchange.host == "llmgw" else "chat-response"


@lru_cache(maxsize=4096)  # what a hop says, the hop before passes on
def _against(name: str, said: bytes) -> Sequence[str]:
    data = json_object(said)
    if name == "event-delta" and data is not None and list(data) == ["delta"]:
        whole = isinstance(data["delta"], str) and data["delta"]
        return () if whole else (f"a `delta` of {data['delta']!r}",)
    validator = _validator(name)
    if validator is None:
        return (f"there is no `{name}`",)
    return tuple(
        f"{name} {error.json_path}: {error.message[:200]}" for error in validator.iter_errors(data)
    )


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator | None:
    file = _ROOT / f"contracts/schemas/{name}.json"
    if not file.exists():
        return None
    return jsonschema.Draft202012Validator(json.loads(file.read_text()))


def words_are_the_contracts(evidence: Evidence) -> Iterator[str]:
    """Status, text and next action of every answer are the table's."""
    for exchange in own_answers(evidence):
        if exchange.ended == "whole":
            yield from (f"{told(exchange)}: {line}" for line in _words(exchange))


def _words(exchange: Exchange) -> Iterator[str]:
    word = last_word(exchange)
    row = contract_rows().get(word)
    if word == "(left)":
        return
    if word == "ok":
        yield from _ok_words(exchange)
    elif row is None:
        yield f"{word} is no reason code"
    elif exchange.status != 200:
        if exchange.status != row.http:
            yield f"{word} with HTTP {exchange.status}, not {row.http}"
    elif not row.fallback and not _is_relayed(word, exchange):
        yield f"{word} can not end an answer"
    else:
        yield from _fallback_words(exchange, row)


def _is_relayed(word: str, exchange: Exchange) -> bool:
    """Whether it is an inner hop's admission that a chat makes a fallback of."""
    return word.startswith("ADMISSION_") and exchange.host != "llmgw"


def _last(exchange: Exchange) -> tuple[Mapping[str, JsonObject], JsonObject]:
    """The events by name, and what an answer says of its end: its `done`, or its body."""
    events = {event.name: event.data or {} for event in exchange.events()}
    return events, events.get("done") or exchange.answer_json or {}


def _ok_words(exchange: Exchange) -> Iterator[str]:
    _, last = _last(exchange)
    usual = {"message_key": None, "next_action": "NONE", "retry_after_ms": None}
    for key, value in usual.items():
        if last.get(key, value) != value:
            yield f"ok, and {key} {last[key]}"


def _fallback_words(exchange: Exchange, row: Row) -> Iterator[str]:
    events, last = _last(exchange)
    if last.get("status") != "fallback":
        yield f"{last.get('reason_code')}, and the status is {last.get('status')}"
    if last.get("citations"):
        yield "a fallback that cites"
    if exchange.host == "llmgw" and last.get("content") is not None:
        yield "a fallback with content"
    if last.get("message_key") != row.message:
        yield f"message_key {last.get('message_key')}, not {row.message}"
    action = last.get("next_action", _ACTIONS[row.message])  # the gateway's body has none
    if action != _ACTIONS[row.message]:
        yield f"next_action {action}, not {_ACTIONS[row.message]}"
    answer = last.get("answer")
    text = answer.get("content") if isinstance(answer, dict) else None
    for shown in (text, events.get("error", {}).get("message")):
        if shown is not None and shown != _TEXTS[row.message]:
            yield f"the text shown is {shown!r}"


def ids_are_one(evidence: Evidence) -> Iterator[str]:
    """One request id and one trace id on every hop of a call: sent on, answered and told."""
    traces: dict[str, set[object]] = {}
    for exchange in own_answers(evidence):
        asked = exchange.request_id
        said = exchange.answer_headers.get("x-request-id")
        if said != asked:
            yield f"{told(exchange)}: answered as {said}"
        body = exchange.answer_json or {}
        first = exchange.events()[0].data or {} if exchange.streams and exchange.events() else body
        if first.get("request_id", asked) != asked:
            yield f"{told(exchange)}: the body says {first.get('request_id')}"
        trace = exchange.answer_headers.get("x-trace-id")
        if first.get("trace_id", trace) != trace:
            yield f"{told(exchange)}: two trace ids, {trace} and {first.get('trace_id')}"
        traces.setdefault(asked, set()).add(trace)
    for asked, found in traces.items():
        if len(found) > 1:
            yield f"{asked}: {len(found)} trace ids on its way"


CHECKERS: Final[tuple[Callable[[Evidence], Iterator[str]], ...]] = (
    answers_are_http,
    exactly_one_done,
    order_is_legal,
    schemas_hold,
    words_are_the_contracts,
    ids_are_one,
)
