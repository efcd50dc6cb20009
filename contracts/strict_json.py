"""Strict JSON: bytes → values, or every place that is not JSON as this contract means it.

What the standard library lets through is refused here with its `$.path`: a key that stands twice,
NaN and Infinity, numbers beyond a double or longer than 64 characters, lone surrogates, nesting
over 32 levels. UTF-8 only. Nothing is coerced and nothing is repaired.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from attrs import frozen

from contracts.limits import JSON_DEPTH, JSON_NUMBER_CHARS, VIOLATIONS_LISTED

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_KEY_SHOWN_CHARS = 64


@frozen
class Violation:
    """One place that breaks the contract, and how."""

    path: str
    problem: str


class ContractViolation(Exception):
    """What was received breaks the contract: the first 32 violations, and how many there were."""

    def __init__(self, violations: Iterable[Violation]) -> None:
        found = iter(violations)
        self.violations = tuple(islice(found, VIOLATIONS_LISTED))
        self.total = len(self.violations) + sum(1 for _ in found)
        super().__init__("; ".join(f"{v.path}: {v.problem}" for v in self.violations[:3]))


def loads(data: bytes, *, surrogates: bool = False) -> object:
    """The value that `data` is. Raises ContractViolation.

    `surrogates` lets half of a pair pass where JSON's grammar does: as an escape. Whoever takes
    such a text must refuse it himself, for it can not be encoded.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _at_root(f"not UTF-8 at byte {error.start}") from None
    try:
        value, is_marked = _STRICT.decode(text), False
    except (ValueError, RecursionError):
        value, is_marked = _marked(text)
    if _too_deep(text, value):
        raise _at_root("nested too deeply")
    if is_marked or (not surrogates and _ESCAPED_SURROGATE.search(text)):
        violation = ContractViolation(_violations(value))
        if violation.total:
            raise violation
    return value


def _marked(text: str) -> tuple[object, bool]:
    """The value with a mark at every place that is not allowed, and whether there is one."""
    marks = _Marks()
    try:
        value = json.loads(
            text,
            object_pairs_hook=marks.object,
            parse_constant=marks.number,
            parse_float=marks.float,
            parse_int=marks.int,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise _at_root(f"not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise _at_root("nested too deeply") from None
    return value, marks.found


def child_path(path: str, key: str | int) -> str:
    """The path of a member: `$.a`, `$.a[0]`, `$["odd key"]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if _PLAIN_KEY.fullmatch(key) and len(key) <= _KEY_SHOWN_CHARS:
        return f"{path}.{key}"
    return f"{path}[{json.dumps(key[:_KEY_SHOWN_CHARS])}]"


def has_surrogate(text: str) -> bool:
    """Whether the text holds half of a surrogate pair, which no encoding can carry."""
    return _SURROGATE.search(text) is not None


def _too_deep(text: str, root: object) -> bool:
    """Whether values nest over the limit; paths into such depths would outgrow the text itself."""
    if text.count("[") + text.count("{") <= JSON_DEPTH:
        return False
    level = [root]
    for _ in range(JSON_DEPTH):
        level = [child for value in level for child in _children(value)]
    return any(isinstance(value, list | dict) for value in level)


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _at_root(problem: str) -> ContractViolation:
    return ContractViolation([Violation("$", problem)])


@frozen
class _BadNumber:
    problem: str


class _Repeated(dict[str, object]):
    """An object in which `repeated` keys stood more than once."""

    repeated: tuple[str, ...] = ()


class _Marks:
    """Reads numbers and objects for `json`, and leaves a mark where one is not allowed."""

    def __init__(self) -> None:
        self.found = False

    def number(self, literal: str) -> object:
        self.found = True
        shown = literal if len(literal) <= JSON_NUMBER_CHARS else "the number"
        return _BadNumber(f"{shown} is not a number JSON can carry")

    def float(self, literal: str) -> object:
        value = float(literal) if len(literal) <= JSON_NUMBER_CHARS else math.inf
        return value if math.isfinite(value) else self.number(literal)

    def int(self, literal: str) -> object:
        return int(literal) if len(literal) <= JSON_NUMBER_CHARS else self.number(literal)

    def object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) == len(pairs):
            return made
        self.found = True
        bad = _Repeated(made)
        counts = Counter(key for key, _ in pairs)
        bad.repeated = tuple(key for key, count in counts.items() if count > 1)
        return bad


class _Marked(ValueError):
    """A place that is not allowed: the text is read once more, to mark each of them."""


class _Strict(_Marks):
    """Reads as `_Marks` does, and gives up at the first mark: it is made once and keeps nothing."""

    def number(self, literal: str) -> object:
        raise _Marked(literal)

    def object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise _Marked("a key")
        return made


def _strict() -> json.JSONDecoder:
    strict = _Strict()
    return json.JSONDecoder(
        object_pairs_hook=strict.object,
        parse_constant=strict.number,
        parse_float=strict.float,
        parse_int=strict.int,
    )


# Making a decoder takes longer than reading a short event.
_STRICT = _strict()


def _violations(root: object) -> Iterator[Violation]:
    """Every mark in the value, by walking it without recursion."""
    waiting: list[tuple[str, object]] = [("$", root)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, _BadNumber):
            yield Violation(path, value.problem)
        elif isinstance(value, str) and has_surrogate(value):
            yield Violation(path, "a lone surrogate is not text")
        elif isinstance(value, list):
            waiting.extend((child_path(path, i), v) for i, v in reversed(list(enumerate(value))))
        elif isinstance(value, dict):
            if isinstance(value, _Repeated):
                for key in value.repeated:
                    yield Violation(child_path(path, key), "the key stands twice")
            for key in value:
                if has_surrogate(key):
                    yield Violation(child_path(path, key), "a lone surrogate in a key")
            waiting.extend((child_path(path, k), value[k]) for k in reversed(value))
