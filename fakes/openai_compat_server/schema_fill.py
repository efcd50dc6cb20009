"""A valid value for a JSON schema: seeded, small, and the same for the same seed and schema.

Serves what clients ask of models: types, enum and const, objects, arrays, bounds, formats, simple
patterns, anyOf, oneOf, allOf, and references inside the document, recursion included. Refuses a
schema that no value meets, or that uses a keyword not served, and names the place: a 400 is better
than an answer that breaks its own schema.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from attrs import define

from fakes.openai_compat_server.pattern_fill import from_pattern
from fakes.openai_compat_server.schema_keywords import (
    COMBINATORS,
    Keywords,
    likely_types,
    read_keywords,
    refused_at,
)
from fakes.openai_compat_server.schema_match import matches, referred, same
from fakes.openai_compat_server.schema_merge import merged
from fakes.openai_compat_server.seeded import Draw
from fakes.openai_compat_server.string_fill import of_format, text_between

JsonObject = Mapping[str, object]
# From here down only what must be there is made, so that what may recurse comes to an end.
_DEPTH_FULL = 4
_DEPTH_MAX = 24
_STEPS_MAX = 4_000
_ITEMS_MAX = 200
_CHARS_MAX = 20_000
_OPTIONAL_SHARE = 0.75
_TRIES = 20
_NUMBER_SPREAD = 100


class _Unfillable(Exception):
    """This way of meeting the schema leads nowhere; another may."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(why)
        self.where = where


def fill(schema: object, draw: Draw, where: str) -> object:
    """A value that meets `schema`, which stands at `where` in the request.

    Raises Refusal, with the place in the schema as its parameter.
    """
    try:
        return _Filler(draw, schema).value(schema, where, where, 0)
    except _Unfillable as fault:
        raise refused_at(fault.where, str(fault)) from None
    except RecursionError:
        raise refused_at(where, "it nests too deep") from None


