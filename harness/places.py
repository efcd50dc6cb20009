"""Every value in a message of the contract, with its `$.path` and what its type says of it.

    places(ChatRequest, {"message": …})      the message itself first, then what is inside it

It reads the annotations, as the schemas do, and takes the message as it is: nothing is checked.
"""

import json
from collections.abc import Iterable
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from attrs import NOTHING, fields, frozen, has

from contracts.rules import NotNull, Rule

Json = dict[str, object]
Steps = tuple[str | int, ...]


@frozen
class Place:
    """One value in a message: the way to it, and what its field's type says of it."""

    steps: Steps
    kind: object  # the type itself, its rules and its null taken off
    rules: tuple[Rule, ...]
    required: bool  # its key may not be left out
    nullable: bool
    value: object

    @property
    def path(self) -> str:
        """As `details` names it."""
        return path_of(self.steps)

    @property
    def is_object(self) -> bool:
        """An object whose keys are the contract's."""
        return isinstance(self.kind, type) and has(self.kind)

    @property
    def is_words(self) -> bool:
        """One word out of a closed set."""
        is_enum = isinstance(self.kind, type) and issubclass(self.kind, Enum)
        return is_enum or get_origin(self.kind) is Literal

    def rule(self, kind: type[Rule]) -> Rule | None:
        """Its rule of this kind."""
        return next((rule for rule in self.rules if isinstance(rule, kind)), None)


def path_of(steps: Iterable[str | int]) -> str:
    """`$.a[0].b`; every key that is not a plain word stands in brackets."""
    path = "$"
    for step in steps:
        if isinstance(step, str) and step.isidentifier() and step.isascii():
            path += f".{step}"
        else:
            path += f"[{json.dumps(step)}]"
    return path


def places(kind: object, value: object, steps: Steps = (), required: bool = True) -> list[Place]:
    """Every value in a message of this type, the message itself first; what is null is a leaf."""
    bare, rules, nullable = _bare(kind)
    found = [Place(steps, bare, rules, required, nullable, value)]
    if isinstance(value, dict) and isinstance(bare, type) and has(bare):
        for field in fields(bare):
            if field.name in value:
                needed = field.default is NOTHING
                found += places(field.type, value[field.name], (*steps, field.name), needed)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += places(get_args(bare)[0], item, (*steps, index))
    return found


def _bare(kind: object) -> tuple[object, tuple[Rule, ...], bool]:
    rules: list[Rule] = []
    nullable = False
    while True:
        if get_origin(kind) is Annotated:
            rules += [note for note in getattr(kind, "__metadata__", ()) if hasattr(note, "schema")]
            kind = get_args(kind)[0]
        elif get_origin(kind) in (Union, UnionType):
            nullable = True
            (kind,) = (arm for arm in get_args(kind) if arm is not NoneType)
        else:
            refused = any(isinstance(rule, NotNull) for rule in rules)
            return kind, tuple(rules), nullable and not refused
