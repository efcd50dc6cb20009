"""Named ways to spoil a body of the contract, each with the places where fault must be found.

    for operator in OPERATORS:
        for spoilt in operator.spoil(ChatRequest, good):
            spoilt.body is what to send, spoilt.paths the `$.path`s that must be named

An operator reads the message's type for what its fields may hold, never the decoder: the two can
disagree, which is the point. It yields one spoilt body for each place it fits, none where it fits
nowhere. Where `paths` is empty the body means what it did before, and must be taken.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

from attrs import frozen

from contracts.chat import ChatRequest, ChatResponse
from contracts.events import Done, Failed
from contracts.generation import GenerateRequest, GenerateResponse
from contracts.reasons import ReasonCode
from contracts.rules import Between, Chars, Items, Matches
from harness.places import Json, Place, Steps, path_of, places

ROOT = frozenset({"$"})
NONE: frozenset[str] = frozenset()


@frozen
class Spoilt:
    """One spoilt body: its bytes, and every `$.path` at which a strict receiver finds fault."""

    body: bytes
    paths: frozenset[str]

    @property
    def harmless(self) -> bool:
        """Whether it must be taken for what it was before."""
        return not self.paths


@frozen
class Operator:
    """One way to spoil a body. `spoil` takes the message's type and a good message of it."""

    name: str
    does: str
    spoil: Callable[[type, Json], Iterable[Spoilt]]


# Writing what no JSON writer writes.


@frozen
class _Raw:
    """Text that goes into the body as it stands."""

    text: str


@frozen
class _Pairs:
    """An object by its pairs, so that a key can stand twice."""

    pairs: tuple[tuple[str, object], ...]


