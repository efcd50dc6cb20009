"""The one strict converter: bytes ⇄ the contract's types, every violation as `$.path`.

cattrs coerces by default (1.9 becomes 1, None becomes "None", "abc" becomes a list); every hook
here looks at the JSON type and refuses instead. Unknown keys are refused, absent keys too unless
the type gives a default. Types may add rules between fields with a `problems` method; the decoder
asks it of what it received, the encoder asserts it of what is about to be sent.
"""

import json
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from attrs import has
from cattrs import Converter
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from contracts.rules import Rule
from contracts.strict_json import ContractViolation, Violation, child_path, loads

__all__ = ["ContractViolation", "Violation", "decode", "encode", "structure"]

T = TypeVar("T")
# cattrs types its own hooks with Any; this is the one module that speaks with it.
Hook = Callable[[Any, Any], Any]


class _WrongValue(ValueError):
    """A value that is not what its field takes; the message is for the caller."""


def decode(data: bytes, kind: type[T]) -> T:
    """The `kind` that `data` is. Raises ContractViolation, listing every violation."""
    return structure(loads(data), kind)


def structure(value: object, kind: type[T]) -> T:
    """The `kind` that a parsed JSON value is. Raises ContractViolation."""
    try:
        made: T = _CONVERTER.structure(value, kind)
    except (BaseValidationError, _WrongValue, ForbiddenExtraKeysError) as error:
        raise ContractViolation(_violations(error, "$")) from None
    if violations := list(_problems(made)):
        raise ContractViolation(violations)
    return made


def encode(value: object) -> bytes:
    """The JSON of one of the contract's types: compact, UTF-8, absent optionals left out."""
    assert not (problems := list(_problems(value))), problems
    return _ENCODER.encode(_CONVERTER.unstructure(value)).encode()


def _problems(value: object) -> Iterator[Violation]:
    between = getattr(value, "problems", None)
    if between is not None:
        yield from between()


def _violations(error: BaseException, path: str) -> Iterator[Violation]:
    """The leaves of cattrs's error tree, with the paths that its notes give."""
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _violations(inner, path + _step(inner))
    elif isinstance(error, ForbiddenExtraKeysError):
        for key in sorted(error.extra_fields):
            yield Violation(child_path(path, key), "unknown key")
    elif isinstance(error, KeyError):
        yield Violation(path, "required")
    else:
        yield Violation(path, str(error) if isinstance(error, _WrongValue) else "not understood")


def _step(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return child_path("", note.name)
        if isinstance(note, IterableValidationNote):
            return child_path("", note.index)
    return ""


def _shown(value: object) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")


def _exactly(kind: type, what: str) -> Hook:
    def check(value: object, _: object) -> object:
        if type(value) is not kind:
            raise _WrongValue(f"expected {what}, got {_shown(value)}")
        return value

    return check


def _integer(value: object, _: object) -> int:
    if type(value) is float:
        raise _WrongValue("expected an integer, got a number with a fraction")
    if type(value) is not int:
        raise _WrongValue(f"expected an integer, got {_shown(value)}")
    return value


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _WrongValue(f"expected a number, got {_shown(value)}")
    return float(value)


def _one_of(options: dict[str, object]) -> Hook:
    def check(value: object, _: object) -> object:
        if not isinstance(value, str) or value not in options:
            raise _WrongValue(f"expected one of {', '.join(options)}")
        return options[value]

    return check


def _member(value: object, kind: type[StrEnum]) -> object:
    return _member_check(kind)(value, kind)


@cache
def _member_check(kind: type[StrEnum]) -> Hook:
    return _one_of({member.value: member for member in kind})


def _object_of(kind: Any, converter: Converter) -> Hook:
    inner = make_dict_structure_fn(
        kind, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True
    )

    def check(value: object, _: object) -> object:
        if type(value) is not dict:
            raise _WrongValue(f"expected an object, got {_shown(value)}")
        return inner(value, kind)

    return check


def _array_of(kind: Any, converter: Converter) -> Hook:
    elements = GenericAlias(list, get_args(kind)[0])
    inner = converter.get_structure_hook(elements)

    def check(value: object, _: object) -> object:
        if type(value) is not list:
            raise _WrongValue(f"expected an array, got {_shown(value)}")
        return tuple(inner(value, elements))

    return check


def _counts(value: object, _: object) -> dict[str, int]:
    if type(value) is not dict or any(type(v) is not int for v in value.values()):
        raise _WrongValue("expected an object of integers")
    return value


def _nullable(kind: Any, converter: Converter) -> Hook:
    (some,) = (arm for arm in get_args(kind) if arm is not NoneType)
    inner = converter.get_structure_hook(some)
    return lambda value, _: None if value is None else inner(value, some)


def _ruled(kind: Any, converter: Converter) -> Hook:
    base, rules = kind.__origin__, rules_of(kind)
    inner = converter.get_structure_hook(base)

    def check(value: object, _: object) -> object:
        for rule in rules:
            if problem := rule.problem(value):
                raise _WrongValue(problem)
        return inner(value, base)

    return check


def rules_of(kind: Any) -> list[Rule]:
    """The rules that an annotated type carries."""
    return [note for note in getattr(kind, "__metadata__", ()) if hasattr(note, "problem")]


def _make_converter() -> Converter:
    made = Converter(forbid_extra_keys=True, detailed_validation=True)
    made.register_structure_hook(str, _exactly(str, "a string"))
    made.register_structure_hook(bool, _exactly(bool, "a boolean"))
    made.register_structure_hook(int, _integer)
    made.register_structure_hook(float, _number)
    # By class, as `str` is: cattrs would hand an enum to the hook of the `str` it derives from.
    made.register_structure_hook(StrEnum, _member)
    made.register_structure_hook_func(lambda kind: kind == dict[str, int], _counts)
    for applies, factory in _FACTORIES:
        made.register_structure_hook_factory(applies, _with(factory, made))
    made.register_unstructure_hook_factory(
        has, lambda kind: make_dict_unstructure_fn(kind, made, _cattrs_omit_if_default=True)
    )
    return made


def _with(factory: Callable[[Any, Converter], Hook], made: Converter) -> Callable[[Any], Hook]:
    return lambda kind: factory(kind, made)


_FACTORIES: list[tuple[Callable[[Any], bool], Callable[[Any, Converter], Hook]]] = [
    (has, _object_of),
    (lambda kind: get_origin(kind) is tuple, _array_of),
    (lambda kind: get_origin(kind) is Literal, lambda k, _: _one_of({o: o for o in get_args(k)})),
    (
        lambda kind: get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind),
        _nullable,
    ),
    (lambda kind: get_origin(kind) is Annotated, _ruled),
]

_CONVERTER = _make_converter()
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
