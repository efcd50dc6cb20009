"""From a seed and a request to the plan of its response: the whole server, as a pure function."""

from collections.abc import Callable, Mapping

from attrs import evolve, field, frozen

from contracts.framing import parse
from fakes.openai_compat_server import answers, dialects
from fakes.openai_compat_server.answers import Answering
from fakes.openai_compat_server.catalogue import PREFIX, BadParameter, UnknownScenario, choose
from fakes.openai_compat_server.catalogue import parse as parse_scenario
from fakes.openai_compat_server.chat_request import ChatRequest
from fakes.openai_compat_server.completions import (
    parse_prompt,
    prompt_body,
    prompt_closing_frames,
    prompt_token_frames,
)
from fakes.openai_compat_server.dialects import Dialect, JsonObject, Refused
from fakes.openai_compat_server.embeddings import embedding_body, parse_embedding
from fakes.openai_compat_server.http_request import HttpRequest
from fakes.openai_compat_server.json_fields import Refusal
from fakes.openai_compat_server.model_turn import (
    CHARS_PER_TOKEN,
    completed,
    estimated,
    prompt_tokens,
)
from fakes.openai_compat_server.pacing import Latency, Moment, Pace
from fakes.openai_compat_server.plan import Plan
from fakes.openai_compat_server.replies import refused, refused_for, replied
from fakes.openai_compat_server.script import ORDINARY as SCRIPTED_OK
from fakes.openai_compat_server.script import UNSCRIPTED, Playable, Script
from fakes.openai_compat_server.seeded import Draw, draw_for


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
    script: Script | None = field(default=None, validator=lambda _, __, it: check_script(it))


@frozen
class _Work:
    """One request for an answer: who answers it, what it draws, and how it found the server."""

    behaviour: Behaviour
    request: HttpRequest
    draw: Draw
    moment: Moment


_Route = Callable[[Behaviour, HttpRequest, Moment], Plan]
_ALONE = Moment()
_AT_ONCE = Latency(0.0, 0.0)


def plan_response(behaviour: Behaviour, request: HttpRequest, moment: Moment = _ALONE) -> Plan:
    """The response to a request that parsed. Same arguments, same plan, to the byte.

    `moment` is how the server stood when it came; of itself, warm and with nothing else to do.
    """
    methods = _ROUTES.get(request.path)
    method = "GET" if request.method == "HEAD" else request.method
    if methods is None:
        return refused(behaviour.dialect, request, behaviour.dialect.unknown_path(request.line))
    if method not in methods:
        line = f"{request.method} {request.path}"
        wrong = behaviour.dialect.wrong_method(line, sorted(methods))
        return refused(behaviour.dialect, request, wrong)
    return methods[method](behaviour, request, moment)


def plan_scripted(
    behaviour: Behaviour,
    request: HttpRequest,
    scripted: Playable | None,
    strict: bool,
    moment: Moment = _ALONE,
) -> Plan:
    """The response that a script has for the request, in a scenario or to the byte; None: none."""
    if isinstance(scripted, Plan):
        return scripted
    if scripted is None and strict:
        message = "No rule of the script has anything to play to this request."
        refusal = refused_for(behaviour.dialect, request, 404, message, code=UNSCRIPTED)
        return evolve(refusal, scenario=UNSCRIPTED)
    if scripted and scripted != SCRIPTED_OK and request.path in _READ and request.method == "GET":
        return _read_in(scripted, behaviour, request)
    ordinary = "" if scripted == SCRIPTED_OK else scripted
    scenario = behaviour.scenario if ordinary is None else ordinary
    # Without the script, whose every entry would be checked again.
    return plan_response(evolve(behaviour, scenario=scenario, script=None), request, moment)


def check_playable(playable: Playable) -> None:
    """Raises ValueError for what no response can perform."""
    if isinstance(playable, Plan) or playable == SCRIPTED_OK:
        return
    try:
        choose(PREFIX + playable)
    except (UnknownScenario, BadParameter) as fault:
        raise ValueError(str(fault)) from None


def check_script(script: Script | None) -> None:
    """Raises ValueError where one of its rules plays what no response can perform."""
    for playable in (one for rule in script.rules for one in rule.play) if script else ():
        check_playable(playable)


def plan_opening(behaviour: Behaviour) -> Plan | None:
    """What befalls a connection before its first request; None where nothing does."""
    chosen = parse_scenario(behaviour.scenario) if behaviour.scenario else None
    if chosen is None or chosen.scenario.on_accept is None:
        return None
    return evolve(chosen.scenario.on_accept(chosen.values), scenario=chosen.scenario.name)


def _read(behaviour: Behaviour, request: HttpRequest, _: Moment) -> Plan:
    return replied(behaviour.dialect, request, _READ[request.path](behaviour))


def _read_in(scenario: str, behaviour: Behaviour, request: HttpRequest) -> Plan:
    """What can be read, in a scenario. No model is asked, so nothing waits but the scenario."""
    pace = Pace(_AT_ONCE, draw_for(behaviour.seed, request.line.encode()), 0, _ALONE)
    answering = Answering(request, behaviour.dialect, pace, choose("", scenario), stream=False)
    return answers.plain(answering, _READ[request.path](behaviour), 1)


