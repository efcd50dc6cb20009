"""From a seed and a request to the plan of its response: the whole server, as a pure function."""

import re
from collections.abc import Callable, Mapping

from attrs import field, frozen

from fakes.openai_compat_server import dialects, wire
from fakes.openai_compat_server.chat_request import ChatRequest, Refusal, parse_chat
from fakes.openai_compat_server.http_request import HttpRequest
from fakes.openai_compat_server.pacing import Latency
from fakes.openai_compat_server.persona import PERSONAS
from fakes.openai_compat_server.plan import Ending, Plan, Step
from fakes.openai_compat_server.seeded import Draw, draw_for

# Usage is estimated, as nobody's tokeniser is at hand; `max_tokens` cuts by the same measure.
CHARS_PER_TOKEN = 4
_CJK = r"\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"\s*(?:[{_CJK}]{{1,2}}|[^\s{_CJK}]{{1,8}})|\s+")


@frozen
class Behaviour:
    """What decides a response besides the request."""

    seed: int = 0
    persona: str = "extractive"
    latency: Latency = field(factory=Latency)
    models: tuple[str, ...] = dialects.MODELS


def plan_response(behaviour: Behaviour, request: HttpRequest) -> Plan:
    """The response to a request that parsed. Same arguments, same plan, to the byte."""
    methods = _ROUTES.get(request.path)
    method = "GET" if request.method == "HEAD" else request.method
    if methods is None:
        return _error(request, 404, f"Invalid URL ({request.line})")
    if method not in methods:
        return _error(
            request,
            405,
            f"Not allowed to {request.method} on {request.path}.",
            code="method_not_supported",
            headers=(("allow", ", ".join(sorted(methods))),),
        )
    return methods[method](behaviour, request)


def plan_unparsable() -> Plan:
    """A bare 400: whoever sent this does not speak HTTP, so no body would be read."""
    return _whole(400, (("content-length", "0"), ("connection", "close")), b"")


def plan_too_large(body_bytes_max: int) -> Plan:
    return _refused(413, f"The body is over the limit of {body_bytes_max} bytes.")


def plan_too_slow(limit_s: float) -> Plan:
    return _refused(408, f"The request did not arrive within {limit_s:g} seconds.")


def _health(_: Behaviour, request: HttpRequest) -> Plan:
    return _answer(request, 200, {"status": "ok"})


def _models(behaviour: Behaviour, request: HttpRequest) -> Plan:
    return _answer(request, 200, dialects.models_body(behaviour.models))


def _chat(behaviour: Behaviour, request: HttpRequest) -> Plan:
    kind = request.header("content-type").partition(";")[0].strip().lower()
    if kind != "application/json":
        return _error(request, 415, "Expected content-type: application/json.")
    # Only what the answer depends on: a client's own headers must not change it.
    draw = draw_for(behaviour.seed, request.line.encode(), request.body)
    try:
        chat = parse_chat(request.body)
        done = _completion(behaviour, chat, draw)
    except Refusal as refusal:
        return _error(request, 400, refusal.message, refusal.param)
    if chat.stream:
        return _streamed(request, chat, done, behaviour.latency, draw)
    latency = behaviour.latency
    gaps = sum(latency.between(draw, at) for at in range(1, len(done.tokens)))
    return _answer(request, 200, dialects.plain_body(done), round(latency.first(draw) + gaps, 6))


_Route = Callable[[Behaviour, HttpRequest], Plan]
_ROUTES: Mapping[str, Mapping[str, _Route]] = {
    "/health": {"GET": _health},
    "/v1/models": {"GET": _models},
    "/v1/chat/completions": {"POST": _chat},
}


def _completion(behaviour: Behaviour, chat: ChatRequest, draw: Draw) -> dialects.Completion:
    text, finish_reason = PERSONAS[behaviour.persona](chat), "stop"
    for stop in chat.stop:
        text = text.partition(stop)[0]
    if chat.max_tokens is not None and len(text) > chat.max_tokens * CHARS_PER_TOKEN:
        text, finish_reason = text[: chat.max_tokens * CHARS_PER_TOKEN], "length"
    return dialects.Completion(
        id=dialects.chat_id(draw),
        created_s=dialects.created_s(draw),
        model=chat.model,
        tokens=tuple(_TOKEN.findall(text)),
        finish_reason=finish_reason,
        prompt_tokens=_estimate(sum(len(message.text) for message in chat.messages)),
        completion_tokens=_estimate(len(text)),
    )


def _estimate(chars: int) -> int:
    return max(1, -(-chars // CHARS_PER_TOKEN))


def _streamed(
    request: HttpRequest, chat: ChatRequest, done: dialects.Completion, pace: Latency, draw: Draw
) -> Plan:
    """Each event a step and a chunk of its own; HTTP/1.0 has no chunks and ends by closing."""
    chunked = request.version == "1.1"
    framed = wire.chunk if chunked else _unframed
    ending = Ending.KEEP if request.keeps_alive else Ending.CLOSE
    headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
    headers += [("transfer-encoding", "chunked")] if chunked else []
    opening = wire.event(dialects.opening_frame(done, chat.include_usage))
    steps = [Step(0.0, wire.head(200, [*headers, _connection(ending)]))]
    steps.append(Step(pace.first(draw), framed(opening)))
    for at, frame in enumerate(dialects.token_frames(done, chat.include_usage)):
        steps.append(Step(pace.between(draw, at) if at else 0.0, framed(wire.event(frame))))
    for frame in dialects.closing_frames(done, chat.include_usage):
        steps.append(Step(0.0, framed(wire.event(frame))))
    steps.append(Step(0.0, framed(wire.DONE_EVENT) + (wire.LAST_CHUNK if chunked else b"")))
    return Plan(200, tuple(steps), ending)


def _unframed(data: bytes) -> bytes:
    return data


def _connection(ending: Ending) -> tuple[str, str]:
    return "connection", "keep-alive" if ending is Ending.KEEP else "close"


def _error(
    request: HttpRequest,
    status: int,
    message: str,
    param: str | None = None,
    code: str | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Plan:
    return _answer(request, status, dialects.error_body(message, param, code), 0.0, headers)


def _answer(
    request: HttpRequest,
    status: int,
    payload: dialects.JsonObject,
    delay_s: float = 0.0,
    headers: tuple[tuple[str, str], ...] = (),
) -> Plan:
    ending = Ending.KEEP if request.keeps_alive else Ending.CLOSE
    body = wire.to_json(payload)
    all_headers = (*_of_json(body), *headers, _connection(ending))
    sent = b"" if request.method == "HEAD" else body
    return _whole(status, all_headers, sent, delay_s, ending)


def _refused(status: int, message: str) -> Plan:
    """For a request that never became whole: the connection can not be used again."""
    body = wire.to_json(dialects.error_body(message))
    return _whole(status, (*_of_json(body), ("connection", "close")), body)


def _of_json(body: bytes) -> tuple[tuple[str, str], ...]:
    return ("content-type", "application/json"), ("content-length", str(len(body)))


def _whole(
    status: int,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
    delay_s: float = 0.0,
    ending: Ending = Ending.CLOSE,
) -> Plan:
    return Plan(status, (Step(delay_s, wire.head(status, headers) + body),), ending)
