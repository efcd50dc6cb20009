"""From a seed and a request to the plan of its response: the whole server, as a pure function."""

from collections.abc import Callable, Iterable, Mapping

from attrs import evolve, field, frozen

from contracts.framing import parse
from fakes.openai_compat_server import answers, dialects, wire
from fakes.openai_compat_server.answers import Answering
from fakes.openai_compat_server.catalogue import PREFIX, BadParameter, UnknownScenario, choose
from fakes.openai_compat_server.catalogue import parse as parse_scenario
from fakes.openai_compat_server.chat_request import ChatRequest, parse_chat
from fakes.openai_compat_server.completions import (
    parse_prompt,
    prompt_body,
    prompt_closing_frames,
    prompt_token_frames,
)
from fakes.openai_compat_server.dialects import Dialect, Headers, Refused
from fakes.openai_compat_server.embeddings import embedding_body, parse_embedding
from fakes.openai_compat_server.http_request import HttpRequest
from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.pacing import Latency
from fakes.openai_compat_server.persona import PERSONAS
from fakes.openai_compat_server.plan import Ending, Plan, Step
from fakes.openai_compat_server.script import ORDINARY as SCRIPTED_OK
from fakes.openai_compat_server.script import Script
from fakes.openai_compat_server.seeded import Draw, draw_for
from fakes.openai_compat_server.tools import ToolCall, call_one, calling_body, calling_frames

# Usage is estimated, as nobody's tokeniser is at hand; `max_tokens` cuts by the same measure.
CHARS_PER_TOKEN = 4


@frozen
class Behaviour:
    """What decides a response besides the request."""

    seed: int = 0
    persona: str = "extractive"
    latency: Latency = field(factory=Latency)
    models: tuple[str, ...] = dialects.MODELS
    dialect: Dialect = dialects.OPENAI
    window_tokens: int | None = None  # None: the dialect's own
    scenario: str = ""  # what is played where a request names none; a listener's, always
    script: Script | None = field(default=None, validator=lambda _, __, it: _check(it))


_Route = Callable[[Behaviour, HttpRequest], Plan]
Frames = Iterable[dialects.JsonObject]


def plan_response(behaviour: Behaviour, request: HttpRequest) -> Plan:
    """The response to a request that parsed. Same arguments, same plan, to the byte."""
    methods = _ROUTES.get(request.path)
    method = "GET" if request.method == "HEAD" else request.method
    if methods is None:
        return _refuse(behaviour.dialect, request, behaviour.dialect.unknown_path(request.line))
    if method not in methods:
        line = f"{request.method} {request.path}"
        refused = behaviour.dialect.wrong_method(line, sorted(methods))
        return _refuse(behaviour.dialect, request, refused)
    return methods[method](behaviour, request)


def plan_scripted(
    behaviour: Behaviour, request: HttpRequest, name: str | None, strict: bool
) -> Plan:
    """The response in the scenario a script has for the request; None: it has none."""
    if name is None and strict:
        message = "No rule of the script has anything to play to this request."
        return _error(behaviour.dialect, request, 404, message, code="unscripted")
    scenario = behaviour.scenario if name is None else "" if name == SCRIPTED_OK else name
    # Without the script, whose every entry would be checked again.
    return plan_response(evolve(behaviour, scenario=scenario, script=None), request)


def check_playable(name: str) -> None:
    """Raises ValueError for what no response can perform."""
    if name == SCRIPTED_OK:
        return
    try:
        choose(PREFIX + name)
    except (UnknownScenario, BadParameter) as fault:
        raise ValueError(str(fault)) from None


def _check(script: Script | None) -> None:
    for name in (name for rule in script.rules for name in rule.play) if script else ():
        check_playable(name)


def plan_opening(behaviour: Behaviour) -> Plan | None:
    """What befalls a connection before its first request; None where nothing does."""
    chosen = parse_scenario(behaviour.scenario) if behaviour.scenario else None
    if chosen is None or chosen.scenario.on_accept is None:
        return None
    return chosen.scenario.on_accept(chosen.values)


def plan_unparsable() -> Plan:
    """A bare 400: whoever sent this does not speak HTTP, so no body would be read."""
    return _whole(400, (("content-length", "0"), ("connection", "close")), b"")


def plan_too_large(dialect: Dialect, body_bytes_max: int) -> Plan:
    return _refused(dialect, 413, f"The body is over the limit of {body_bytes_max} bytes.")


