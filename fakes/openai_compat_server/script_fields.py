"""A script as the fields of a file, whatever the file's syntax: read strictly, and written.

The schema stands in `script_file`. Refuses (Broken, with the place) whatever it does not know.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fakes.openai_compat_server.plan import Plan
from fakes.openai_compat_server.raw_response import RawFault, raw_fields, raw_of
from fakes.openai_compat_server.script import Playable, Rule, Script, Then

Place = tuple[str | int, ...]  # keys, and positions in arrays from 0, from the root on
Known = Callable[[str], object]

_KEYS: Final = ("path", "model", "header", "text", "turn", "chance", "play", "then")
_RULES_MAX: Final = 1_000
_PLAY_MAX: Final = 10_000


class ScriptFault(ValueError):
    """`path:line: reason`, or `path: $.place: reason` where a place says more than a line."""


class Broken(Exception):
    """What is wrong, and where."""

    def __init__(self, place: Place, why: str) -> None:
        super().__init__(why)
        self.place, self.why = place, why


def script_of(fields: Mapping[str, object], known: Known) -> Script:
    """Raises Broken; `known` raises ValueError for a scenario that can not be played."""
    _only(fields, ("strict", "rule"), ())
    strict = fields.get("strict", False)
    if not isinstance(strict, bool):
        raise Broken(("strict",), "expected true or false")
    tables = _tables(fields.get("rule", []))
    return Script(
        tuple(_rule(table, ("rule", at), known) for at, table in enumerate(tables)), strict
    )


def fields_of(script: Script) -> dict[str, object]:
    """What `script_of` reads as the same script."""
    return {"strict": script.strict, "rule": [_rule_fields(rule) for rule in script.rules]}


def _tables(given: object) -> Sequence[Mapping[str, object]]:
    if not isinstance(given, list) or not all(isinstance(table, dict) for table in given):
        raise Broken(("rule",), "expected an array of rules")
    if len(given) > _RULES_MAX:
        raise Broken(("rule",), f"more than {_RULES_MAX} rules")
    return given


def _rule(table: Mapping[str, object], at: Place, known: Known) -> Rule:
    _only(table, _KEYS, at)
    turn, chance = table.get("turn"), table.get("chance", 1.0)
    if turn is not None and (type(turn) is not int or turn < 1):
        raise Broken((*at, "turn"), "expected a whole number of at least 1")
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        raise Broken((*at, "chance"), "expected a number from 0 to 1")
    return Rule(
        play=_play(table.get("play"), (*at, "play"), known),
        model=_text(table, "model", at),
        header=_header(table.get("header"), (*at, "header")),
        text=_text(table, "text", at),
        turn=turn,
        chance=float(chance),
        then=_then(table.get("then", Then.PASS.value), (*at, "then")),
        path=_path(table, at),
    )


def _play(given: object, at: Place, known: Known) -> tuple[Playable, ...]:
    if not isinstance(given, list) or not 1 <= len(given) <= _PLAY_MAX:
        raise Broken(at, f"expected an array of 1 to {_PLAY_MAX:,} things to play")
    return tuple(_playable(one, (*at, number), known) for number, one in enumerate(given))


def _playable(given: object, at: Place, known: Known) -> Playable:
    match given:
        case str():
            try:
                known(given)
            except ValueError as fault:
                raise Broken(at, str(fault)) from None
            return given
        case dict():
            try:
                return raw_of(given)
            except RawFault as fault:
                raise Broken((*at, *fault.place), str(fault)) from None
    raise Broken(at, "expected a scenario's name, or { send = […] }")


def _path(table: Mapping[str, object], at: Place) -> str | None:
    path = _text(table, "path", at)
    if path is not None and not path.startswith("/"):
        raise Broken((*at, "path"), "expected a path that begins with /")
    return path


def _header(given: object, at: Place) -> tuple[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or given.keys() != {"name", "value"}:
        raise Broken(at, 'expected { name = "…", value = "…" }')
    name, value = given["name"], given["value"]
    if not isinstance(name, str) or not name or not isinstance(value, str):
        raise Broken(at, "expected name and value as strings")
    return name, value


def _then(given: object, at: Place) -> Then:
    try:
        return Then(given)
    except ValueError:
        wanted = ", ".join(it.value for it in Then)
        raise Broken(at, f"expected one of {wanted}") from None


def _text(table: Mapping[str, object], key: str, at: Place) -> str | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise Broken((*at, key), "expected a string that is not empty")
    return value


def _only(table: Mapping[str, object], keys: Sequence[str], at: Place) -> None:
    for key, value in table.items():
        if key not in keys:
            raise Broken((*at, key), f"unknown key (known are {', '.join(keys)})")
        if value is None:
            raise Broken((*at, key), "null is not a value here")


def _rule_fields(rule: Rule) -> dict[str, object]:
    header = {"name": rule.header[0], "value": rule.header[1]} if rule.header else None
    matched: dict[str, object] = {"path": rule.path, "model": rule.model, "header": header}
    matched |= {"text": rule.text, "turn": rule.turn}
    given = {key: value for key, value in matched.items() if value is not None}
    play = [raw_fields(one) if isinstance(one, Plan) else one for one in rule.play]
    return {**given, "chance": rule.chance, "play": play, "then": rule.then.value}
