"""Operators on the grammar of the object: punctuation, quotes, comments and foreign words.

A brace opens the object only when `"` or `}` follows it. So whoever damages the first key of an
object leaves no object, and whoever damages only that of the outer one leaves a list with one.
"""

from typing import Final

from contracts.reasons import ReasonCode as R
from fakes.openai_compat_server.content_operator import (
    ContentOperator,
    ValidAnswer,
    answering,
    between,
    citing,
    cleft,
    inside,
    listed,
    pick,
    quoted,
    saying,
    unbraced,
    valid_json,
)
from fakes.openai_compat_server.seeded import Draw

_MALFORMED: Final = R.OUTPUT_MALFORMED_JSON
_CUT: Final = R.OUTPUT_INCOMPLETE_JSON


def _items(answer: ValidAnswer, text: str) -> str:
    """Another text at the end of the list of citations, in front of its bracket."""
    return citing(answer, f"{listed(answer.aliases)[:-1]}{text}]")


def _in_item(answer: ValidAnswer, text: str) -> str:
    """Another text at the end of the first citation, in front of its brace."""
    return citing(answer, listed(answer.aliases).replace("}", f"{text}}}", 1))


def _requoted(answer: ValidAnswer, opening: str, closing: str) -> str:
    """The object with other quotes around all its strings."""
    cited = ", ".join(
        f"{{{opening}chunk_id{closing}: {opening}{alias}{closing}}}" for alias in answer.aliases
    )
    said = f"{opening}{unbraced(answer.answer)}{closing}"
    keys = f"{opening}citations{closing}", f"{opening}answer{closing}"
    return f"{{{keys[0]}: [{cited}], {keys[1]}: {said}}}"


def _concatenated(answer: ValidAnswer, draw: Draw) -> str:
    before, after = cleft(answer.answer, draw)
    return answering(answer, f"{quoted(before)} + {quoted(after)}")


PUNCTUATION: Final = (
    ContentOperator(
        "trailing-comma",
        "a comma behind the last member",
        _MALFORMED,
        lambda a, _: answering(a, f"{quoted(a.answer)},"),
    ),
    ContentOperator(
        "trailing-comma-in-list",
        "a comma behind the last citation",
        _MALFORMED,
        lambda a, _: _items(a, ","),
    ),
    ContentOperator(
        "trailing-comma-in-citation",
        "a comma behind a citation's only member",
        _MALFORMED,
        lambda a, _: _in_item(a, ","),
    ),
    ContentOperator(
        "leading-comma",
        "a comma before the first member, so that only the citations open an object",
        R.OUTPUT_SCHEMA_MISMATCH,
        lambda a, _: f"{{, {valid_json(a)[1:]}",
    ),
    ContentOperator(
        "leading-comma-in-list",
        "a comma before the first citation",
        _MALFORMED,
        lambda a, _: citing(a, f"[, {listed(a.aliases)[1:]}"),
    ),
    ContentOperator(
        "missing-comma",
        "no comma between citations and answer",
        _MALFORMED,
        lambda a, _: between(a, ' "answer"'),
    ),
    ContentOperator(
        "missing-comma-in-list",
        "no comma between two citations",
        _MALFORMED,
        lambda a, _: _items(a, f' {{"chunk_id": "{a.aliases[0]}"}}'),
    ),
    ContentOperator(
        "two-commas",
        "two commas between citations and answer",
        _MALFORMED,
        lambda a, _: between(a, ', , "answer"'),
    ),
    ContentOperator(
        "missing-colon",
        "no colon behind a key",
        _MALFORMED,
        lambda a, draw: valid_json(a).replace(
            *pick(draw, "key", (('"citations":', '"citations"'), ('"answer":', '"answer"'))), 1
        ),
    ),
    ContentOperator(
        "equals-sign",
        "an equals sign for a colon",
        _MALFORMED,
        lambda a, _: valid_json(a).replace('"citations":', '"citations" ='),
    ),
    ContentOperator(
        "full-width-colon",
        "a full-width colon",
        _MALFORMED,
        lambda a, _: valid_json(a).replace('"citations":', '"citations"：'),
    ),
    ContentOperator(
        "full-width-comma",
        "a full-width comma between the members",
        _MALFORMED,
        lambda a, _: between(a, '，"answer"'),
    ),
    ContentOperator(
        "full-width-punctuation",
        "full-width braces, brackets, quotes, colons and commas",
        R.OUTPUT_NOT_JSON,
        lambda a, _: _requoted(a, "＂", "＂").translate(str.maketrans("{}[]:,", "｛｝［］：，")),
    ),
    ContentOperator(
        "wrong-closing-bracket",
        "the object closed by a square bracket",
        _MALFORMED,
        lambda a, _: f"{valid_json(a)[:-1]}]",
    ),
)

