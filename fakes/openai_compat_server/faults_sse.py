"""What can go wrong with a stream of events, and what is odd about one and yet legal.

These change the bytes of events. Where a plain answer has the same fault, so does it.
"""

import json
from collections.abc import Callable, Iterable, Mapping

from contracts.reasons import ReasonCode
from fakes.openai_compat_server.dialects import JsonObject
from fakes.openai_compat_server.plan import Plan, Step
from fakes.openai_compat_server.scenario import (
    OK,
    Frame,
    Frames,
    Parameter,
    Play,
    Scenario,
    Stage,
    Steps,
    after,
    both,
    only_streaming,
)
from fakes.openai_compat_server.wire import DONE_EVENT

_BOM = b"\xef\xbb\xbf"
_FAILED = "The model runner has stopped."
# One of two, one of three, and one of four bytes.
_WIDE = "é—😀"
_LINE_SEPARATOR = "\u2028"


def into_text(text: str, addition: str) -> str:
    """The text with something before its last word, or after a single one."""
    before, blank, last = text.rpartition(" ")
    return before + blank + addition + (blank or " ") + last if blank else last + addition


def _adding(addition: str) -> Stage[str]:
    return lambda _, text: into_text(text, addition)


def _bytes_to_bytes(change: Callable[[bytes], bytes]) -> Stage[Steps]:
    """The same done to each event of a stream; a plain body is left alone."""

    def done(play: Play, events: Steps) -> Steps:
        if not play.stream:
            return events
        return tuple(Step(event.delay_s, change(event.data)) for event in events)

    return done


def _line_ends(end: bytes) -> Stage[Steps]:
    return _bytes_to_bytes(lambda data: data.replace(b"\n", end))


def _on_many_lines(data: bytes) -> bytes:
    """The JSON of an event spread over several `data:` lines."""
    payload = data.removeprefix(b"data: ").strip()
    if not payload.startswith(b"{"):
        return data
    lines = json.dumps(json.loads(payload), ensure_ascii=False, indent=1).encode().split(b"\n")
    return b"".join(b"data: %b\n" % line for line in lines) + b"\n"


def _without_done(play: Play, events: Steps) -> Steps:
    return events[:-1] if play.stream else events


def _followed_by(*more: bytes) -> Stage[Steps]:
    def follow(play: Play, events: Steps) -> Steps:
        return (*events, *(Step(0.0, data) for data in more)) if play.stream else events

    return follow


def _after_done(play: Play, events: Steps) -> Steps:
    """What has been said, said once more."""
    spoken = events[: play.spoken]
    return (*events, *(Step(0.0, event.data) for event in spoken)) if play.stream else events


def _failing(end: Stage[Steps]) -> Stage[Steps]:
    """An error inside a 200; `end` is what a stream says after it has begun."""

    def fail(play: Play, events: Steps) -> Steps:
        if play.stream:
            return (*events[: play.at], *end(play, ()))
        return (Step(events[0].delay_s, play.dialect.to_json(_error(play))),)

    return fail


def _error(play: Play) -> JsonObject:
    return play.dialect.error_body(500, _FAILED)


def _error_event(play: Play, _: Steps) -> Steps:
    return (Step(0.0, play.dialect.event(_error(play))),)


def _error_event_and_done(play: Play, _: Steps) -> Steps:
    return (*_error_event(play, ()), Step(0.0, DONE_EVENT))


def _error_line(play: Play, _: Steps) -> Steps:
    return (Step(0.0, b"error: " + play.dialect.to_json(_error(play)).strip() + b"\n\n"),)


def _swallowed(play: Play, frames: Frames) -> Frames:
    """Ollama's way: the error is kept back, and one empty delta is all there is of it."""
    if not play.stream:
        return frames
    return (*frames[: play.at], Frame(0.0, with_delta(frames[0].payload, {"content": ""})))