def plan_too_slow(dialect: Dialect, limit_s: float) -> Plan:
    return _refused(dialect, 408, f"The request did not arrive within {limit_s:g} seconds.")


def plan_bad_session(dialect: Dialect, chars_max: int) -> Plan:
    return _refused(dialect, 400, f"A session's name has at most {chars_max} characters.")


def _health(behaviour: Behaviour, request: HttpRequest) -> Plan:
    return _answer(behaviour.dialect, request, 200, {"status": "ok"})


def _models(behaviour: Behaviour, request: HttpRequest) -> Plan:
    dialect = behaviour.dialect
    return _answer(dialect, request, 200, dialect.models_body(behaviour.models))


def _chat(behaviour: Behaviour, request: HttpRequest, draw: Draw) -> Plan:
    dialect, chat = behaviour.dialect, parse_chat(request.body)
    answering = _answering(behaviour, request, draw, chat)
    fitted = _fitted(behaviour, chat)
    if isinstance(fitted, Refused):
        return _refuse(dialect, request, fitted)
    call = call_one(chat.forced, draw) if chat.forced else None
    done = _completion(behaviour, answering, fitted, call)
    if not chat.stream:
        body = dialect.plain_body(done)
        body = calling_body(body, call) if call else body
        return answers.plain(answering, body, len(done.tokens))
    opening: Frames = tuple(dialect.opening_frames(done, chat.include_usage))
    tokens: Frames = dialect.token_frames(done, chat.include_usage)
    if call:
        tokens = calling_frames(tokens, call, opens=not opening)
        opening = calling_frames(opening, call, opens=True)
    closing = dialect.closing_frames(done, chat.include_usage)
    return answers.streamed(answering, opening, tokens, closing)


def _prompted(behaviour: Behaviour, request: HttpRequest, draw: Draw) -> Plan:
    asked = parse_prompt(request.body)
    chat = asked.chat
    answering = _answering(behaviour, request, draw, chat)
    fitted = _fitted(behaviour, chat)
    if isinstance(fitted, Refused):
        return _refuse(behaviour.dialect, request, fitted)
    done = _completion(behaviour, answering, fitted)
    if asked.repeats_prompt:
        done = evolve(done, tokens=(asked.prompt, *done.tokens))
    if not chat.stream:
        return answers.plain(answering, prompt_body(done), len(done.tokens))
    tokens = prompt_token_frames(done, chat.include_usage)
    return answers.streamed(answering, (), tokens, prompt_closing_frames(done, chat.include_usage))


def _embedded(behaviour: Behaviour, request: HttpRequest, draw: Draw) -> Plan:
    asked = parse_embedding(request.body)
    counts = zip(asked.token_counts, asked.texts, strict=True)
    prompt_tokens = sum(_estimate(len(text)) if n is None else n for n, text in counts)
    chosen = choose(asked.model, behaviour.scenario)
    answering = Answering(request, behaviour.dialect, behaviour.latency, draw, chosen, stream=False)
    return answers.plain(answering, embedding_body(asked, prompt_tokens), 1)


def _posted(plan: Callable[[Behaviour, HttpRequest, Draw], Plan]) -> _Route:
    """The route for a JSON body. What is refused of it gets the dialect's refusal."""

    def route(behaviour: Behaviour, request: HttpRequest) -> Plan:
        dialect = behaviour.dialect
        kind = request.header("content-type").partition(";")[0].strip().lower()
        if kind != "application/json":
            return _error(dialect, request, 415, "Expected content-type: application/json.")
        # Only what the answer depends on: a client's own headers must not change it.
        draw = draw_for(behaviour.seed, request.line.encode(), request.body)
        try:
            return plan(behaviour, request, draw)
        except UnknownScenario as fault:
            return _error(dialect, request, 404, str(fault), "model", "model_not_found")
        except BadParameter as fault:
            return _error(dialect, request, 400, str(fault), "model")
        except Refusal as refusal:
            return _error(dialect, request, 400, refusal.message, refusal.param)

    return route


_ROUTES: Mapping[str, Mapping[str, _Route]] = {
    "/health": {"GET": _health},
    "/v1/models": {"GET": _models},
    "/v1/chat/completions": {"POST": _posted(_chat)},
    "/v1/completions": {"POST": _posted(_prompted)},
    "/v1/embeddings": {"POST": _posted(_embedded)},
}