QUOTES: Final = (
    ContentOperator(
        "single-quotes",
        "single quotes throughout, as Python prints a dict",
        R.OUTPUT_NOT_JSON,
        lambda a, _: _requoted(a, "'", "'"),
    ),
    ContentOperator(
        "single-quoted-answer",
        "single quotes around the answer",
        _MALFORMED,
        lambda a, _: answering(a, f"'{unbraced(a.answer)}'"),
    ),
    ContentOperator(
        "smart-quotes",
        "typographic quotes throughout",
        R.OUTPUT_NOT_JSON,
        lambda a, _: _requoted(a, "“", "”"),
    ),
    ContentOperator(
        "smart-quoted-answer",
        "typographic quotes around the answer",
        _MALFORMED,
        lambda a, _: answering(a, f"“{unbraced(a.answer)}”"),
    ),
    ContentOperator(
        "backtick-quotes",
        "backticks around the answer",
        _MALFORMED,
        lambda a, _: answering(a, f"`{unbraced(a.answer)}`"),
    ),
    ContentOperator(
        "triple-quotes",
        "three quotes around the answer, the second of which ends an empty one",
        R.OUTPUT_ANSWER_MISSING,
        lambda a, _: answering(a, f'""{quoted(a.answer)}""'),
    ),
    ContentOperator(
        "missing-quotes",
        "keys without quotes, so that no brace opens an object",
        R.OUTPUT_NOT_JSON,
        lambda a, _: (
            saying(a, unbraced(a.answer))
            .replace('"citations"', "citations", 1)
            .replace('{"chunk_id"', "{chunk_id")
            .replace('"answer"', "answer", 1)
        ),
    ),
    ContentOperator(
        "missing-quotes-on-key",
        "the second key without quotes",
        _MALFORMED,
        lambda a, _: between(a, ", answer"),
    ),
    ContentOperator(
        "missing-quotes-on-first-key",
        "the first key without quotes, so that only the citations open an object",
        R.OUTPUT_SCHEMA_MISMATCH,
        lambda a, _: valid_json(a).replace('"citations"', "citations", 1),
    ),
    ContentOperator(
        "missing-quotes-on-answer",
        "the answer's text without quotes",
        _MALFORMED,
        lambda a, _: answering(a, f"It is said: {unbraced(a.answer)}"),
    ),
    ContentOperator(
        "missing-closing-quote",
        "no quote behind the answer",
        _CUT,
        lambda a, _: answering(a, quoted(a.answer)[:-1]),
    ),
    ContentOperator(
        "unescaped-inner-quote",
        "a quoted word in the answer, its quotes not escaped",
        _MALFORMED,
        lambda a, draw: inside(a, ' "so-called"', draw),
    ),
)

FOREIGN: Final = (
    ContentOperator(
        "python-true", "`True` for an answer", _MALFORMED, lambda a, _: answering(a, "True")
    ),
    ContentOperator(
        "python-none", "`None` for an answer", _MALFORMED, lambda a, _: answering(a, "None")
    ),
    ContentOperator(
        "undefined", "`undefined` for an answer", _MALFORMED, lambda a, _: answering(a, "undefined")
    ),
    ContentOperator(
        "python-none-url",
        "`None` for a citation's url",
        _MALFORMED,
        lambda a, _: _in_item(a, ', "url": None'),
    ),
    ContentOperator(
        "comment-line",
        "a line comment between the members",
        _MALFORMED,
        lambda a, _: between(a, ', // cited above\n"answer"'),
    ),
    ContentOperator(
        "comment-block",
        "a block comment between the members",
        _MALFORMED,
        lambda a, _: between(a, ', /* cited above */ "answer"'),
    ),
    ContentOperator(
        "comment-hash",
        "a hash comment between the members",
        _MALFORMED,
        lambda a, _: between(a, ', # cited above\n"answer"'),
    ),
    ContentOperator(
        "comment-first",
        "a comment before the first key, so that only the citations open an object",
        R.OUTPUT_SCHEMA_MISMATCH,
        lambda a, _: f"{{\n// the sources\n{valid_json(a)[1:]}",
    ),
    ContentOperator(
        "ellipsis-in-list",
        "an ellipsis for further citations",
        _MALFORMED,
        lambda a, _: _items(a, ", ..."),
    ),
    ContentOperator(
        "ellipsis-for-answer",
        "an ellipsis for the answer",
        _MALFORMED,
        lambda a, _: answering(a, "..."),
    ),
    ContentOperator(
        "concatenation", "the answer as a sum of two strings", _MALFORMED, _concatenated
    ),
)

GRAMMAR: Final = (*PUNCTUATION, *QUOTES, *FOREIGN)