def with_delta(payload: JsonObject, delta: Mapping[str, object]) -> JsonObject:
    """A frame of a stream with another delta."""
    return {**payload, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def _without_last_blank_line(play: Play, events: Steps) -> Steps:
    if not play.stream:
        return events
    *rest, last = events
    return (*rest, Step(last.delay_s, last.data.rstrip(b"\n") + b"\n"))


def _with_bom(play: Play, events: Steps) -> Steps:
    first, *rest = events
    return (Step(first.delay_s, _BOM + first.data), *rest) if play.stream else events


def _split_inside_characters(_: Play, events: Steps) -> Steps:
    """Every byte of a character of several bytes leaves in a piece of its own."""
    return tuple(piece for event in events for piece in _pieces(event, _byte_wise(event.data)))


def _byte_wise(data: bytes) -> Iterable[bytes]:
    start = 0
    for at in range(1, len(data)):
        if data[at - 1] >= 0x80 or data[at] >= 0x80:
            yield data[start:at]
            start = at
    yield data[start:]


def _pieces(event: Step, cut: Iterable[bytes]) -> Steps:
    return tuple(Step(0.0 if at else event.delay_s, data) for at, data in enumerate(cut))


def _no_utf8(play: Play, events: Steps) -> Steps:
    """A byte that never stands in UTF-8, inside a string."""
    at = play.at if play.stream else 0
    broken = Step(events[at].delay_s, events[at].data.replace(b'"id":"', b'"id":"\xff', 1))
    return (*events[:at], broken, *events[at + 1 :])


def _no_json(play: Play, events: Steps) -> Steps:
    """An object that is not closed, in an event, or a body, that is."""
    at = play.at if play.stream else 0
    data = events[at].data
    cut = data[: data.rindex(b"}")] + data[data.rindex(b"}") + 1 :]
    return (*events[:at], Step(events[at].delay_s, cut), *events[at + 1 :])


def _half_character(play: Play, events: Steps) -> Steps:
    """JSON by its grammar, and no text: an escape that is half of a surrogate pair."""
    at = play.at if play.stream else 0
    data = events[at].data.replace(b'"content":"', b'"content":"\\ud800', 1)
    return (*events[:at], Step(events[at].delay_s, data), *events[at + 1 :])


def _huge(play: Play, events: Steps) -> Steps:
    at, size = (play.at if play.stream else 0), play.count("size")
    filled = events[at].data.replace(b'"id":"', b'"id":"' + b"a" * size, 1)
    return (*events[:at], Step(events[at].delay_s, filled), *events[at + 1 :])


def _one_write(_: Play, plan: Plan) -> Plan:
    delay_s = sum(step.delay_s for step in plan.steps)
    whole = Step(round(delay_s, 6), b"".join(step.data for step in plan.steps))
    return Plan(plan.status, (whole,), plan.ending)


def _byte_writes(_: Play, plan: Plan) -> Plan:
    steps = (p for s in plan.steps for p in _pieces(s, (bytes((byte,)) for byte in s.data)))
    return Plan(plan.status, tuple(steps), plan.ending)


_LEGAL, _FINE = only_streaming(OK), both(OK)
_ERROR = both(ReasonCode.PROVIDER_ERROR_EVENT)
_SIZE = {"size": Parameter("size", "10MB")}

SSE = (
    Scenario("no-done", "the stream ends without `[DONE]`", _LEGAL, events=_without_done),
    Scenario("done-twice", "`[DONE]`, and once more", _LEGAL, events=_followed_by(DONE_EVENT)),
    Scenario("events-after-done", "what was said is said again after `[DONE]`", _LEGAL,
             events=_after_done),
    Scenario("error-then-done", "an error `after` events, then `[DONE]`; plain: an error in a 200",
             _ERROR, after(5), events=_failing(_error_event_and_done)),
    Scenario("error-then-eof", "an error `after` events, then the end; plain: an error in a 200",
             _ERROR, after(5), events=_failing(_error_event)),
    Scenario("error-line", "an `error:` line `after` events, then the end; plain: an error in a"
             " 200", _ERROR, after(5), events=_failing(_error_line)),
    Scenario("empty-delta-then-eof", "an empty delta `after` events, then the end: a swallowed"
             " error", only_streaming(ReasonCode.PROVIDER_NO_FINISH), after(5),
             frames=_swallowed, events=_without_done),
    Scenario("cr-lines", "lines end with CR", _LEGAL, events=_line_ends(b"\r")),
    Scenario("lf-lines", "lines end with LF", _LEGAL, events=_line_ends(b"\n")),
    Scenario("crlf-lines", "lines end with CRLF", _LEGAL, events=_line_ends(b"\r\n")),
    Scenario("no-space", "no space after `data:`", _LEGAL,
             events=_bytes_to_bytes(lambda data: data.replace(b"data: ", b"data:", 1))),
    Scenario("multi-line-data", "each event's JSON on several `data:` lines", _LEGAL,
             events=_bytes_to_bytes(_on_many_lines)),
    Scenario("no-final-blank-line", "no blank line after the last event", _LEGAL,
             events=_without_last_blank_line),
    Scenario("bom", "a byte order mark before the first event", _LEGAL, events=_with_bom),
    Scenario("line-separator", "U+2028 in the text", _FINE, text=_adding(_LINE_SEPARATOR)),
    Scenario("utf8-split", "wide characters in the text, cut between any two of their bytes",
             _FINE, text=_adding(_WIDE), events=_split_inside_characters),
    Scenario("invalid-utf8", "a byte that is no UTF-8, `after` events or in the plain body",
             both(ReasonCode.PROVIDER_INVALID_ENCODING), after(5), events=_no_utf8),
    Scenario("invalid-json", "JSON that is not closed, `after` events or as the plain body",
             both(ReasonCode.PROVIDER_INVALID_JSON), after(5), events=_no_json),
    Scenario("half-character", "half of a surrogate pair, escaped in the server's own JSON, `after`"
             " events or in the plain body",
             both(ReasonCode.OUTPUT_INVALID_UNICODE), after(5), events=_half_character),
    Scenario("huge-event", "one event, or a plain body, of `size`",
             both(ReasonCode.PROVIDER_TOO_LARGE), {**after(5), **_SIZE}, events=_huge),
    Scenario("byte-writes", "each byte written on its own", _FINE, plan=_byte_writes),
    Scenario("one-write", "everything in one write", _LEGAL, plan=_one_write),
)  # fmt: skip
