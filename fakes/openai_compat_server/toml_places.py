"""Where in a TOML text each key and each element of an array stands: tomllib keeps no lines.

For texts that tomllib has read; of any other it makes something, and never raises.
"""

import json
import re
from collections import Counter
from typing import Final

from attrs import define, field

from fakes.openai_compat_server.script_fields import Place

_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|\n|[\[\]{},=.]|[^\s\[\]{},=.\#\"']+",
    re.DOTALL,
)


def line_of(text: str, place: Place) -> int:
    """The line, from 1, where the place begins; where it is missing, what it is missing from."""
    scan, line = _Scan(), 1
    for token in _TOKEN.findall(text + "\n"):
        if not token.startswith("#"):
            scan.take(token, line)
        line += token.count("\n")
    while place not in scan.lines:
        place = place[:-1]
    return scan.lines[place]


@define
class _Frame:
    """A table or an array being read. `at` counts an array's elements; a table has None."""

    place: Place
    at: int | None = None
    keys: list[str] = field(factory=list)
    value: Place | None = None  # whose value comes next, in a table

    @property
    def next_value(self) -> Place | None:
        return self.value if self.at is None else (*self.place, self.at)

    def forget_key(self) -> None:
        self.keys, self.value = [], None


@define
class _Scan:
    """Takes token after token; `lines` has the line where each place begins."""

    lines: dict[Place, int] = field(factory=lambda: {(): 1})
    _frames: list[_Frame] = field(factory=lambda: [_Frame(())])
    _tables: Counter[Place] = field(factory=Counter)  # the [[tables]] of each name so far
    _header: int = 0  # the brackets that have opened a table's header

    def take(self, token: str, line: int) -> None:
        frame = self._frames[-1]
        at_key = frame.next_value is None
        match token:
            case "\n":
                self._end_line(line)
            case "[" if at_key and len(self._frames) == 1:
                self._header += 1
            case "=" if at_key:
                frame.value = (*frame.place, *frame.keys)
                for length in range(len(frame.place) + 1, len(frame.value) + 1):
                    self.lines.setdefault(frame.value[:length], line)
            case "[" | "{" if frame.next_value is not None:
                self.lines.setdefault(frame.next_value, line)
                self._frames.append(_Frame(frame.next_value, 0 if token == "[" else None))
            case "]" | "}":
                if len(self._frames) > 1:
                    self._frames.pop()
            case ",":
                frame.forget_key()
                frame.at = None if frame.at is None else frame.at + 1
            case ".":
                pass
            case _ if frame.next_value is not None:
                self.lines.setdefault(frame.next_value, line)
            case _:
                frame.keys.append(_unquoted(token))

    def _end_line(self, line: int) -> None:
        """A statement ends with its line, unless a bracket is open."""
        if len(self._frames) > 1:
            return
        frame = self._frames[0]
        if self._header:
            frame.place = self._opened(tuple(frame.keys))
            self.lines.setdefault(frame.place, line)
        self._header = 0
        frame.forget_key()

    def _opened(self, keys: Place) -> Place:
        """The place of the table under this header; a name of [[tables]] means the last of them."""
        place: Place = ()
        for number, key in enumerate(keys, 1):
            place = (*place, key)
            if self._header == 2 and number == len(keys):
                self._tables[place] += 1
            if self._tables[place]:
                place = (*place, self._tables[place] - 1)
        return place


def _unquoted(key: str) -> str:
    if key.startswith("'"):
        return key[1:-1]
    try:
        return str(json.loads(key)) if key.startswith('"') else key
    except ValueError:  # an escape that TOML has and JSON has not
        return key
