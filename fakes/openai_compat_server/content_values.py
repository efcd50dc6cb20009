"""Operators on the answer's value, and on values too long or too deep for any reader.

A value is refused where its first character shows what it is, however long it would go on.
"""

from typing import Final

from contracts.limits import ANSWER_MAX_CHARS, HOLD_MAX_CHARS
from contracts.reasons import ReasonCode as R
from fakes.openai_compat_server.content_operator import (
    OK,
    Apply,
    ContentOperator,
    ValidAnswer,
    answering,
    citing,
    in_runs,
    listed,
    pick,
    quoted,
    saying,
    valid_json,
    written,
)
from fakes.openai_compat_server.seeded import Draw

_DEPTH: Final = 20_000
_DIGITS: Final = 5_000
_MISMATCH: Final = R.OUTPUT_SCHEMA_MISMATCH
_MALFORMED: Final = R.CITATIONS_MALFORMED
# A paced stream of these must be shorter than anyone's patience.
_LONG: Final = in_runs(1_024)


def _valued(value: str) -> Apply:
    return lambda a, _: answering(a, value)


def _answer_first(text: str, aliases: tuple[str, ...]) -> str:
    return f'{{"answer": {quoted(text)}, "citations": {listed(aliases)}}}'


def _repeated(answer: ValidAnswer, chars: int) -> str:
    """The answer's text again and again, until it is over so many characters."""
    times = chars // (len(answer.answer) + 1) + 2
    return " ".join([answer.answer] * times)


def _digits(draw: Draw) -> str:
    return pick(draw, "digit", "123456789") * _DIGITS


def _deep_objects(answer: ValidAnswer) -> str:
    return '{"citations": ' * _DEPTH + listed(answer.aliases) + "}" * _DEPTH


ANSWERS: Final = (
    *(
        ContentOperator(name, f"{what} for an answer", ends, _valued(value))
        for name, what, value, ends in (
            ("answer-null", "`null`", "null", _MISMATCH),
            ("answer-true", "`true`", "true", _MISMATCH),
            ("answer-number", "a number", "42", _MISMATCH),
            ("answer-negative", "a negative number", "-1.5", _MISMATCH),
            ("answer-infinite", "`1e999`", "1e999", _MISMATCH),
            ("answer-nan", "`NaN`", "NaN", R.OUTPUT_MALFORMED_JSON),
            ("answer-infinity", "`Infinity`", "Infinity", R.OUTPUT_MALFORMED_JSON),
            ("answer-minus-infinity", "`-Infinity`", "-Infinity", R.OUTPUT_MALFORMED_JSON),
            ("answer-empty", "an empty string", '""', R.OUTPUT_ANSWER_MISSING),
            ("answer-blank", "blanks", '" \\n\\t\\u00a0\\u200b"', R.OUTPUT_ANSWER_MISSING),
        )
    ),
    ContentOperator(
        "answer-list",
        "the answer in a list",
        _MISMATCH,
        lambda a, _: answering(a, f"[{quoted(a.answer)}]"),
    ),
    ContentOperator(
        "answer-object",
        "the answer in an object",
        _MISMATCH,
        lambda a, _: answering(a, f'{{"text": {quoted(a.answer)}}}'),
    ),
    ContentOperator(
        "answer-digits",
        "a number of 5,000 digits for an answer",
        _MISMATCH,
        lambda a, draw: answering(a, _digits(draw)),
        _LONG,
    ),
    ContentOperator(
        "id-digits",
        "a number of 5,000 digits for a citation's id",
        _MALFORMED,
        lambda a, draw: citing(a, f'[{{"chunk_id": {_digits(draw)}}}]'),
        _LONG,
    ),
    ContentOperator(
        "answer-first",
        "the answer before the citations, which is the same object",
        OK,
        lambda a, _: _answer_first(a.answer, a.aliases),
    ),
    ContentOperator(
        "answer-first-uncited",
        "the answer before citations of an unknown id, so that none of it may be shown",
        R.CITATIONS_INVALID,
        lambda a, _: _answer_first(a.answer, (f"c{a.alias_count + 1}",)),
    ),
    ContentOperator(
        "answer-first-over-hold",
        "the answer before the citations, and longer than it may be held back",
        R.OUTPUT_HOLD_EXCEEDED,
        lambda a, _: _answer_first(_repeated(a, HOLD_MAX_CHARS), a.aliases),
        _LONG,
    ),
    ContentOperator(
        "answer-too-long",
        "an answer longer than any may be",
        R.OUTPUT_TOO_LONG,
        lambda a, _: saying(a, _repeated(a, ANSWER_MAX_CHARS)),
        _LONG,
    ),
    ContentOperator(
        "json-in-answer",
        "an answer that holds JSON, which is text there",
        OK,
        lambda a, _: saying(a, f'{a.answer} {{"answer": ["x", {{}}]}}'),
    ),
)

NESTING: Final = (
    ContentOperator(
        "nesting-deep",
        "20,000 lists in one another for an answer",
        _MISMATCH,
        lambda a, _: answering(a, "[" * _DEPTH + "]" * _DEPTH),
        _LONG,
    ),
    ContentOperator(
        "nesting-deep-objects",
        "20,000 objects in one another for the citations",
        _MALFORMED,
        lambda a, _: written(_deep_objects(a), quoted(a.answer)),
        _LONG,
    ),
    ContentOperator(
        "nesting-deep-citations",
        "20,000 lists around the citations",
        _MALFORMED,
        lambda a, _: citing(a, "[" * _DEPTH + listed(a.aliases) + "]" * _DEPTH),
        _LONG,
    ),
    ContentOperator(
        "nesting-deep-around",
        "20,000 lists around the object",
        _MISMATCH,
        lambda a, _: "[" * _DEPTH + valid_json(a) + "]" * _DEPTH,
        in_runs(8_192),
    ),
    ContentOperator(
        "nesting-deep-empty",
        "20,000 lists in one another and no object",
        R.OUTPUT_NOT_JSON,
        lambda *_: "[" * _DEPTH + "]" * _DEPTH,
        in_runs(8_192),
    ),
)

VALUES: Final = (*ANSWERS, *NESTING)
