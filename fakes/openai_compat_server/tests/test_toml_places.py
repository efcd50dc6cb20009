"""Goal: each key and element of a TOML text is found on its line, whatever the text's habits.

Method: texts with marks; tomllib says what stands where, the marks say on which line.
"""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.openai_compat_server.script_fields import Place
from fakes.openai_compat_server.toml_places import line_of

# Wherever a number stands in this text, it is the line that it stands on.
LINES = '''\
a = 1
"b c" = [ 2, { d = 2, e = [2] },   # ] } a = 9
  3,
  """ four
[[rule]]
play = 8 \\""" """, 6, \'\'\'[
]\'\'\', 7,
]
f.'g' = 9
[h]
i = 11
[[rule]]
play = 13
[[rule.step]]
j = 15
[rule.step.k]
l = [[17], [
18]]
[[rule.step]]
j = 20
[[rule]]

play = 23
"\\u0061b" = 24
[[rule.step]]
j = [26, { m = [
27, 27] } , 27]
[ n . o ]
p = 29
'''


def numbers(value: object, place: Place = ()) -> Iterator[tuple[Place, int]]:
    match value:
        case int():
            yield place, value
        case dict():
            for key, one in value.items():
                yield from numbers(one, (*place, key))
        case list():
            for at, one in enumerate(value):
                yield from numbers(one, (*place, at))


def test_every_number_stands_on_its_line() -> None:
    found = list(numbers(tomllib.loads(LINES)))
    assert len(found) == 21
    assert {place: line_of(LINES, place) for place, _ in found} == dict(found)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("rule", 0, "nowhere"), 12),
        (("rule", 1, "step", 0, "nowhere", 3), 25),
        (("rule", 0, "step", 0, "k"), 16),
        (("b c", 3), 4),
        (("b c",), 2),
        (("nowhere",), 1),
        ((), 1),
    ],
)
def test_what_is_missing_stands_where_it_is_missed(place: Place, line: int) -> None:
    assert line_of(LINES, place) == line


@given(st.text(alphabet="ab=[]{}.,\"'#\\\n ", max_size=40))
def test_no_text_is_worse_than_misread(text: str) -> None:
    assert 1 <= line_of(text, ("a", 0, "b")) <= text.count("\n") + 1
