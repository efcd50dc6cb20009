"""The rules a field can carry in its type: `Annotated[str, Chars(1, 4_000)]`.

A rule looks at the raw JSON value, before its elements are looked at, so that the path is exact
and an oversized list costs nothing. It says nothing about a value of another type: that is the
type's own business. The same rules make the JSON Schemas, so code and schema cannot drift apart.
"""

import re
from collections.abc import Mapping
from typing import Protocol

from attrs import frozen

from contracts.limits import SESSION_ID_CHARS


class Rule(Protocol):
    """One rule about one field."""

    def problem(self, value: object) -> str | None:
        """What is wrong with the value, or None."""
        ...

    def schema(self) -> Mapping[str, object]:
        """The same as JSON Schema keywords."""
        ...


@frozen
class Chars:
    """A string's length in characters (code points)."""

    minimum: int
    maximum: int

    def problem(self, value: object) -> str | None:
        if not isinstance(value, str) or self.minimum <= len(value) <= self.maximum:
            return None
        if not value:
            return "must not be empty"
        return f"{len(value)} characters; {self.minimum} to {self.maximum} are allowed"

    def schema(self) -> Mapping[str, object]:
        return {"minLength": self.minimum, "maxLength": self.maximum}


@frozen
class Items:
    """How many elements an array has."""

    minimum: int
    maximum: int

    def problem(self, value: object) -> str | None:
        if not isinstance(value, list) or self.minimum <= len(value) <= self.maximum:
            return None
        return f"{len(value)} items; {self.minimum} to {self.maximum} are allowed"

    def schema(self) -> Mapping[str, object]:
        return {"minItems": self.minimum, "maxItems": self.maximum}


@frozen
class Between:
    """A number's range, both ends included; `maximum` None is no upper end."""

    minimum: float
    maximum: float | None = None

    def problem(self, value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if value < self.minimum:
            return f"must be at least {self.minimum:g}"
        if self.maximum is not None and value > self.maximum:
            return f"must be at most {self.maximum:g}"
        return None

    def schema(self) -> Mapping[str, object]:
        upper = {} if self.maximum is None else {"maximum": self.maximum}
        return {"minimum": self.minimum, **upper}


@frozen
class Matches:
    """A string's whole form. `form` says it in words; the pattern means the same in ECMA 262."""

    pattern: str
    form: str

    def problem(self, value: object) -> str | None:
        if not isinstance(value, str) or re.fullmatch(self.pattern, value):
            return None
        return f"must be {self.form}"

    def schema(self) -> Mapping[str, object]:
        # In some dialects, Python's among them, `$` alone would let a line end through.
        return {"pattern": f"^(?:{self.pattern})$(?!\\n)"}


@frozen
class NotNull:
    """The key may be left out; where it stands, it is not null."""

    def problem(self, value: object) -> str | None:
        return "must not be null; leave the key out" if value is None else None

    def schema(self) -> Mapping[str, object]:
        return {}


REQUEST_ID = Matches(r"[A-Za-z0-9._-]{1,128}", "1 to 128 of A-Z a-z 0-9 . _ -")
TRACE_ID = Matches(r"(?!0{32})[0-9a-f]{32}", "32 lower-case hex digits, not all zero")
SESSION_ID = Matches(
    rf"[A-Za-z0-9_-]{{1,{SESSION_ID_CHARS}}}", f"1 to {SESSION_ID_CHARS} of A-Z a-z 0-9 _ -"
)
SESSION_OWNER = Matches(r"[0-9a-f]{16,64}", "16 to 64 lower-case hex digits")
INSTANT = Matches(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z",
    "a time in UTC with milliseconds, like 2026-01-31T12:00:00.000Z",
)
ALIAS = Matches(r"c[1-9][0-9]{0,2}", "c1, c2, …")