@define
class _Filler:
    """`where` is the place in the schema, `name` that in the value: each is drawn for by name."""

    draw: Draw
    root: object
    steps: int = 0

    def value(self, schema: object, where: str, name: str, depth: int) -> object:
        """The first value, by the order the seed gives the alternatives, that fits."""
        if depth > _DEPTH_MAX:
            raise _Unfillable(where, "it never comes to an end")
        fault = _Unfillable(where, "nothing meets all it asks for")
        for plain in self._alternatives(schema, where, name, depth, 0):
            for kind in self._kinds(plain, name, depth):
                try:
                    made = self._made(kind, plain, where, name, depth)
                except _Unfillable as deeper:
                    fault = deeper
                    continue
                if matches(schema, made, self.root):
                    return made
        raise fault

    def _alternatives(
        self, schema: object, where: str, name: str, depth: int, hops: int
    ) -> Iterator[JsonObject]:
        """The schema without references and combinators, in each of the ways it can be met."""
        self.steps += 1
        if self.steps > _STEPS_MAX or hops > _DEPTH_MAX:
            raise refused_at(where, "it is too large, or never comes to an end")
        if schema is True:
            yield {}
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            raise refused_at(where, "expected an object or a boolean")
        plain = read_keywords(schema, where)
        yield from self._combined(
            plain, self._groups(schema, where, name, depth), name, depth, hops
        )

    def _combined(
        self,
        plain: JsonObject,
        groups: Sequence[tuple[str, Sequence[object]]],
        name: str,
        depth: int,
        hops: int,
    ) -> Iterator[JsonObject]:
        """`plain` together with one branch of every group."""
        if not groups:
            yield plain
            return
        (where, branches), *others = groups
        for branch in branches:
            for alternative in self._alternatives(branch, where, name, depth, hops + 1):
                try:
                    both = merged(plain, alternative)
                except ValueError:
                    continue
                yield from self._combined(both, others, name, depth, hops)

    def _groups(
        self, schema: JsonObject, where: str, name: str, depth: int
    ) -> list[tuple[str, Sequence[object]]]:
        """One branch of each group must hold."""
        groups: list[tuple[str, Sequence[object]]] = []
        if "$ref" in schema:
            target = referred(schema["$ref"], self.root)
            if target is None:
                raise refused_at(f"{where}.$ref", "it points at nothing in this schema")
            groups.append((where, [target]))
        for key in COMBINATORS:
            if key not in schema:
                continue
            branches = schema[key]
            if not isinstance(branches, list) or not branches:
                raise refused_at(f"{where}.{key}", "expected an array with at least one schema")
            if key == "allOf":
                groups += [(f"{where}.{key}", [branch]) for branch in branches]
            else:
                groups.append((f"{where}.{key}", self._ordered(branches, name, depth)))
        return groups

    def _ordered(self, options: Sequence[object], name: str, depth: int) -> list[object]:
        """From where the seed says; deep down, what needs nothing further comes first."""
        start = int(self.draw.fraction(f"{name} option") * len(options))
        turned = [*options[start:], *options[:start]]
        return sorted(turned, key=_is_nesting) if depth >= _DEPTH_FULL else turned

    def _kinds(self, plain: JsonObject, name: str, depth: int) -> list[object]:
        if "enum" in plain or "const" in plain:
            return ["listed"]
        return self._ordered(likely_types(plain), name, depth)

    def _made(self, kind: object, plain: JsonObject, where: str, name: str, depth: int) -> object:
        asked = Keywords(plain)
        match kind:
            case "listed":
                return self._listed(plain, where, name)
            case "object":
                return self._object(asked, where, name, depth)
            case "array":
                return self._array(asked, where, name, depth)
            case "string":
                return self._string(asked, where, name)
            case "number" | "integer":
                return self._number(asked, kind == "integer", where, name)
            case "boolean":
                return self.draw.fraction(name) < 0.5
            case _:
                return None

    def _listed(self, plain: JsonObject, where: str, name: str) -> object:
        """Of the listed values one that the other keywords allow."""
        values = [plain["const"]] if "const" in plain else Keywords(plain).items("enum")
        for value in self._ordered(values, name, 0):
            if matches(plain, value, self.root):
                return value
        raise _Unfillable(where, "no listed value meets the rest")

    def _object(self, asked: Keywords, where: str, name: str, depth: int) -> object:
        known, required = asked.schemas("properties"), asked.names("required")
        low, high = asked.count("minProperties", 0), asked.count("maxProperties", _ITEMS_MAX)
        names = [
            *(key for key in known if key in required),
            *(k for k in required if k not in known),
        ]
        made: dict[str, object] = {}
        for key in [*names, *(key for key in known if key not in required)]:
            if key not in required and not self._wants(
                f"{name}.{key}", depth, len(made), low, high
            ):
                continue
            try:
                schema = known.get(key, asked.more)
                made[key] = self.value(
                    schema, f"{where}.properties.{key}", f"{name}.{key}", depth + 1
                )
            except _Unfillable:
                if key in required:
                    raise
        while len(made) < low:
            key = f"key{len(made)}"
            if key in known or low > _ITEMS_MAX:
                raise _Unfillable(where, f"no {low} properties can be made")
            place = f"{where}.additionalProperties"
            made[key] = self.value(asked.more, place, f"{name}.{key}", depth + 1)
        if len(made) > high:
            raise _Unfillable(where, f"more than {high} properties are required")
        return {key: made[key] for key in [*known, *made] if key in made}

    def _wants(self, name: str, depth: int, made: int, low: int, high: int) -> bool:
        """Whether an optional property is made."""
        if made >= high:
            return False
        share = _OPTIONAL_SHARE if depth < _DEPTH_FULL else 0.0
        return made < low or self.draw.fraction(f"{name} there") < share

    def _array(self, asked: Keywords, where: str, name: str, depth: int) -> object:
        low = asked.count("minItems", 0)
        high = asked.count("maxItems", max(low, 3))
        if low > min(high, _ITEMS_MAX):
            raise _Unfillable(where, f"no array of {low} items can be made")
        first, rest = asked.items("prefixItems"), asked.rest
        count = low
        if depth < _DEPTH_FULL:
            usual = min(high, max(low, len(first), 1) + 2)
            least = max(low, min(high, max(1, len(first))))
            count = least + int(self.draw.fraction(f"{name} count") * (usual - least + 1))
        made: list[object] = []
        for at in range(count):
            schema, place = (
                (first[at], f"{where}.prefixItems[{at}]")
                if at < len(first)
                else (rest, f"{where}.items")
            )
            try:
                made.append(self._item(schema, place, f"{name}[{at}]", depth, asked.unique, made))
            except _Unfillable:
                if len(made) >= low:
                    break
                raise
        return made

    def _item(
        self,
        schema: object,
        where: str,
        name: str,
        depth: int,
        unique: bool,
        earlier: Sequence[object],
    ) -> object:
        """One more item, unlike the earlier ones where they must differ."""
        for at in range(_TRIES if unique else 1):
            item = self.value(schema, where, name + "'" * at, depth + 1)
            if not unique or not any(same(item, it) for it in earlier):
                return item
        raise _Unfillable(where, "not enough different items could be made")

    def _string(self, asked: Keywords, where: str, name: str) -> object:
        low, high = asked.count("minLength", 0), asked.count("maxLength", None)
        if low > _CHARS_MAX or (high is not None and low > high):
            raise _Unfillable(where, f"no text of {low} characters can be made")
        pattern, kind = asked.text("pattern"), asked.text("format")
        if pattern is not None:
            return self._patterned(pattern, asked, where, name)
        made = of_format(self.draw, name, kind) if kind else None
        return text_between(self.draw, name, low, high) if made is None else made

    def _patterned(self, pattern: str, asked: Keywords, where: str, name: str) -> object:
        made = ""
        for at in range(_TRIES):
            try:
                made = from_pattern(pattern, self.draw, f"{name} {at}")
            except ValueError as fault:
                raise _Unfillable(f"{where}.pattern", str(fault)) from None
            if matches({**asked.schema, "type": "string"}, made, self.root):
                return made
        raise _Unfillable(f"{where}.pattern", "no text was found that meets it and the rest")

    def _number(self, asked: Keywords, whole: bool, where: str, name: str) -> object:
        kind = {**asked.schema, "type": "integer" if whole else "number"}
        for candidate in _candidates(asked, whole, self.draw.fraction(name)):
            number = int(candidate) if whole and float(candidate).is_integer() else candidate
            if matches(kind, number, self.root):
                return number
        raise _Unfillable(where, "no number meets all its bounds")


