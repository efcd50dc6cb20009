"""Goal: a marker says how a fake behaves, and what is wrong with one is told in words of its own.

Method: a marker's arguments in, a behaviour or a fault out.
"""

import pytest

from fakes.openai_compat_server import Behaviour, Latency
from fakes.openai_compat_server.dialects import OLLAMA
from fakes.openai_compat_server.marker import Marked, read_marker


def test_nothing_waits_where_nothing_is_asked_for() -> None:
    assert read_marker((), {}) == Marked(Behaviour(latency=Latency(0.0, 0.0)), tls=False)


def test_every_argument_is_heeded() -> None:
    given = {"seed": 3, "persona": "echo", "dialect": "ollama", "latency": "ttft=1s"}
    behaviour = Behaviour(3, "echo", Latency(1.0), dialect=OLLAMA, window_tokens=9)
    marked = read_marker((), {**given, "window_tokens": 9, "tls": True})
    assert marked == Marked(behaviour, tls=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"colour": "red"}, r"unknown argument 'colour' \(known are seed, persona, dialect, "),
        ({"seed": "3"}, "seed='3' is not a whole number"),
        ({"seed": True}, "seed=True is not a whole number"),
        ({"persona": "nobody"}, "persona='nobody' is not one of extractive, echo, lorem"),
        ({"persona": ["echo"]}, r"persona=\['echo'\] is not a string"),
        ({"dialect": "klingon"}, "dialect='klingon' is not one of openai, "),
        ({"latency": 5}, "latency=5 is not a string"),
        ({"latency": "ttft=5"}, "ttft"),
        ({"window_tokens": 0}, "window_tokens=0 is less than 1"),
        ({"window_tokens": 1.5}, "window_tokens=1.5 is not a whole number"),
        ({"tls": 1}, "tls=1 is neither True nor False"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_marker((), given)


def test_arguments_have_names() -> None:
    with pytest.raises(ValueError, match="every argument has a name, and 'echo' has none"):
        read_marker(("echo",), {})
