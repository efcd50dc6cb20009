"""Spans: the parts of a call and how long each takes, in the call's one trace (CONTRACT §8).

    with span("retrieve") as it:        a part of the part this task is in
        it.set("bsl.hits", 3)

`Spans.server` opens a call's first span on each hop; `span` and `client` open those below it, in
whatever task of the call. A call that is not traced, because nobody collects spans or because its
`traceparent` says so, has none of this: `span` gives `NOTHING` then, which takes everything and
keeps nothing. A span that is left is handed to `keep` at once, whatever it was left by; the code of
a fault, or the exception's name, is its `error.type`.

Attributes never hold text of questions, passages or answers. No I/O, and no clock of its own.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from attrs import define, field, frozen

from hop.tracing import CallIds, NewHex, nonzero, traceparent

Kind = Literal["internal", "server", "client"]
Value = str | int | float | bool | tuple[str, ...]
ATTRIBUTE_CHARS: Final = 256  # a model's name may come from a client or a server
_PORTS: Final = {"http": 80, "https": 443}
_current: ContextVar["Span | None"] = ContextVar("span", default=None)


@define(eq=False)
class Span:
    """One part of a call; a context that is entered once. Times are the program's clock's."""

    spans: "Spans" = field(repr=False)
    name: str
    kind: Kind
    trace_id: str
    parent_id: str
    flags: str
    span_id: str = field(init=False)
    began: float = field(init=False)
    ended: float | None = field(default=None, init=False)
    fault: str = field(default="", init=False)
    attributes: dict[str, Value] = field(factory=dict, init=False)
    _outer: "Span | None" = field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.span_id = nonzero(self.spans.new_hex, 16)
        self.began = self.spans.now()

    def set(self, name: str, value: Value | None) -> None:
        """One attribute; None is left out, a long text is cut."""
        if value is not None:
            self.attributes[name] = value[:ATTRIBUTE_CHARS] if isinstance(value, str) else value

    def failed(self, fault: str) -> None:
        """It came to nothing; the first fault counts."""
        self.fault = self.fault or fault

    def onward(self) -> dict[str, str]:
        """The header that makes the next hop's span a part of this one."""
        return {"traceparent": traceparent(self.trace_id, self.span_id, self.flags)}

    def child(self, name: str, kind: Kind) -> "Span":
        """A part of this part."""
        return Span(self.spans, name, kind, self.trace_id, self.span_id, self.flags)

    def __enter__(self) -> Self:
        # Not by tokens: a generator may be left in another context than it was entered in.
        self._outer = _current.get()
        _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, _: object) -> None:
        _current.set(self._outer)
        if kind is not None:
            self.failed(str(getattr(error, "code", "")) or kind.__name__)
        self.end()

    def end(self) -> None:
        """It is over."""
        self.ended = self.spans.now()
        self.spans.keep(self)


@frozen
class Nothing:
    """The span of a call that is not traced."""

    def set(self, name: str, value: Value | None) -> None:
        """Nothing is kept."""

    def failed(self, fault: str) -> None:
        """Nothing is kept."""

    def onward(self) -> dict[str, str]:
        """No header."""
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


NOTHING: Final = Nothing()


@frozen
class Spans:
    """A program's spans: where their ids and times come from, and who gets them when they end."""

    new_hex: NewHex
    now: Callable[[], float]
    keep: Callable[[Span], None]

    def server(self, ids: CallIds, name: str) -> Span | Nothing:
        """A call's own span, and from here on the one that this task is in."""
        if not ids.sampled:
            return NOTHING
        span = Span(self, name, "server", ids.trace_id, ids.parent_id, ids.flags)
        _current.set(span)
        return span


def at(part: Span | Nothing, address: str) -> None:
    """Who is called in a part: the host of a url and its port."""
    if isinstance(part, Span):
        url = urlsplit(address)
        part.set("server.address", url.hostname)
        part.set("server.port", url.port or _PORTS.get(url.scheme))


def onward() -> dict[str, str]:
    """The header for whoever is called in the part this task is in; none where it is not traced."""
    inner = _current.get()
    return {} if inner is None else inner.onward()


def span(name: str, kind: Kind = "internal") -> Span | Nothing:
    """A part of whatever part of a call this task is in."""
    outer = _current.get()
    return NOTHING if outer is None else outer.child(name, kind)
