"""A script as a TOML file, with the same schema as the Python data.

    strict = true

    [[rule]]
    path = "/v1/chat/completions"                  # without it, a rule is for every POST
    model = "gpt-test"                             # each of these may be left out
    header = { name = "x-test", value = "retry" }
    text = "part of the last user message"
    turn = 1
    chance = 0.5
    play = ["status-429-retry-after?for=1s", "status-429", "ok"]
    then = "pass"                                  # or "last", or "repeat"

    [[rule]]                                       # a response of given bytes, which stands in
    play = [{ ending = "reset", send = [           # `play` wherever a scenario's name may
        "HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\n",
        0.5,                                       # a pause, in seconds
        { hex = "1f 8b" }, { base64 = "CAA=" },    # what is no text
    ] }]                                           # ending: "keep" (as when not given), "close",
                                                   # "reset", "silence"

Refuses (ScriptFault, with path, line and reason) whatever it does not know.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Final

from fakes.openai_compat_server.script import Script
from fakes.openai_compat_server.script_fields import Broken, Known, Place, ScriptFault, script_of
from fakes.openai_compat_server.toml_places import line_of

_LINE_CHARS_SHOWN: Final = 80
_SYNTAX_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")


def parse_script(text: str, path: str, known: Known) -> Script:
    """The script in `text`; `known` raises ValueError for a scenario that can not be played.

    A file without a single key is refused too: nobody writes one on purpose.
    """
    try:
        fields: Mapping[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise ScriptFault(f"{path}:{_not_toml(text, fault)}") from None
    if not fields:
        raise ScriptFault(f"{path}: empty: a script has at least one [[rule]]")
    try:
        return script_of(fields, known)
    except Broken as broken:
        line = line_of(text, broken.place)
        raise ScriptFault(f"{path}:{line}: {_told(broken.place)}: {broken.why}") from None


def _not_toml(text: str, fault: tomllib.TOMLDecodeError) -> str:
    """What the parser says, with the line it stumbled over."""
    lines = text.rstrip("\n").split("\n")
    found = _SYNTAX_LINE.search(str(fault))
    line = int(found[1]) if found and found[1] else len(lines)
    said = _SYNTAX_LINE.sub("", str(fault)).strip()
    shown = "".join(lines[line - 1 : line]).strip()[:_LINE_CHARS_SHOWN]
    return f"{line}: not TOML: {said}: {shown!r}"


def _told(place: Place) -> str:
    """`rule 2: play 1: send`: positions for a person, who counts from 1."""
    told: list[str] = []
    for step in place:
        if isinstance(step, int):
            told[-1] += f" {step + 1}"
        else:
            told.append(step)
    return ": ".join(told)
