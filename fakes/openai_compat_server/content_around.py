"""Operators on what stands around the object, or in its place.

Prose, one code fence and `<think>` blocks are tolerated around it and dropped; a second object
never is, and a reply without one is no answer, whatever else it says.
"""

from typing import Final

from contracts.reasons import ReasonCode as R
from fakes.openai_compat_server.content_operator import (
    OK,
    ContentOperator,
    ValidAnswer,
    listed,
    pick,
    quoted,
    saying,
    stand_in,
    unbraced,
    valid_json,
)
from fakes.openai_compat_server.seeded import Draw

_LANGUAGES: Final = ("python", "javascript", "jsonc", "yaml", "text", "JSON")
_OPENINGS: Final = ("Here is the answer:", "Sure! The JSON you asked for:", "Based on [1] and [2]:")
_CLOSINGS: Final = ("I hope this helps!", "Let me know if you need more.", "(Sources as given.)")
_REFUSALS: Final = (
    "I'm sorry, but I can't help with that.",
    "As an AI language model, I cannot answer this question.",
    "I cannot fulfill this request.",
)


def _fenced(answer: ValidAnswer, language: str) -> str:
    return f"```{language}\n{valid_json(answer)}\n```"


def _another(answer: ValidAnswer, draw: Draw) -> str:
    """A second object, as valid as the first."""
    return valid_json(stand_in(answer.alias_count, draw))


def _draft(draw: Draw) -> str:
    text = pick(draw, "draft", ("a first draft", "no, that is another source", "to be checked"))
    return f'Perhaps {{"citations": [{{"chunk_id": "c99"}}], "answer": "{text}"}}? Let me see.'


def _opening(draw: Draw) -> str:
    return pick(draw, "opening", _OPENINGS)


def _closing(draw: Draw) -> str:
    return pick(draw, "closing", _CLOSINGS)


def _line_each(answer: ValidAnswer) -> str:
    """One object for each part, a line each."""
    return "\n".join(
        (f'{{"citations": {listed(answer.aliases)}}}', f'{{"answer": {quoted(answer.answer)}}}')
    )


def _json_in_string(answer: ValidAnswer) -> str:
    return quoted(saying(answer, unbraced(answer.answer)))


def _yaml(answer: ValidAnswer) -> str:
    lines = (f"  - chunk_id: {alias}" for alias in answer.aliases)
    return "\n".join(("citations:", *lines, f"answer: {unbraced(answer.answer)}"))


def _xml(answer: ValidAnswer) -> str:
    cited = "".join(f'<citation id="{alias}"/>' for alias in answer.aliases)
    return f"<reply>{cited}<answer>{unbraced(answer.answer)}</answer></reply>"


def _entities(answer: ValidAnswer) -> str:
    """The whole reply as a web page would hold it."""
    return saying(answer, unbraced(answer.answer)).replace('"', "&quot;")


