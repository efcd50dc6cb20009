"""A script as JSON: the schema of the TOML file, `rule` being an array of objects.

    {"strict": true, "rule": [{"model": "m", "play": ["status-429", "ok"]}]}

One set of rules checks both: the JSON is written out as TOML, a key to a line, and what is refused
there is told with the line it has here. Refuses null, which TOML has not, and a key given twice.
"""

import json
import re
from collections.abc import Callable, Mapping

from fakes.openai_compat_server.script import Rule, Script
from fakes.openai_compat_server.script_file import ScriptFault, parse_script

_Place = tuple[int | None, str]  # the number of the rule, from 0, and the key in it
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:\n]')
_SAID = re.compile(r":(\d+): (.*)", re.DOTALL)


def parse_json_script(text: str, path: str, known: Callable[[str], object]) -> Script:
    """The script in `text`, as `parse_script` reads it from TOML; raises ScriptFault."""
    try:
        fields = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        json.dumps(fields, ensure_ascii=False).encode()  # a lone surrogate fails here
    except json.JSONDecodeError as fault:
        raise ScriptFault(f"{path}:{fault.lineno}: {fault.msg}") from None
    except (ValueError, RecursionError) as fault:
        raise ScriptFault(f"{path}:1: {fault}") from None
    if not isinstance(fields, dict):
        raise ScriptFault(f"{path}:1: expected an object")
    lines = _lines(text)
    written, places = _as_toml(fields)
    try:
        return parse_script(written, path, known)
    except ScriptFault as fault:
        found = _SAID.match(str(fault).removeprefix(path))
        if found is None:
            raise
        rule, key = places[min(int(found[1]), len(places)) - 1]
        line = lines.get((rule, key)) or lines.get((rule, ""), 1)
        why = "null is not a value here" if _is_null(fields, rule, key) else found[2]
        raise ScriptFault(f"{path}:{line}: {why}") from None


def script_fields(script: Script) -> dict[str, object]:
    """What `parse_json_script` reads as the same script."""
    return {"strict": script.strict, "rule": [_rule_fields(rule) for rule in script.rules]}


def _rule_fields(rule: Rule) -> dict[str, object]:
    header = {"name": rule.header[0], "value": rule.header[1]} if rule.header else None
    matched = {"model": rule.model, "header": header, "text": rule.text, "turn": rule.turn}
    given = {key: value for key, value in matched.items() if value is not None}
    return {**given, "chance": rule.chance, "play": list(rule.play), "then": rule.then.value}


def _as_toml(fields: Mapping[str, object]) -> tuple[str, list[_Place]]:
    """The TOML, and what stands in each of its lines."""
    written: list[tuple[str, _Place]] = []
    rules = fields.get("rule")
    tables = rules if isinstance(rules, list) and all(isinstance(it, dict) for it in rules) else []
    for key, value in fields.items():
        if key != "rule" or not tables:
            written.append((f"{_value(key)} = {_value(value)}", (None, key)))
    for at, table in enumerate(tables):
        written.append(("[[rule]]", (at, "")))
        written += [(f"{_value(k)} = {_value(v)}", (at, k)) for k, v in table.items()]
    return "\n".join(line for line, _ in written), [it for _, it in written] or [(None, "")]


def _value(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_value(k)} = {_value(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case float():
            return repr(value)
        case _:
            # A JSON string is a TOML one, but for DEL; null is no value at all, and is refused.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(text: str) -> dict[_Place, int]:
    """Where each rule, under the key "", and each key begins, in JSON known to be valid."""
    found: dict[_Place, int] = {}
    line, rule, root_key, open_brackets, last = 1, -1, "", "", ""
    for token in _TOKEN.findall(text):
        if token == "\n":
            line += 1
            continue
        if token in "{[":
            open_brackets += token
            if open_brackets == "{[{" and root_key == "rule":
                rule += 1
                found[rule, ""] = line
        elif token in "}]":
            open_brackets = open_brackets[:-1]
        elif token == ":" and open_brackets == "{":
            root_key = json.loads(last)
            found[None, root_key] = line
        elif token == ":" and open_brackets == "{[{" and root_key == "rule":
            found[rule, json.loads(last)] = line
        last = token
    return found


def _is_null(fields: Mapping[str, object], rule: int | None, key: str) -> bool:
    rules = fields.get("rule")
    table = rules[rule] if rule is not None and isinstance(rules, list) else fields
    return isinstance(table, Mapping) and key in table and table[key] is None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for key, value in pairs:
        if key in fields:
            raise ValueError(f"{key!r} is given twice")
        fields[key] = value
    return fields


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is not a number")
