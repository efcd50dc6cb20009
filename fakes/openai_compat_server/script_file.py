"""A script as a TOML file, with the same schema as the Python data.

    strict = true

    [[rule]]
    model = "gpt-test"                             # each of these may be left out
    header = { name = "x-test", value = "retry" }
    text = "part of the last user message"
    turn = 1
    chance = 0.5
    play = ["429?retry_after=0", "429", "ok"]
    then = "pass"                                  # or "last", or "repeat"

Refuses (ScriptFault, with path, line and reason) whatever it does not know.
"""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from fakes.openai_compat_server.script import Rule, Script, Then

_Known = Callable[[str], object]
_RULES_MAX = 1_000
_PLAY_MAX = 10_000
_SYNTAX_LINE = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")


class ScriptFault(ValueError):
    """`path:line: reason`."""


@frozen
class _Broken(Exception):
    """What is wrong, and with which key."""

    key: str
    why: str


def parse_script(text: str, path: str, known: _Known) -> Script:
    """The script in `text`; `known` raises ValueError for a scenario that can not be played."""
    try:
        fields: Mapping[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        found = _SYNTAX_LINE.search(str(fault))
        line = int(found[1]) if found and found[1] else len(text.splitlines()) or 1
        raise ScriptFault(f"{path}:{line}: {_SYNTAX_LINE.sub('', str(fault)).strip()}") from None
    try:
        _only(fields, ("strict", "rule"))
        strict = fields.get("strict", False)
        if not isinstance(strict, bool):
            raise _Broken("strict", "expected true or false")
        tables = _tables(fields.get("rule", []))
    except _Broken as broken:
        raise _fault(text, path, None, broken) from None
    rules: list[Rule] = []
    for at, table in enumerate(tables):
        try:
            rules.append(_rule(table, known))
        except _Broken as broken:
            raise _fault(text, path, at, broken) from None
    return Script(tuple(rules), strict)


def _tables(given: object) -> Sequence[Mapping[str, object]]:
    if not isinstance(given, list) or not all(isinstance(table, dict) for table in given):
        raise _Broken("rule", "expected [[rule]] tables")
    if len(given) > _RULES_MAX:
        raise _Broken("rule", f"more than {_RULES_MAX} rules")
    return given


def _rule(table: Mapping[str, object], known: _Known) -> Rule:
    _only(table, ("model", "header", "text", "turn", "chance", "play", "then"))
    turn, chance = table.get("turn"), table.get("chance", 1.0)
    if turn is not None and (type(turn) is not int or turn < 1):
        raise _Broken("turn", "expected a whole number of at least 1")
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        raise _Broken("chance", "expected a number from 0 to 1")
    return Rule(
        play=_play(table.get("play"), known),
        model=_text(table, "model"),
        header=_header(table.get("header")),
        text=_text(table, "text"),
        turn=turn,
        chance=float(chance),
        then=_then(table.get("then", Then.PASS.value)),
    )


def _play(given: object, known: _Known) -> tuple[str, ...]:
    if not isinstance(given, list) or not 1 <= len(given) <= _PLAY_MAX:
        raise _Broken("play", "expected an array with at least one scenario")
    for name in given:
        if not isinstance(name, str):
            raise _Broken("play", "expected scenarios by their names")
        try:
            known(name)
        except ValueError as fault:
            raise _Broken("play", str(fault)) from None
    return tuple(given)


def _header(given: object) -> tuple[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or given.keys() != {"name", "value"}:
        raise _Broken("header", 'expected { name = "…", value = "…" }')
    name, value = given["name"], given["value"]
    if not isinstance(name, str) or not name or not isinstance(value, str):
        raise _Broken("header", "expected name and value as strings")
    return name, value


def _then(given: object) -> Then:
    try:
        return Then(given)
    except ValueError:
        wanted = ", ".join(it.value for it in Then)
        raise _Broken("then", f"expected one of {wanted}") from None


def _text(table: Mapping[str, object], key: str) -> str | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise _Broken(key, "expected a string that is not empty")
    return value


def _only(table: Mapping[str, object], keys: Sequence[str]) -> None:
    for key in table:
        if key not in keys:
            raise _Broken(key, f"unknown key (known are {', '.join(keys)})")


def _fault(text: str, path: str, rule: int | None, broken: _Broken) -> ScriptFault:
    where = f"rule {rule + 1}: " if rule is not None else ""
    line = _line_of(text, rule, broken.key)
    return ScriptFault(f"{path}:{line}: {where}{broken.key}: {broken.why}")


def _line_of(text: str, rule: int | None, key: str) -> int:
    """Where the key stands in its rule, else where the rule begins. tomllib keeps no places."""
    sought = re.compile(rf"""(?:\[\[?\s*)?["']?{re.escape(key)}["']?\s*[=.\]]""")
    at, best = -1, 1
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*\[\[\s*rule\s*\]\]", line):
            at += 1
            best = number if at == rule else best
        if (rule is None or at == rule) and sought.match(line.strip()):
            return number
    return best