def _fitted(behaviour: Behaviour, chat: ChatRequest) -> ChatRequest | Refused:
    """The request as the model gets it: a prompt over the window is refused, or cut in silence."""
    window_tokens = behaviour.window_tokens or behaviour.dialect.window_tokens
    prompt_tokens = _prompt_tokens(chat)
    if window_tokens is None or prompt_tokens <= window_tokens:
        return chat
    refused = behaviour.dialect.too_long(prompt_tokens, window_tokens)
    kept = dialects.kept_messages(chat.messages, window_tokens * CHARS_PER_TOKEN)
    return refused or evolve(chat, messages=kept)


def _answering(
    behaviour: Behaviour, request: HttpRequest, draw: Draw, chat: ChatRequest
) -> Answering:
    chosen = choose(chat.model, behaviour.scenario)
    dialect, latency = behaviour.dialect, behaviour.latency
    return Answering(request, dialect, latency, draw, chosen, chat.stream, _sources(chat))


def _completion(
    behaviour: Behaviour, answering: Answering, chat: ChatRequest, call: ToolCall | None = None
) -> dialects.Completion:
    """The answer in tokens: the arguments of a call, else what the persona says."""
    if call:
        text, finish_reason = call.arguments, "tool_calls"
    else:
        text, finish_reason = PERSONAS[behaviour.persona](chat, answering.draw), "stop"
        for stop in chat.stop:
            text = text.partition(stop)[0]
    if chat.max_tokens is not None and len(text) > chat.max_tokens * CHARS_PER_TOKEN:
        text, finish_reason = text[: chat.max_tokens * CHARS_PER_TOKEN], "length"
    tokens = answers.said(answering, text)
    return dialects.Completion(
        id=behaviour.dialect.chat_id(answering.draw),
        created_s=dialects.created_s(answering.draw),
        model=chat.model,
        tokens=tokens,
        finish_reason=finish_reason,
        prompt_tokens=_prompt_tokens(chat),
        completion_tokens=_estimate(sum(map(len, tokens))),
    )


def _sources(chat: ChatRequest) -> int:
    """How many passages the prompt frames."""
    return len(parse("\n".join(message.text for message in chat.messages)).chunks)


def _prompt_tokens(chat: ChatRequest) -> int:
    return _estimate(sum(len(message.text) for message in chat.messages))


def _estimate(chars: int) -> int:
    return max(1, -(-chars // CHARS_PER_TOKEN))


def _error(
    dialect: Dialect,
    request: HttpRequest,
    status: int,
    message: str,
    param: str | None = None,
    code: str | None = None,
) -> Plan:
    return _refuse(dialect, request, dialect.refusal(status, message, param, code))


def _refuse(dialect: Dialect, request: HttpRequest, refused: Refused) -> Plan:
    keeps = request.keeps_alive and not dialect.closes_after_error
    ending = Ending.KEEP if keeps else Ending.CLOSE
    about = _of_body(refused.body, refused.content_type)
    headers = (*dialect.response_headers, *about, *refused.headers, answers.connection(ending))
    sent = b"" if request.method == "HEAD" else refused.body
    return _whole(refused.status, headers, sent, 0.0, ending)


def _answer(
    dialect: Dialect,
    request: HttpRequest,
    status: int,
    payload: dialects.JsonObject,
    delay_s: float = 0.0,
) -> Plan:
    ending = Ending.KEEP if request.keeps_alive else Ending.CLOSE
    body = dialect.to_json(payload)
    about = _of_body(body, dialect.json_type)
    headers = (*dialect.response_headers, *about, answers.connection(ending))
    sent = b"" if request.method == "HEAD" else body
    return _whole(status, headers, sent, delay_s, ending)


def _refused(dialect: Dialect, status: int, message: str) -> Plan:
    """For a request that never became whole: the connection can not be used again."""
    refused = dialect.refusal(status, message)
    about = _of_body(refused.body, refused.content_type)
    headers = (*dialect.response_headers, *about, ("connection", "close"))
    return _whole(status, headers, refused.body)


def _of_body(body: bytes, content_type: str) -> Headers:
    return ("content-type", content_type), ("content-length", str(len(body)))


def _whole(
    status: int,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
    delay_s: float = 0.0,
    ending: Ending = Ending.CLOSE,
) -> Plan:
    return Plan(status, (Step(delay_s, wire.head(status, headers) + body),), ending)