def _candidates(asked: Keywords, whole: bool, fraction: float) -> Sequence[float]:
    """Numbers to try, the drawn one first, the ends last."""
    step = asked.number("multipleOf") or (1 if whole else 0)
    low, high = _bounds(asked)
    between = low + fraction * (high - low)
    if not step:
        return [round(between, 2), between, (low + high) / 2, low, high]
    try:
        first, last = math.ceil(low / step), math.floor(high / step)
    except OverflowError:
        return []
    start = first + int(fraction * (last - first + 1))
    near = range(start, min(last, start + _TRIES) + 1)
    return [at * step for at in [*near, first, first + 1, last - 1, last]]


def _bounds(asked: Keywords) -> tuple[float, float]:
    """From where to where numbers are drawn; an open side is a little way off."""
    lows = [asked.number("minimum"), asked.number("exclusiveMinimum")]
    highs = [asked.number("maximum"), asked.number("exclusiveMaximum")]
    low = max((bound for bound in lows if bound is not None), default=None)
    high = min((bound for bound in highs if bound is not None), default=None)
    spread = max(_NUMBER_SPREAD, abs(asked.number("multipleOf") or 0) * 10)
    if low is None:
        low = 0.0 if high is None or high >= 0 else high - spread
    return low, (low + spread if high is None else high)


def _is_nesting(option: object) -> bool:
    if isinstance(option, dict):
        return option.get("type") in ("object", "array") or "$ref" in option
    return option in ("object", "array")
