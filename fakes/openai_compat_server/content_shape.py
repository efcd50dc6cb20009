"""Operators on what the object says as JSON: its keys, and the shape of its citations.

A wrong shape at or below `citations` and one elsewhere end in different codes. Of two faults the
one whose bytes come first is told, and so the order of two keys can change the code.
"""

from typing import Final

from contracts.reasons import ReasonCode as R
from fakes.openai_compat_server.content_operator import (
    OK,
    Apply,
    ContentOperator,
    ValidAnswer,
    answering,
    citing,
    listed,
    pick,
    quoted,
    valid_json,
)
from fakes.openai_compat_server.seeded import Draw

_MISMATCH: Final = R.OUTPUT_SCHEMA_MISMATCH
_MALFORMED: Final = R.CITATIONS_MALFORMED


def _rekeyed(key: str, other: str) -> Apply:
    """Writes another name for one key."""
    return lambda a, _: valid_json(a).replace(f'"{key}"', f'"{other}"', 1)


def _citing_value(value: str) -> Apply:
    return lambda a, _: citing(a, value)


def _naming(value: str) -> Apply:
    """Writes another value for the first citation's id."""
    return lambda a, _: _with_first(a, f'{{"chunk_id": {value}}}')


def _in_citation(answer: ValidAnswer, members: str) -> str:
    """The first citation with more members, in front of its id."""
    return citing(answer, listed(answer.aliases).replace("{", f"{{{members}, ", 1))


def _with_first(answer: ValidAnswer, item: str) -> str:
    """Another first citation, and the others as they are."""
    first, others = listed(answer.aliases[:1])[1:-1], listed(answer.aliases)
    return citing(answer, others.replace(first, item, 1))


def _twice_answered(answer: ValidAnswer, draw: Draw, *, good_first: bool) -> str:
    other = quoted(pick(draw, "other", ("It is otherwise.", "Nobody knows.", "See above.")))
    first, last = (quoted(answer.answer), other) if good_first else (other, quoted(answer.answer))
    return answering(answer, f'{first}, "answer": {last}')


def _twice_named(answer: ValidAnswer, first: str, last: str) -> str:
    return _with_first(answer, f'{{"chunk_id": "{first}", "chunk_id": "{last}"}}')


def _echoed_schema(_: ValidAnswer, draw: Draw) -> str:
    title = pick(draw, "title", ("CitedAnswer", "Answer", "Response"))
    return f'{{"type": "object", "title": "{title}", "required": ["citations", "answer"]}}'


