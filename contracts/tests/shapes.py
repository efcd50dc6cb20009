"""JSON for each of the contract's types, by Hypothesis: right ones, and ones gone slightly wrong.

`plain(kind)` has the right shape but minds no law between fields; `legal(kind)` minds those too;
`near(kind)` is a right shape to which a few things were done.
"""

import json
from collections.abc import Callable
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, cast, get_args, get_origin

from attrs import NOTHING, fields, has
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from contracts.chat import ChatRequest, ChatResponse, ErrorBody
from contracts.codec import rules_of
from contracts.events import CitationsProved, Delta, Done, Failed, Meta, SourcesFound
from contracts.generation import GenerateRequest, GenerateResponse
from contracts.reasons import NextAction, ReasonCode
from contracts.rules import Between, Chars, Items, Matches, NotNull
from contracts.sessions import FeedbackRequest, SessionResponse

Json = dict[str, object]
KINDS: tuple[type, ...] = (
    *(ChatRequest, ChatResponse, ErrorBody, GenerateRequest, GenerateResponse),
    *(SessionResponse, FeedbackRequest),
    *(Meta, SourcesFound, CitationsProved, Delta, Failed, Done),
)
FALLBACKS = [code for code in ReasonCode if code.fallback]
# What trips readers of text: quotes, line ends of every kind, NUL, characters off the first plane.
LETTERS = 'ab1 "\\/\n\r\t\x00\x7f\u0085é€\u2028\ufeff\uffff🙂'
TEXT = st.text(LETTERS, min_size=1, max_size=12)


