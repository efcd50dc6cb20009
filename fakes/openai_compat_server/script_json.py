"""A script as JSON: the schema of the TOML file, `rule` being an array of objects.

    {"strict": true, "rule": [{"model": "m", "play": ["status-429", {"send": ["HTTP/1.1 …"]}]}]}

What is no JSON is told with its line, and what is no script with its place, `$.rule[0].play[1]`:
JSON is mostly written by programs, in one line. Refuses null, keys given twice, and text that
is none.
"""

import json
from typing import Final

from attrs import frozen

from fakes.openai_compat_server.script import Script
from fakes.openai_compat_server.script_fields import Broken, Known, Place, ScriptFault, script_of

_LONE_SURROGATE: Final = "a lone surrogate is no text"


@frozen
class _Wrong:
    """Stands where the JSON has something that no script may have."""

    why: str


def parse_json_script(text: str, path: str, known: Known) -> Script:
    """The script in `text`, as `parse_script` reads it from TOML; raises ScriptFault."""
    try:
        fields: object = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=lambda name: _Wrong(f"{name} is not a number"),
        )
        _check(fields, ())
        if not isinstance(fields, dict):
            raise Broken((), "expected an object")
        return script_of(fields, known)
    except json.JSONDecodeError as fault:
        raise ScriptFault(f"{path}:{fault.lineno}: {fault.msg}") from None
    except Broken as broken:
        raise ScriptFault(f"{path}: {_told(broken.place)}: {broken.why}") from None
    except (ValueError, RecursionError) as fault:  # a number or a nesting beyond Python's limits
        raise ScriptFault(f"{path}: $: {fault}") from None


def _once(pairs: list[tuple[str, object]]) -> object:
    fields: dict[str, object] = {}
    for key, value in pairs:
        fields[key] = _Wrong("given twice") if key in fields else value
    return fields


def _check(value: object, place: Place) -> None:
    """Raises Broken for the first thing that is wrong wherever it stands."""
    match value:
        case _Wrong():
            raise Broken(place, value.why)
        case str() if not _is_text(value):
            raise Broken(place, _LONE_SURROGATE)
        case dict():
            for key, one in value.items():
                if not _is_text(key):
                    raise Broken(place, f"{_LONE_SURROGATE}, nor a key")
                _check(one, (*place, key))
        case list():
            for at, one in enumerate(value):
                _check(one, (*place, at))


def _is_text(text: str) -> bool:
    try:
        return bool(text.encode()) or not text
    except UnicodeEncodeError:
        return False


def _told(place: Place) -> str:
    return "$" + "".join(f"[{it}]" if isinstance(it, int) else f".{it}" for it in place)
