"""Operators on the characters themselves: escapes, control characters, marks that nobody sees.

Half of a surrogate pair stands in the text as an escape only, for as a character it could not be
sent at all.
"""

import re
from typing import Final

from contracts.reasons import ReasonCode as R
from fakes.openai_compat_server.content_operator import (
    OK,
    ContentOperator,
    ValidAnswer,
    amid,
    answering,
    between,
    inside,
    pick,
    quoted,
    saying,
    valid_json,
)

_MALFORMED: Final = R.OUTPUT_MALFORMED_JSON
_INVALID: Final = R.OUTPUT_INVALID_UNICODE
_BOM, _LINE_SEPARATOR, _NO_BREAK_SPACE = "\ufeff", "\u2028", "\u00a0"
_HIGH, _LOW = "\\ud83d", "\\ude00"
_BAD_ESCAPES: Final = ("\\x41", "\\'", "\\U0001f600", "\\_", "\\ ")
_ESCAPED_CHARS: Final = 24
_ESCAPE: Final = re.compile(r"(\\u[0-9a-f]{4})")


def _escaped(answer: ValidAnswer) -> str:
    """The answer's first characters as escapes, one or two for each."""
    units = answer.answer[:_ESCAPED_CHARS].encode("utf-16-be").hex()
    escapes = (f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    return answering(answer, f'"{"".join(escapes)}{quoted(answer.answer[_ESCAPED_CHARS:])[1:]}')


def _cut_in_escapes(text: str) -> tuple[str, ...]:
    """Each escape in two, behind its `\\u`."""
    parts = (
        half
        for part in _ESCAPE.split(text)
        for half in ((part[:2], part[2:]) if _ESCAPE.fullmatch(part) else (part,))
    )
    return tuple(part for part in parts if part)


UNICODE: Final = (
    ContentOperator(
        "raw-newline", "a raw newline in the answer", _MALFORMED, lambda a, d: inside(a, "\n", d)
    ),
    ContentOperator(
        "raw-tab", "a raw tab in the answer", _MALFORMED, lambda a, d: inside(a, "\t", d)
    ),
    ContentOperator(
        "raw-control",
        "a raw control character in the answer",
        _MALFORMED,
        lambda a, draw: inside(a, pick(draw, "control", ("\x01", "\x08", "\x1b", "\x1f")), draw),
    ),
    ContentOperator(
        "nul-raw", "a raw NUL in the answer", _INVALID, lambda a, d: inside(a, "\x00", d)
    ),
    ContentOperator(
        "nul-escaped",
        "an escaped NUL in the answer",
        _INVALID,
        lambda a, d: inside(a, "\\u0000", d),
    ),
    ContentOperator(
        "nul-around", "a NUL behind the object", _INVALID, lambda a, _: f"{valid_json(a)}\x00"
    ),
    ContentOperator(
        "bad-escape",
        "an escape JSON does not know",
        _MALFORMED,
        lambda a, draw: inside(a, pick(draw, "escape", _BAD_ESCAPES), draw),
    ),
    ContentOperator(
        "bad-unicode-escape",
        "an escape with a digit that is none",
        _MALFORMED,
        lambda a, draw: inside(a, pick(draw, "escape", ("\\u00g0", "\\u{41}", "\\u 041")), draw),
    ),
    ContentOperator(
        "lone-surrogate",
        "the first half of a surrogate pair, escaped",
        _INVALID,
        lambda a, draw: inside(a, f"{_HIGH} ", draw),
    ),
    ContentOperator(
        "lone-low-surrogate",
        "the second half of a surrogate pair, escaped",
        _INVALID,
        lambda a, draw: inside(a, _LOW, draw),
    ),
    ContentOperator(
        "reversed-surrogates",
        "a surrogate pair, escaped, the second half first",
        _INVALID,
        lambda a, draw: inside(a, f"{_LOW}{_HIGH}", draw),
    ),
    ContentOperator(
        "surrogate-at-end",
        "the first half of a surrogate pair, escaped, at the answer's end",
        _INVALID,
        lambda a, _: answering(a, f'{quoted(a.answer)[:-1]}{_HIGH}"'),
    ),
    ContentOperator(
        "surrogate-pair",
        "a whole surrogate pair, escaped, and cut in the middle of each half",
        OK,
        lambda a, draw: inside(a, f" {_HIGH}{_LOW}", draw),
        _cut_in_escapes,
    ),
    ContentOperator(
        "escaped",
        "the answer's first characters as escapes, each of them cut in the middle",
        OK,
        lambda a, _: _escaped(a),
        _cut_in_escapes,
    ),
    ContentOperator(
        "bom", "a byte order mark before the object", OK, lambda a, _: f"{_BOM}{valid_json(a)}"
    ),
    ContentOperator(
        "bom-first",
        "a byte order mark behind the first brace, so that only the citations open an object",
        R.OUTPUT_SCHEMA_MISMATCH,
        lambda a, _: f"{{{_BOM}{valid_json(a)[1:]}",
    ),
    ContentOperator(
        "bom-between",
        "a byte order mark between the members",
        _MALFORMED,
        lambda a, _: between(a, f',{_BOM}"answer"'),
    ),
    ContentOperator(
        "line-separator",
        "U+2028 in the answer, where JSON allows it",
        OK,
        lambda a, draw: saying(a, amid(a.answer, f"{_LINE_SEPARATOR} ", draw)),
    ),
    ContentOperator(
        "line-separator-between",
        "U+2028 between the members, where it is no blank",
        _MALFORMED,
        lambda a, _: between(a, f',{_LINE_SEPARATOR}"answer"'),
    ),
    ContentOperator(
        "no-break-space-between",
        "a no-break space between the members, where it is no blank",
        _MALFORMED,
        lambda a, _: between(a, f',{_NO_BREAK_SPACE}"answer"'),
    ),
)