def quick(examples: int) -> settings:
    """The same examples on every run, few and as found: they are small, and shrinking is slow."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )


def encoded(value: object) -> bytes:
    """JSON as some client may write it."""
    return json.dumps(value).encode()


def plain(kind: object) -> SearchStrategy[object]:
    """JSON of this type's shape."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _ruled(kind)
    if origin is Literal:
        return st.sampled_from(parts)
    if origin in (Union, UnionType):
        return st.none() | st.one_of([plain(arm) for arm in parts if arm is not NoneType])
    if origin is tuple:
        return st.lists(plain(parts[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(TEXT, st.integers(), max_size=3)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from([member.value for member in kind])
    if isinstance(kind, type) and has(kind):
        return _object(kind)
    scalars: dict[object, SearchStrategy[object]] = {
        str: TEXT,
        bool: st.booleans(),
        int: st.integers(),
        float: st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9),
    }
    return scalars[kind]


def _object(kind: type) -> SearchStrategy[object]:
    keys = {field.name: plain(field.type) for field in fields(kind)}
    needed = [field.name for field in fields(kind) if field.default is NOTHING]
    return st.fixed_dictionaries(
        {name: keys[name] for name in needed},
        optional={name: made for name, made in keys.items() if name not in needed},
    )


def _ruled(kind: object) -> SearchStrategy[object]:
    base, rules = get_args(kind)[0], rules_of(kind)
    made = plain(base)
    for rule in rules:
        if isinstance(rule, Matches):
            made = st.from_regex(rule.pattern, fullmatch=True)
        elif isinstance(rule, Chars):
            made = _text(rule)
        elif isinstance(rule, Items):
            made = st.lists(plain(get_args(base)[0]), min_size=rule.minimum, max_size=3)
        elif isinstance(rule, Between):
            made = _number(rule, whole=base is int)
        elif isinstance(rule, NotNull):
            made = made.filter(lambda value: value is not None)
    return made


def _text(rule: Chars) -> SearchStrategy[object]:
    short = st.text(LETTERS, min_size=rule.minimum, max_size=12)
    return st.one_of(short, short, st.sampled_from(["é" * rule.minimum, "🙂" * rule.maximum]))


def _number(rule: Between, *, whole: bool) -> SearchStrategy[object]:
    low, high = rule.minimum, rule.maximum
    integers = st.integers(int(low), None if high is None else int(high))
    if whole:
        return integers
    return integers.map(lambda n: min(n, 10**60)) | st.floats(low, high, allow_infinity=False)


# What can be done to a value, wherever it stands. Lengths are the contract's own and one more, so
# that each cap is met from both sides.
_ODD: list[object] = [None, True, 0, 1, -1, 1.0, 1.5, 21, 10**30, "", "x", "v1", "user", [], {}]
_LENGTHS = [0, 1, 12, 128, 129, 256, 257, 400, 401, 1_000, 1_001, 2_048, 2_049, 4_000, 4_001]
_LENGTHS += [8_192, 8_193, 32_000, 32_001]
_COUNTS = [0, 1, 6, 7, 12, 13, 20, 21, 32, 33, 64, 65]


@st.composite
def near(draw: DrawFn, kind: type) -> object:
    """JSON that is this type's, or nearly."""
    root = json.loads(json.dumps({"it": draw(plain(kind))}))
    for _ in range(draw(st.integers(0, 3))):
        _spoil(draw, *draw(st.sampled_from(_places(root))))
    return root.get("it")


def _places(value: object) -> list[tuple[list[object] | Json, int | str]]:
    found: list[tuple[list[object] | Json, int | str]] = []
    if isinstance(value, dict):
        for key, child in value.items():
            found += [(value, key), *_places(child)]
    elif isinstance(value, list):
        for index, child in enumerate(value):
            found += [(value, index), *_places(child)]
    return found or [({"it": value}, "it")]


def _spoil(draw: DrawFn, where: list[object] | Json, key: int | str) -> None:
    at = cast(Json, where)  # A list is changed by the same words.
    match draw(st.sampled_from(["replace", "stretch", "remove", "add"])):
        case "remove":
            del at[cast(str, key)]
        case "add" if isinstance(where, dict):
            where[draw(TEXT)] = draw(st.sampled_from(_ODD))
        case "stretch":
            at[cast(str, key)] = _stretched(draw, at[cast(str, key)])
        case _:
            at[cast(str, key)] = draw(st.sampled_from(_ODD))


def _stretched(draw: DrawFn, value: object) -> object:
    if isinstance(value, str):
        other = [value + "\n", " " + value, value.upper(), value + "\x00"]
        return draw(st.sampled_from(other + ["é" * length for length in _LENGTHS]))
    if isinstance(value, list) and value:
        return [value[0]] * draw(st.sampled_from(_COUNTS))
    return draw(st.sampled_from([float(value), value + 1, -value])) if type(value) is int else value


def legal(kind: type) -> SearchStrategy[Json]:
    """JSON of this type's shape in which the laws between fields hold."""
    drawn = st.tuples(plain(kind), st.none() | st.sampled_from(FALLBACKS))
    return drawn.map(lambda both: _LAWS.get(kind, _lawless)(cast(Json, both[0]), both[1]))


def _lawless(value: Json, _: ReasonCode | None) -> Json:
    return value


def _chat_request(value: Json, _: ReasonCode | None) -> Json:
    return {**value, "history": []} if "session_id" in value else value


def _generate_request(value: Json, _: ReasonCode | None) -> Json:
    context = cast(Json, value.get("context", {}))
    chunks = cast(list[Json], context.get("chunks", []))
    named = [{**chunk, "chunk_id": f"chunk {i}"} for i, chunk in enumerate(chunks)]
    asked = {"role": "user", "content": "What is it?"}
    return {
        **value,
        "context": {"chunks": named},
        "messages": [*cast(list[Json], value["messages"]), asked],
        "citations_required": bool(named) and value.get("citations_required", True),
    }


def _outcome(value: Json, code: ReasonCode | None) -> Json:
    action = NextAction.NONE if code is None else code.next_action
    return {
        **value,
        "status": "fallback" if code else "ok",
        "reason_code": code,
        "message_key": code.message if code else None,
        **({"citations": []} if code else {}),
        **({"next_action": action} if "next_action" in value else {}),
    }


def _chat_response(value: Json, code: ReasonCode | None) -> Json:
    if code:
        return {**_outcome(value, code), "answer": {"role": "assistant", "content": code.text}}
    pairs = zip(
        cast(list[Json], value["citations"]), cast(list[Json], value["sources"]), strict=False
    )
    cited = [{**citation, "chunk_id": source["chunk_id"]} for citation, source in pairs]
    return {**_outcome(value, None), "citations": cited}


def _session(value: Json, code: ReasonCode | None) -> Json:
    turns = [_turn(turn, code) for turn in cast(list[Json], value["turns"])]
    return {**value, "turns": turns}


def _turn(value: Json, code: ReasonCode | None) -> Json:
    if value["status"] is None:
        said = value["reason_code"]
        action = ReasonCode[str(said)].next_action if said else NextAction.NONE
        return {**value, "answer": None, "next_action": action}
    text = code.text if code else "It is this [c1]."
    return {**_outcome(value, code), "answer": {"role": "assistant", "content": text}}


def _generate_response(value: Json, code: ReasonCode | None) -> Json:
    return {**_outcome(value, code), "content": None if code else "It is this [c1]."}


def _failed(value: Json, code: ReasonCode | None) -> Json:
    code = code or ReasonCode.INTERNAL_ERROR
    return {**value, "code": code, "message": code.text, "message_key": code.message}


_LAWS: dict[type, Callable[[Json, ReasonCode | None], Json]] = {
    ChatRequest: _chat_request,
    ChatResponse: _chat_response,
    GenerateRequest: _generate_request,
    GenerateResponse: _generate_response,
    SessionResponse: _session,
    Failed: _failed,
    Done: _outcome,
}
