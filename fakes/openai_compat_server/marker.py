"""What `@pytest.mark.openai_fake(…)` asks of a test's fake, read strictly.

Refuses (ValueError) what it does not know, and values that make no sense, in words of its own.
"""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from fakes.openai_compat_server.dialects import DIALECTS
from fakes.openai_compat_server.pacing import parse_latency
from fakes.openai_compat_server.persona import PERSONAS
from fakes.openai_compat_server.responses import Behaviour

# As they are where they are not given: nothing waits for a model.
_USUAL: Final[Mapping[str, object]] = {
    "seed": 0,
    "persona": "extractive",
    "dialect": "openai",
    "latency": "ttft=0ms,itl=0ms",
    "window_tokens": None,
    "tls": False,
}


@frozen
class Marked:
    """How the fake of a test behaves, and whether it speaks TLS."""

    behaviour: Behaviour
    tls: bool


def read_marker(args: tuple[object, ...], kwargs: Mapping[str, object]) -> Marked:
    """What a marker with these arguments asks for; raises ValueError."""
    if args:
        raise ValueError(f"marker: every argument has a name, and {args[0]!r} has none")
    for name in kwargs:
        if name not in _USUAL:
            raise ValueError(f"marker: unknown argument {name!r} (known are {', '.join(_USUAL)})")
    given = {**_USUAL, **kwargs}
    window = given["window_tokens"]
    behaviour = Behaviour(
        _integer("seed", given["seed"]),
        _one_of("persona", PERSONAS, given["persona"]),
        parse_latency(_text("latency", given["latency"])),
        dialect=DIALECTS[_one_of("dialect", DIALECTS, given["dialect"])],
        window_tokens=None if window is None else _positive("window_tokens", window),
    )
    return Marked(behaviour, _boolean("tls", given["tls"]))


def _integer(name: str, value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"marker: {name}={value!r} is not a whole number")
    return value


def _positive(name: str, value: object) -> int:
    number = _integer(name, value)
    if number < 1:
        raise ValueError(f"marker: {name}={value!r} is less than 1")
    return number


def _boolean(name: str, value: object) -> bool:
    match value:
        case bool():
            return value
    raise ValueError(f"marker: {name}={value!r} is neither True nor False")


def _text(name: str, value: object) -> str:
    match value:
        case str():
            return value
    raise ValueError(f"marker: {name}={value!r} is not a string")


def _one_of(name: str, known: Mapping[str, object], value: object) -> str:
    text = _text(name, value)
    if text not in known:
        raise ValueError(f"marker: {name}={text!r} is not one of {', '.join(known)}")
    return text