def _chat(work: _Work) -> Plan:
    dialect = work.behaviour.dialect
    chat = dialect.read_chat(work.request.body)
    begun = _begun(work, chat)
    if isinstance(begun, Refused):
        return refused(dialect, work.request, begun)
    answering, fitted = begun
    done = completed(answering, fitted, work.behaviour.persona)
    if not chat.stream:
        return answers.plain(answering, dialect.plain_body(done), done.pieces)
    opening = dialect.opening_frames(done, chat.include_usage)
    tokens = dialect.token_frames(done, chat.include_usage)
    closing = dialect.closing_frames(done, chat.include_usage)
    return answers.streamed(answering, opening, tokens, closing)


def _prompted(work: _Work) -> Plan:
    asked = parse_prompt(work.request.body)
    chat = asked.chat
    begun = _begun(work, chat)
    if isinstance(begun, Refused):
        return refused(work.behaviour.dialect, work.request, begun)
    answering, fitted = begun
    done = completed(answering, fitted, work.behaviour.persona)
    if asked.repeats_prompt:
        done = evolve(done, tokens=(asked.prompt, *done.tokens))
    if not chat.stream:
        return answers.plain(answering, prompt_body(done), len(done.tokens))
    tokens = prompt_token_frames(done, chat.include_usage)
    return answers.streamed(answering, (), tokens, prompt_closing_frames(done, chat.include_usage))


def _embedded(work: _Work) -> Plan:
    asked = parse_embedding(work.request.body)
    counts = zip(asked.token_counts, asked.texts, strict=True)
    tokens = sum(estimated(len(text)) if n is None else n for n, text in counts)
    chosen = choose(asked.model, work.behaviour.scenario)
    pace = _pace(work, tokens)
    answering = Answering(work.request, work.behaviour.dialect, pace, chosen, stream=False)
    return answers.plain(answering, embedding_body(asked, tokens), 1)


def _posted(plan: Callable[[_Work], Plan]) -> _Route:
    """The route for a JSON body. What is refused of it gets the dialect's refusal."""

    def route(behaviour: Behaviour, request: HttpRequest, moment: Moment) -> Plan:
        dialect = behaviour.dialect
        kind = request.header("content-type").partition(";")[0].strip().lower()
        if dialect.wrong_type_status and kind != "application/json":
            message = "Expected content-type: application/json."
            return refused_for(dialect, request, dialect.wrong_type_status, message)
        # Only what the answer depends on: a client's own headers must not change it.
        draw = draw_for(behaviour.seed, request.line.encode(), request.body)
        try:
            return plan(_Work(behaviour, request, draw, moment))
        except UnknownScenario as fault:
            return refused_for(dialect, request, 404, str(fault), "model", "model_not_found")
        except BadParameter as fault:
            return refused_for(dialect, request, 400, str(fault), "model")
        except Refusal as refusal:
            status, param, code = refusal.status, refusal.param, refusal.code
            return refused_for(dialect, request, status, refusal.message, param, code)

    return route


_READ: Mapping[str, Callable[[Behaviour], JsonObject]] = {
    "/health": lambda _: {"status": "ok"},
    "/v1/models": lambda behaviour: behaviour.dialect.models_body(behaviour.models),
}
_ROUTES: Mapping[str, Mapping[str, _Route]] = {
    **{path: {"GET": _read} for path in _READ},
    "/v1/chat/completions": {"POST": _posted(_chat)},
    "/v1/completions": {"POST": _posted(_prompted)},
    "/v1/embeddings": {"POST": _posted(_embedded)},
}


def _begun(work: _Work, chat: ChatRequest) -> tuple[Answering, ChatRequest] | Refused:
    """The answer in the making, and the request as the model gets it."""
    chosen = choose(chat.model, work.behaviour.scenario)
    fitted = _fitted(work.behaviour, chat)
    if isinstance(fitted, Refused):
        return fitted
    pace, dialect = _pace(work, prompt_tokens(fitted)), work.behaviour.dialect
    return Answering(work.request, dialect, pace, chosen, chat.stream, _sources(chat)), fitted


def _fitted(behaviour: Behaviour, chat: ChatRequest) -> ChatRequest | Refused:
    """The request as the model gets it: a prompt over the window is refused, or cut in silence."""
    window_tokens = behaviour.window_tokens or behaviour.dialect.window_tokens
    tokens = prompt_tokens(chat)
    if window_tokens is None or tokens <= window_tokens:
        return chat
    too_long = behaviour.dialect.too_long(tokens, window_tokens)
    kept = dialects.kept_messages(chat.messages, window_tokens * CHARS_PER_TOKEN)
    return too_long or evolve(chat, messages=kept)


def _pace(work: _Work, tokens: int) -> Pace:
    return Pace(work.behaviour.latency, work.draw, tokens, work.moment)


def _sources(chat: ChatRequest) -> int:
    """How many passages the prompt frames."""
    return len(parse("\n".join(message.text for message in chat.messages)).chunks)
