"""What a scenario is: one fault or oddity with a name, as pure functions over stages of an answer.

An answer is made in five stages: the model's text, the JSON frames, the bytes of each event, the
HTTP response, the plan. A scenario changes what it must at one or two of them and leaves the rest
alone. A plain answer goes the same road: it has one frame and one event, its body.
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, TypeVar

from attrs import field, frozen

from contracts.reasons import ReasonCode
from fakes.openai_compat_server.dialects import Dialect, JsonObject
from fakes.openai_compat_server.plan import Plan, Step
from fakes.openai_compat_server.seeded import Draw
from fakes.openai_compat_server.wire import Response

OK: Final = "ok"
_WRITTEN: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([A-Za-z]{0,2})")
_UNITS: Final[Mapping[str, Mapping[str, float]]] = {
    "count": {"": 1},
    "time": {"ms": 0.001, "s": 1, "m": 60, "h": 3600},
    "size": {"B": 1, "KB": 1_000, "MB": 1_000_000},
}
_MOST: Final[Mapping[str, float]] = {"count": 100_000, "time": 3600, "size": 64_000_000}


class Face(Enum):
    """Who performs a scenario: a response to one request, or a listener for all who connect."""

    ANSWER = "answer"
    LISTENER = "listener"


class Listening(Enum):
    """How a listener listens."""

    SERVE = "serve"
    REFUSE = "refuse"  # the port is held and nobody listens on it
    STALL = "stall"  # the queue of connections is full: the next one is not even shaken hands with


class Handshake(Enum):
    """What becomes of the TLS handshake of a connection. RIGHT is no scenario's."""

    RIGHT = "right"
    WRONG_HOST = "wrong host"  # the certificate is another host's
    UNKNOWN_AUTHORITY = "unknown authority"  # it is by an authority nobody trusts
    EXPIRED = "expired"
    CUT = "cut"  # the connection is closed in the middle of it
    SILENT = "silent"  # not a byte of it, and no close either
    NOT_SPOKEN = "not spoken"  # plain HTTP, where TLS is due


@frozen
class Parameter:
    """One parameter: a count, a time or a size, as a caller writes it (`20`, `30s`, `10MB`)."""

    kind: str
    default: str

    def parse(self, text: str) -> float:
        """The number, seconds or bytes meant. ValueError says what would be understood."""
        number, unit = _split(text)
        units = _UNITS[self.kind]
        if number and not unit and unit not in units:
            raise ValueError(f"{text[:40]!r} has no unit: {_either(units)}")
        if not number or unit not in units:
            raise ValueError(f"{text[:40]!r} is no {self.kind} like {self.default}")
        value = float(number) * units[unit]
        if value > _MOST[self.kind] or (self.kind != "time" and value != int(value)):
            raise ValueError(f"{text[:40]!r} is no {self.kind} up to {_MOST[self.kind]:g}")
        return value


def _either(units: Mapping[str, float]) -> str:
    *rest, last = units
    return f"{', '.join(rest)} or {last}"


def _split(text: str) -> tuple[str, str]:
    found = _WRITTEN.fullmatch(text)
    return (found[1], found[2]) if found else ("", "")


@frozen
class Frame:
    """One JSON object of an answer, and the wait before it in seconds."""

    delay_s: float
    payload: JsonObject


@frozen
class Play:
    """One performance: the parameters' values, the mode, and whose dialect is spoken.

    `draw` and `sources`, the number of passages in the prompt, are for those who rewrite the text;
    `spoken` is how many events of a stream stand before the one with the `finish_reason`.
    """

    values: Mapping[str, float]
    stream: bool
    dialect: Dialect
    draw: Draw
    sources: int = 0
    spoken: int = 0

    def count(self, name: str) -> int:
        """A count or a size in bytes."""
        return int(self.values[name])

    def seconds(self, name: str) -> float:
        return self.values[name]

    @property
    def at(self) -> int:
        """After how many events it happens: as many as asked for, but before the finish."""
        return min(self.count("after"), self.spoken)


Frames = tuple[Frame, ...]
Steps = tuple[Step, ...]
_T = TypeVar("_T")
Stage = Callable[[Play, _T], _T]


def _unchanged(_: Play, value: _T) -> _T:
    return value


@frozen
class Ends:
    """The reason code an answer must end in through LLMGW, OK where it is legal.

    None: in this mode the scenario has no form, and the answer is the ordinary one.
    """

    plain: str | None
    streaming: str | None

    def of(self, stream: bool) -> str:
        return (self.streaming if stream else self.plain) or OK


def both(code: ReasonCode | str) -> Ends:
    return Ends(code, code)


def only_streaming(code: ReasonCode | str) -> Ends:
    return Ends(None, code)


@frozen
class Scenario:
    """One row of the catalogue."""

    name: str
    about: str
    ends: Ends
    parameters: Mapping[str, Parameter] = field(factory=dict)
    text: Stage[str] = _unchanged
    pieces: Callable[[str], tuple[str, ...]] | None = None  # None: as any text is cut
    frames: Stage[Frames] = _unchanged
    events: Stage[Steps] = _unchanged
    response: Stage[Response] = _unchanged
    plan: Stage[Plan] = _unchanged
    on_accept: Callable[[Mapping[str, float]], Plan] | None = None
    listening: Listening = Listening.SERVE
    handshake: Handshake = Handshake.RIGHT

    @property
    def face(self) -> Face:
        is_served = self.on_accept is None and self.listening is Listening.SERVE
        return Face.ANSWER if is_served and not self.needs_tls else Face.LISTENER

    @property
    def needs_tls(self) -> bool:
        """Whether it befalls only clients that expect TLS."""
        return self.handshake is not Handshake.RIGHT


ORDINARY: Final = Scenario("", "the answer as it is", both(OK))


def after(default: int) -> Mapping[str, Parameter]:
    """The parameter that says after how many events it happens."""
    return {"after": Parameter("count", str(default))}


def lasting(default: str) -> Mapping[str, Parameter]:
    """The parameter that says for how long."""
    return {"for": Parameter("time", default)}


def every(default: str) -> Mapping[str, Parameter]:
    """The parameter that says how often."""
    return {"every": Parameter("time", default)}