AROUND: Final = (
    ContentOperator("fence", "in a json code fence", OK, lambda a, _: _fenced(a, "json")),
    ContentOperator(
        "fence-unnamed", "in a code fence of no language", OK, lambda a, _: _fenced(a, "")
    ),
    ContentOperator(
        "fence-other-language",
        "in a code fence of another language",
        OK,
        lambda a, draw: _fenced(a, pick(draw, "language", _LANGUAGES)),
    ),
    ContentOperator(
        "fence-tildes", "in a fence of tildes", OK, lambda a, _: f"~~~\n{valid_json(a)}\n~~~"
    ),
    ContentOperator(
        "unclosed-fence",
        "in a code fence that is never closed",
        OK,
        lambda a, _: f"```json\n{valid_json(a)}\n",
    ),
    ContentOperator(
        "two-fences",
        "an object in each of two code fences",
        R.OUTPUT_AMBIGUOUS,
        lambda a, draw: f"{_fenced(a, 'json')}\n\n```json\n{_another(a, draw)}\n```",
    ),
    ContentOperator(
        "prose-before",
        "a sentence before the object",
        OK,
        lambda a, draw: f"{_opening(draw)}\n\n{valid_json(a)}",
    ),
    ContentOperator(
        "prose-after",
        "a sentence behind the object",
        OK,
        lambda a, draw: f"{valid_json(a)}\n\n{_closing(draw)}",
    ),
    ContentOperator(
        "prose-and-fence",
        "a sentence, the object in a fence, another sentence",
        OK,
        lambda a, draw: f"{_opening(draw)}\n\n{_fenced(a, 'json')}\n\n{_closing(draw)}",
    ),
    ContentOperator(
        "prose-with-braces",
        "prose with braces of its own, before and after",
        OK,
        lambda a, _: f"For {{you}} and {{ me }}, {{in short:\n{valid_json(a)}\n{{as asked}} {{",
    ),
    ContentOperator(
        "prose-with-empty-braces",
        "prose with `{}` in it, which is an object",
        R.OUTPUT_AMBIGUOUS,
        lambda a, _: f"Not an empty {{}}, but this:\n{valid_json(a)}",
    ),
    ContentOperator(
        "prose-with-object",
        "prose that shows a citation's form before the object",
        R.OUTPUT_SCHEMA_MISMATCH,
        lambda a, _: f'Citing as {{"chunk_id": "{a.aliases[0]}"}}:\n{valid_json(a)}',
    ),
    ContentOperator(
        "assignment",
        "as the value of a variable",
        OK,
        lambda a, _: f"const reply = {valid_json(a)};\n",
    ),
    ContentOperator(
        "template-token",
        "a chat template's tokens around the object",
        OK,
        lambda a, _: f"<|im_start|>assistant\n{valid_json(a)}<|im_end|>",
    ),
    ContentOperator(
        "think-draft",
        "a think block with a draft object, then the object",
        OK,
        lambda a, draw: f"<think>\n{_draft(draw)}\n</think>\n\n{valid_json(a)}",
    ),
    ContentOperator(
        "think-twice",
        "two think blocks, each with a draft object",
        OK,
        lambda a, draw: f"<think>{_draft(draw)}</think>" * 2 + valid_json(a),
    ),
    ContentOperator(
        "think-after",
        "a think block with a draft object behind the object",
        OK,
        lambda a, draw: f"{valid_json(a)}\n<think>{_draft(draw)}</think>",
    ),
    ContentOperator(
        "think-unclosed",
        "a think block that is never closed, with the object in it",
        R.OUTPUT_NOT_JSON,
        lambda a, draw: f"<think>\n{_draft(draw)}\n{valid_json(a).replace('</think>', '')}",
    ),
    ContentOperator(
        "two-objects",
        "two valid objects",
        R.OUTPUT_AMBIGUOUS,
        lambda a, draw: f"{valid_json(a)} {_another(a, draw)}",
    ),
    ContentOperator(
        "object-twice",
        "the same object twice",
        R.OUTPUT_AMBIGUOUS,
        lambda a, _: valid_json(a) * 2,
    ),
    ContentOperator(
        "ndjson",
        "valid objects, a line each",
        R.OUTPUT_AMBIGUOUS,
        lambda a, draw: f"{valid_json(a)}\n{_another(a, draw)}\n",
    ),
    ContentOperator(
        "ndjson-parts",
        "citations and answer as an object and a line each",
        R.OUTPUT_AMBIGUOUS,
        lambda a, _: _line_each(a),
    ),
    ContentOperator(
        "json-in-string",
        "the object as text in a JSON string",
        R.OUTPUT_NOT_JSON,
        lambda a, _: _json_in_string(a),
    ),
    ContentOperator("root-null", "`null` and nothing else", R.OUTPUT_NOT_JSON, lambda *_: "null"),
    ContentOperator(
        "root-number",
        "a number and nothing else",
        R.OUTPUT_NOT_JSON,
        lambda _, draw: pick(draw, "number", ("0", "17", "-1", "3.14", "1e999")),
    ),
    ContentOperator("root-true", "`true` and nothing else", R.OUTPUT_NOT_JSON, lambda *_: "true"),
    ContentOperator("root-string", '`""` and nothing else', R.OUTPUT_NOT_JSON, lambda *_: '""'),
    ContentOperator("root-empty-list", "`[]`, nothing else", R.OUTPUT_NOT_JSON, lambda *_: "[]"),
    ContentOperator(
        "root-list",
        "the object in a list",
        R.OUTPUT_SCHEMA_MISMATCH,
        lambda a, _: f"[{valid_json(a)}]",
    ),
    ContentOperator(
        "root-list-indented",
        "the object in a list, indented",
        R.OUTPUT_SCHEMA_MISMATCH,
        lambda a, _: f"[\n  {valid_json(a)}\n]",
    ),
    ContentOperator("root-empty-object", "`{}`", R.CITATIONS_MISSING, lambda *_: "{}"),
    ContentOperator("empty", "no text at all", R.OUTPUT_EMPTY, lambda *_: ""),
    ContentOperator(
        "blank",
        "blanks only",
        R.OUTPUT_EMPTY,
        lambda _, draw: pick(draw, "blank", (" ", "\n", "\n\n", " \t\r\n")),
    ),
    ContentOperator(
        "refusal-text",
        "a refusal in prose",
        R.OUTPUT_NOT_JSON,
        lambda _, draw: pick(draw, "refusal", _REFUSALS),
    ),
    ContentOperator(
        "plain-text",
        "the answer's text without any JSON",
        R.OUTPUT_NOT_JSON,
        lambda a, _: unbraced(a.answer),
    ),
    ContentOperator("yaml", "the answer as YAML", R.OUTPUT_NOT_JSON, lambda a, _: _yaml(a)),
    ContentOperator("xml", "the answer as XML", R.OUTPUT_NOT_JSON, lambda a, _: _xml(a)),
    ContentOperator(
        "html-entities",
        "the object with its quotes as HTML entities",
        R.OUTPUT_NOT_JSON,
        lambda a, _: _entities(a),
    ),
)