KEYS: Final = (
    *(
        ContentOperator(
            name,
            f"`{other}` for the key `{key}`",
            ends,
            _rekeyed(key, other),
        )
        for name, key, other, ends in (
            ("renamed-citations", "citations", "sources", _MISMATCH),
            ("renamed-answer", "answer", "response", _MISMATCH),
            ("renamed-chunk-id", "chunk_id", "id", _MALFORMED),
            ("recased-citations", "citations", "Citations", _MISMATCH),
            ("recased-answer", "answer", "ANSWER", _MISMATCH),
            ("recased-chunk-id", "chunk_id", "chunkId", _MALFORMED),
            ("padded-key", "answer", "answer ", _MISMATCH),
            ("empty-key", "answer", "", _MISMATCH),
        )
    ),
    ContentOperator(
        "missing-citations",
        "an answer and no citations",
        R.CITATIONS_MISSING,
        lambda a, _: f'{{"answer": {quoted(a.answer)}}}',
    ),
    ContentOperator(
        "missing-answer",
        "citations and no answer",
        R.OUTPUT_ANSWER_MISSING,
        lambda a, _: f'{{"citations": {listed(a.aliases)}}}',
    ),
    ContentOperator(
        "missing-chunk-id", "a citation of nothing", _MALFORMED, lambda a, _: _with_first(a, "{}")
    ),
    ContentOperator(
        "extra-key",
        "a key more in the object",
        _MISMATCH,
        lambda a, _: answering(a, f'{quoted(a.answer)}, "confidence": 0.9'),
    ),
    ContentOperator(
        "extra-key-in-citation",
        "a key more in a citation",
        _MALFORMED,
        lambda a, _: _in_citation(a, '"score": 0.9'),
    ),
    ContentOperator(
        "labels-in-citation",
        "a citation with a title and a url of the model's own, which are ignored",
        OK,
        lambda a, _: _in_citation(a, '"title": "Invented", "url": "https://invented.example/"'),
    ),
    ContentOperator(
        "nested-in-key",
        "the object as the value of another's key",
        _MISMATCH,
        lambda a, _: f'{{"result": {valid_json(a)}}}',
    ),
    ContentOperator(
        "tool-call-in-text",
        "the object as the arguments of a call",
        _MISMATCH,
        lambda a, _: f'{{"name": "answer", "arguments": {valid_json(a)}}}',
    ),
    ContentOperator("schema-echoed", "the schema for an answer to it", _MISMATCH, _echoed_schema),
    ContentOperator(
        "duplicate-answer-good-first",
        "the key `answer` twice, the right one first",
        R.OUTPUT_DUPLICATE_KEY,
        lambda a, draw: _twice_answered(a, draw, good_first=True),
    ),
    ContentOperator(
        "duplicate-answer-good-last",
        "the key `answer` twice, the right one last",
        R.OUTPUT_DUPLICATE_KEY,
        lambda a, draw: _twice_answered(a, draw, good_first=False),
    ),
    ContentOperator(
        "duplicate-citations",
        "the key `citations` twice",
        R.OUTPUT_DUPLICATE_KEY,
        lambda a, _: citing(a, f'{listed(a.aliases)}, "citations": {listed(a.aliases)}'),
    ),
    ContentOperator(
        "duplicate-chunk-id-good-first",
        "a citation with two ids, the right one first",
        R.OUTPUT_DUPLICATE_KEY,
        lambda a, _: _twice_named(a, a.aliases[0], f"c{a.alias_count + 1}"),
    ),
    ContentOperator(
        "duplicate-chunk-id-good-last",
        "a citation with two ids, an unknown one first",
        R.CITATIONS_INVALID,
        lambda a, _: _twice_named(a, f"c{a.alias_count + 1}", a.aliases[0]),
    ),
)

CITATIONS: Final = (
    *(
        ContentOperator(
            name,
            f"{what} for the citations",
            _MALFORMED,
            _citing_value(value),
        )
        for name, what, value in (
            ("citations-null", "`null`", "null"),
            ("citations-number", "a number", "1"),
            ("citations-true", "`true`", "true"),
            ("citations-strings", "a list of aliases, not of objects,", '["c1"]'),
            ("citations-numbers", "a list of numbers", "[1]"),
        )
    ),
    ContentOperator(
        "citations-string",
        "one alias for the citations",
        _MALFORMED,
        lambda a, _: citing(a, quoted(a.aliases[0])),
    ),
    ContentOperator(
        "citations-in-string",
        "the list of citations as text in a string",
        _MALFORMED,
        lambda a, _: citing(a, quoted(listed(a.aliases))),
    ),
    ContentOperator(
        "citations-object",
        "one citation that is in no list",
        _MALFORMED,
        lambda a, _: citing(a, listed(a.aliases[:1])[1:-1]),
    ),
    ContentOperator(
        "citations-nested",
        "the list of citations in a list",
        _MALFORMED,
        lambda a, _: citing(a, f"[{listed(a.aliases)}]"),
    ),
    ContentOperator(
        "citation-not-object",
        "an alias among the citations that is no object",
        _MALFORMED,
        lambda a, _: citing(a, f'{listed(a.aliases)[:-1]}, "{a.aliases[0]}"]'),
    ),
    *(
        ContentOperator(
            name,
            f"{what} for a citation's id",
            _MALFORMED,
            _naming(value),
        )
        for name, what, value in (
            ("id-null", "`null`", "null"),
            ("id-number", "a number", "1"),
            ("id-infinite", "`1e999`", "1e999"),
            ("id-list", "a list", '["c1"]'),
            ("id-object", "an object", '{"id": "c1"}'),
        )
    ),
    ContentOperator(
        "title-number",
        "a number for a citation's title",
        _MALFORMED,
        lambda a, _: _in_citation(a, '"title": 1'),
    ),
    ContentOperator(
        "url-object",
        "an object for a citation's url",
        _MALFORMED,
        lambda a, _: _in_citation(a, '"url": {"href": null}'),
    ),
)

SHAPE: Final = (*KEYS, *CITATIONS)
