"""A planted violation: true evidence with one thing wrong, and the line that a checker must say."""

from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from harness.evidence import Evidence
from harness.tests.doctoring import GOOD, Edit, Frame, played, restreamed, rewritten
from harness.wire_log import JsonObject


@frozen
class Planted:
    """`line` stands in what `checker` says of the evidence; `also` are others that speak too.

    One wrong thing can break several laws: a second `done` is one too many, and out of order.
    """

    checker: str
    line: str
    doctored: Callable[[], Evidence]
    also: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.checker}: {self.line}"


def planted(checker: str, line: str, doctored: Callable[[], Evidence], also: str = "") -> Planted:
    """A row; `also` are names with blanks between them."""
    return Planted(checker, line, doctored, frozenset(also.split()))


def stream(number: int, edit: Edit, host: str = "bff", plan: str = GOOD) -> Callable[[], Evidence]:
    """The world in which a program sent other events."""
    return lambda: restreamed(played(plan), host, number, edit)


def body(
    number: int, host: str = "bff", plan: str = GOOD, **fields: object
) -> Callable[[], Evidence]:
    """The world in which a program's plain answer had other values for these keys."""

    def edit(answer: JsonObject) -> JsonObject:
        return {**answer, **fields}

    return lambda: rewritten(played(plan), host, number, edit)


def dropped(name: str) -> Edit:
    """Without the events of this name."""
    return lambda frames: [frame for frame in frames if frame.name != name]


def saying(name: str, **fields: object) -> Edit:
    """With other values for these keys of the events of this name."""
    return lambda frames: [
        frame.saying(**fields) if frame.name == name else frame for frame in frames
    ]


def before_end(name: str, data: object) -> Edit:
    """With this event before the last."""
    return lambda frames: [*frames[:-1], Frame(frames[-1].at, name, data), frames[-1]]


def after_end(name: str, data: object) -> Edit:
    """With this event after the last."""
    return lambda frames: [*frames, Frame(frames[-1].at, name, data)]


def first_delta(text: str) -> Edit:
    """With another text in the first `delta`."""

    def edit(frames: list[Frame]) -> Sequence[Frame]:
        at = next(place for place, frame in enumerate(frames) if frame.name == "delta")
        return [*frames[:at], frames[at].saying(delta=text), *frames[at + 1 :]]

    return edit


def held_back(frames: list[Frame]) -> Sequence[Frame]:
    """With every `delta` sent only at the end."""
    end = frames[-1].at
    return [evolve(frame, at=end) if frame.name == "delta" else frame for frame in frames]