def _written(value: object) -> str:
    if isinstance(value, _Raw):
        return value.text
    if isinstance(value, dict):
        value = _Pairs(tuple(value.items()))
    if isinstance(value, _Pairs):
        return "{" + ",".join(f"{json.dumps(k)}:{_written(v)}" for k, v in value.pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def body_of(value: object) -> bytes:
    """A message's bytes, as the operators write it."""
    return _written(value).encode()


def _with(value: object, steps: Steps, new: object) -> object:
    """The same message with another value at one place."""
    if not steps:
        return new
    at, *rest = steps
    if isinstance(value, list):
        assert isinstance(at, int)
        return [*value[:at], _with(value[at], tuple(rest), new), *value[at + 1 :]]
    made = cast(Json, value)
    return {**made, cast(str, at): _with(made[cast(str, at)], tuple(rest), new)}


# Other values in the place of one.


def _at(
    name: str, does: str, fits: Callable[[Place], bool], new: Callable[[Place], object]
) -> Operator:
    def spoil(kind: type, good: Json) -> Iterator[Spoilt]:
        for place in places(kind, good):
            if fits(place):
                body = body_of(_with(good, place.steps, new(place)))
                yield Spoilt(body, frozenset({place.path}))

    return Operator(name, does, spoil)


def _of(*kinds: object) -> Callable[[Place], bool]:
    return lambda place: place.kind in kinds and place.value is not None


def _is_text(place: Place) -> bool:
    return place.kind is str and place.value is not None


def _is_number(place: Place) -> bool:
    return place.kind in (int, float) and place.value is not None


def _is_array(place: Place) -> bool:
    return isinstance(place.value, list)


def _words(place: Place) -> bool:
    return place.is_words and place.value is not None


def _bound(place: Place, kind: type[Chars] | type[Items] | type[Between], end: str) -> float | None:
    """One end of what a rule allows; None where the place has no such rule, or no such end."""
    found: float | None = getattr(place.rule(kind), end, None)
    return None if place.value is None else found


def _longer(place: Place) -> object:
    return "é" * (int(_bound(place, Chars, "maximum") or 0) + 1)


def _more(place: Place) -> object:
    items = cast(list[object], place.value)
    return [items[0]] * (int(_bound(place, Items, "maximum") or 0) + 1)


def _literal(name: str, text: str) -> Operator:
    return _at(name, f"a number becomes {name}", _is_number, lambda _: _Raw(text))


VALUES = (
    _at("null", "null where it is not allowed", lambda p: not p.nullable, lambda _: None),
    _at("number for text", "a text becomes 7", _is_text, lambda _: 7),
    _at("array for text", "a text becomes an array of it", _is_text, lambda p: [p.value]),
    _at("text for a number", 'a number becomes "7"', _is_number, lambda _: "7"),
    _at("true for a number", "a number becomes true", _is_number, lambda _: True),
    _at("text for a boolean", 'true becomes "true"', _of(bool), lambda _: "true"),
    _at("number for a boolean", "true becomes 1", _of(bool), lambda _: 1),
    _at("array for an object", "{} becomes []", lambda p: p.is_object, lambda _: []),
    _at("text for an object", '{} becomes "{}"', lambda p: p.is_object, lambda _: "{}"),
    _at("object for an array", "[] becomes {}", _is_array, lambda _: {}),
    _at("text for an array", "[] becomes a text, which can be iterated", _is_array, lambda _: "ab"),
    _at("number for a word", "a word of a closed set becomes 0", _words, lambda _: 0),
    _at("unknown word", "a word that is not of its set", _words, lambda _: "no such word"),
    _at("re-cased word", "ok becomes OK", _words, lambda p: str(p.value).swapcase()),
    _at("fraction", "an integer becomes 1.5", _of(int), lambda _: 1.5),
    _at("whole fraction", "an integer becomes 1.0", _of(int), lambda _: _Raw("1.0")),
    _at("exponent", "an integer becomes 1e2", _of(int), lambda _: _Raw("1e2")),
    _at("counts with a fraction", "1.5 among counts", _of(dict[str, int]), lambda _: {"n": 1.5}),
    _at("counts with a null", "null among counts", _of(dict[str, int]), lambda _: {"n": None}),
    _literal("NaN", "NaN"),
    _literal("Infinity", "Infinity"),
    _literal("-Infinity", "-Infinity"),
    _literal("1e999", "1e999"),
    _literal("5,000 digits", "9" * 5_000),
    _at("lone surrogate", "a text is half a character", _is_text, lambda _: _Raw('"\\ud800"')),
    _at("over-long", "one character over its cap", lambda p: bool(_bound(p, Chars, "maximum")),
        _longer),
    _at("empty text", "nothing where something is due",
        lambda p: bool(_bound(p, Chars, "minimum")), lambda _: ""),
    _at("too many items", "one item over the cap", lambda p: bool(p.value) and
        bool(_bound(p, Items, "maximum")), _more),
    _at("no items", "nothing where something is due",
        lambda p: bool(_bound(p, Items, "minimum")), lambda _: []),
    _at("under its least", "one less than the least",
        lambda p: _bound(p, Between, "minimum") is not None,
        lambda p: int(_bound(p, Between, "minimum") or 0) - 1),
    _at("over its most", "one more than the most",
        lambda p: _bound(p, Between, "maximum") is not None,
        lambda p: int(_bound(p, Between, "maximum") or 0) + 1),
    _at("line end in a form", "an id with a line end after it",
        lambda p: _is_text(p) and p.rule(Matches) is not None, lambda p: f"{p.value}\n"),
    _at("odd form", "an id with a blank in it",
        lambda p: _is_text(p) and p.rule(Matches) is not None, lambda p: f"{p.value} x"),
)  # fmt: skip


# Other keys.


def _keys(kind: type, good: Json) -> Iterator[tuple[Place, Place]]:
    """Each key's place, and that of the object it stands in."""
    by_steps = {place.steps: place for place in places(kind, good)}
    for steps, place in by_steps.items():
        if steps and isinstance(steps[-1], str):
            yield place, by_steps[steps[:-1]]


def _pairs_changed(
    good: Json, owner: Place, change: Callable[[list[tuple[str, object]]], object]
) -> bytes:
    pairs = list(cast(Json, owner.value).items())
    return body_of(_with(good, owner.steps, change(pairs)))


def _left_out(kind: type, good: Json) -> Iterator[Spoilt]:
    for place, owner in _keys(kind, good):
        if place.required:
            key = place.steps[-1]
            body = _pairs_changed(good, owner, lambda ps, k=key: {n: v for n, v in ps if n != k})  # type: ignore[misc]  # the default binds the loop's value
            yield Spoilt(body, frozenset({place.path}))


def _re_cased(kind: type, good: Json) -> Iterator[Spoilt]:
    for place, owner in _keys(kind, good):
        key = cast(str, place.steps[-1])
        other = key.capitalize()
        renamed = {other if n == key else n: v for n, v in cast(Json, owner.value).items()}
        missing = {place.path} if place.required else set()
        paths = {path_of((*owner.steps, other))} | missing
        yield Spoilt(body_of(_with(good, owner.steps, renamed)), frozenset(paths))


def _twice(second: Callable[[object], object]) -> Callable[[type, Json], Iterator[Spoilt]]:
    def spoil(kind: type, good: Json) -> Iterator[Spoilt]:
        for place, owner in _keys(kind, good):
            again = (cast(str, place.steps[-1]), second(place.value))
            pairs = _Pairs((*cast(Json, owner.value).items(), again))
            yield Spoilt(body_of(_with(good, owner.steps, pairs)), frozenset({place.path}))

    return spoil


def _key_added(key: str) -> Callable[[type, Json], Iterator[Spoilt]]:
    def spoil(kind: type, good: Json) -> Iterator[Spoilt]:
        for place in places(kind, good):
            if place.is_object and isinstance(place.value, dict):
                body = body_of(_with(good, place.steps, {**place.value, key: None}))
                yield Spoilt(body, frozenset({path_of((*place.steps, key))}))

    return spoil


KEYS = (
    Operator("key left out", "a key that is due is not there", _left_out),
    Operator("unknown key", "a key of nobody's", _key_added("unknown")),
    Operator("key of another language", "`__class__`, which is no key", _key_added("__class__")),
    Operator("re-cased key", "content becomes Content", _re_cased),
    Operator("key twice", "a key stands twice, with one value", _twice(lambda value: value)),
    Operator("key twice, two values", "a key stands twice, and differs", _twice(lambda _: 0)),
    Operator("surrogate in a key", "a key that is half a character", _key_added("\ud800")),
)  # fmt: skip


# The whole body.


def _whole(
    name: str, does: str, change: Callable[[bytes], bytes], paths: frozenset[str] = ROOT
) -> Operator:
    return Operator(name, does, lambda _, good: [Spoilt(change(body_of(good)), paths)])


def _nested(levels: int) -> Callable[[bytes], bytes]:
    return lambda body: body[:-1] + b',"deep":' + b"[" * levels + b"]" * levels + b"}"


def _backwards(good: object) -> object:
    if isinstance(good, dict):
        return {key: _backwards(value) for key, value in reversed(good.items())}
    return [_backwards(item) for item in good] if isinstance(good, list) else good


WHOLE = (
    _whole("empty", "no bytes at all", lambda _: b""),
    _whole("blank", "blanks only", lambda _: b" \r\n\t"),
    _whole("cut", "the last byte is not there", lambda body: body[:-1]),
    _whole("two bodies", "one after the other", lambda body: body * 2),
    _whole("byte order mark", "EF BB BF before it", lambda body: b"\xef\xbb\xbf" + body),
    _whole("UTF-16", "in another encoding", lambda body: body.decode().encode("utf-16")),
    _whole("not UTF-8", "a byte no text has", lambda body: body[:-1] + b',"\xff":0}'),
    _whole("surrogate bytes", "CESU-8", lambda body: body[:-1] + b',"\xed\xa0\x80":0}'),
    _whole("NUL", "a NUL after it", lambda body: body + b"\x00"),
    _whole("trailing comma", "a comma before the brace", lambda body: body[:-1] + b",}"),
    _whole("single quotes", "Python's own", lambda body: body.replace(b'"', b"'")),
    _whole("comment", "a comment after it", lambda body: body + b" // so"),
    _whole("raw line end", "a line end in a key", lambda body: body.replace(b'":', b'\n":', 1)),
    _whole("null body", "null", lambda _: b"null"),
    _whole("true body", "true", lambda _: b"true"),
    _whole("number body", "0", lambda _: b"0"),
    _whole("text body", "the body as a text", lambda body: json.dumps(body.decode()).encode()),
    _whole("array body", "the body in an array", lambda body: b"[" + body + b"]"),
    _whole("33 levels", "one level too deep", _nested(32)),
    _whole("20,000 levels", "deeper than any stack", _nested(20_000)),
)  # fmt: skip

HARMLESS = (
    _whole("blanks around", "blanks on both sides", lambda body: b"\r\n " + body + b"\t\n", NONE),
    _whole("escapes", "every character off ASCII as \\u",
        lambda body: json.dumps(json.loads(body)).encode(), NONE),
    _whole("spread out", "on many lines",
        lambda body: json.dumps(json.loads(body), indent=2, ensure_ascii=False).encode(), NONE),
    _whole("backwards", "the keys the other way round",
        lambda body: body_of(_backwards(json.loads(body))), NONE),
    _whole("escaped solidus", "/ as \\/", lambda body: body.replace(b"/", b"\\/"), NONE),
)  # fmt: skip


# The laws between fields.


@frozen
class Law:
    """What must fit together in a message: a change that breaks it, and where that is told.

    `status` is of which messages it speaks; empty is of all.
    """

    kind: type
    name: str
    paths: tuple[str, ...]
    changes: Mapping[str, object]
    status: str = ""

    def operator(self) -> Operator:
        """The law's breach as an operator."""

        def spoil(kind: type, good: Json) -> Iterator[Spoilt]:
            if kind is self.kind and self.status in ("", good.get("status")):
                yield Spoilt(body_of({**good, **self.changes}), frozenset(self.paths))

        return Operator(f"{self.kind.__name__}: {self.name}", "breaks a law between fields", spoil)


_CITED = [{"chunk_id": "nobody's", "marker": "c1", "title": None, "url": None}]
_EARLIER = [{"role": "user", "content": "What is it?"}]
_LAST_WORD = [{"role": "assistant", "content": "Because."}]
_TWINS = {"chunks": [{"chunk_id": "a", "content": "One."}, {"chunk_id": "a", "content": "Two."}]}
_TWIN_PATHS = ("$.context.chunks[0].chunk_id", "$.context.chunks[1].chunk_id")
_OWN_WORDS = {"role": "assistant", "content": "It is one."}
_WITH_ACTION = (ChatResponse, Done)


def _endings(name: str, status: str, path: str, key: str, value: object) -> Iterator[Law]:
    """One law of how answers end, for each of the three shapes of it."""
    for kind in (ChatResponse, GenerateResponse, Done):
        also = ("$.next_action",) if key == "reason_code" and kind in _WITH_ACTION else ()
        yield Law(kind, name, (path, *also), {key: value}, status)


LAWS = (
    Law(ChatRequest, "a session and a history", ("$.history", "$.session_id"),
        {"session_id": "s", "history": _EARLIER}),
    Law(GenerateRequest, "nothing to cite", ("$.context.chunks",),
        {"citations_required": True, "context": {"chunks": []}}),
    Law(GenerateRequest, "a chunk twice", _TWIN_PATHS, {"context": _TWINS}),
    Law(GenerateRequest, "no question at the end", ("$.messages",), {"messages": _LAST_WORD}),
    *_endings("ok with a reason", "ok", "$.reason_code", "reason_code", ReasonCode.HOP_TIMEOUT),
    *_endings("ok with a message", "ok", "$.message_key", "message_key", "busy"),
    *_endings("no reason", "fallback", "$.reason_code", "reason_code", None),
    *_endings("a refusal's reason", "fallback", "$.reason_code", "reason_code",
        ReasonCode.INPUT_INVALID),
    *_endings("a reason for logs", "fallback", "$.reason_code", "reason_code",
        ReasonCode.CLIENT_TOO_SLOW),
    *(Law(kind, "another action", ("$.next_action",), {"next_action": "REFINE_QUERY"})
        for kind in _WITH_ACTION),
    *(Law(kind, "another code's message", ("$.message_key",), {"message_key": "request"},
        "fallback") for kind in (GenerateResponse, Done)),
    *(Law(kind, "a fallback that cites", ("$.citations",), {"citations": _CITED}, "fallback")
        for kind in (GenerateResponse, Done)),
    Law(ChatResponse, "another code's message", ("$.message_key", "$.answer.content"),
        {"message_key": "request"}, "fallback"),
    Law(ChatResponse, "a fallback that cites", ("$.citations", "$.citations[0].chunk_id"),
        {"citations": _CITED}, "fallback"),
    Law(ChatResponse, "a fallback in the model's words", ("$.answer.content",),
        {"answer": _OWN_WORDS}, "fallback"),
    Law(ChatResponse, "a citation outside the sources", ("$.citations[0].chunk_id",),
        {"citations": _CITED}, "ok"),
    Law(GenerateResponse, "ok without content", ("$.content",), {"content": None}, "ok"),
    Law(GenerateResponse, "a fallback with content", ("$.content",), {"content": "x"}, "fallback"),
    Law(Failed, "a refusal's code", ("$.code",), {"code": ReasonCode.INPUT_INVALID}),
    Law(Failed, "a code for logs", ("$.code",), {"code": ReasonCode.CLIENT_TOO_SLOW}),
    Law(Failed, "words of its own", ("$.message",), {"message": "It broke."}),
    Law(Failed, "another code's message", ("$.message",), {"message_key": "request"}),
)  # fmt: skip

OPERATORS: tuple[Operator, ...] = (
    *VALUES,
    *KEYS,
    *WHOLE,
    *HARMLESS,
    *(law.operator() for law in LAWS),
)
