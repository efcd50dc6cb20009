"""Operators on how much of the object there is: blanks without end, and ends that come too soon.

Between the parts of an object some blanks are tolerated and no more, since a model that only
indents would never stop. Around it any number is.
"""

import json
from typing import Final

from contracts.limits import STRUCTURAL_BLANKS_MAX
from contracts.reasons import ReasonCode as R
from fakes.openai_compat_server.content_operator import (
    OK,
    ContentOperator,
    ValidAnswer,
    answering,
    between,
    cleft,
    listed,
    pick,
    saying,
    valid_json,
)
from fakes.openai_compat_server.seeded import Draw

_CUT: Final = R.OUTPUT_INCOMPLETE_JSON


def _cut_in_answer(answer: ValidAnswer, draw: Draw, end: str = "") -> str:
    """The object up to a drawn word of the answer."""
    before, _ = cleft(answer.answer, draw)
    return saying(answer, before)[: -len('"}')] + end


def _cut_in_citations(answer: ValidAnswer, at_end: str) -> str:
    return f'{{"citations": {listed(answer.aliases)[:-1]}{at_end}'


def _blanks(draw: Draw, count: int) -> str:
    return pick(draw, "blank", (" ", "\n", "\t", "\n "))[0] * count


BLANKS: Final = (
    ContentOperator(
        "whitespace-run",
        "hundreds of blanks between the members, then the rest",
        R.OUTPUT_WHITESPACE_LOOP,
        lambda a, draw: between(a, f',{_blanks(draw, 500)}"answer"'),
    ),
    ContentOperator(
        "whitespace-run-unended",
        "blanks for an answer, and no end",
        R.OUTPUT_WHITESPACE_LOOP,
        lambda a, draw: answering(a, _blanks(draw, 2_000))[:-1],
    ),
    ContentOperator(
        "whitespace-run-first",
        "hundreds of blanks behind the first brace",
        R.OUTPUT_WHITESPACE_LOOP,
        lambda a, draw: f"{{{_blanks(draw, 500)}{valid_json(a)[1:]}",
    ),
    ContentOperator(
        "whitespace-over-limit",
        "one blank more between the members than is tolerated",
        R.OUTPUT_WHITESPACE_LOOP,
        lambda a, draw: between(a, f',{_blanks(draw, STRUCTURAL_BLANKS_MAX + 1)}"answer"'),
    ),
    ContentOperator(
        "whitespace-at-limit",
        "as many blanks between the members as are tolerated",
        OK,
        lambda a, draw: between(a, f',{_blanks(draw, STRUCTURAL_BLANKS_MAX)}"answer"'),
    ),
    ContentOperator(
        "whitespace-around",
        "hundreds of blanks before and behind the object",
        OK,
        lambda a, draw: f"{_blanks(draw, 500)}{valid_json(a)}{_blanks(draw, 500)}",
    ),
    ContentOperator(
        "pretty-printed",
        "the object indented over many lines",
        OK,
        lambda a, _: json.dumps(json.loads(valid_json(a)), ensure_ascii=False, indent=2),
    ),
    ContentOperator(
        "minified",
        "the object without a blank",
        OK,
        lambda a, _: json.dumps(
            json.loads(valid_json(a)), ensure_ascii=False, separators=(",", ":")
        ),
    ),
)

CUTS: Final = (
    ContentOperator("cut-in-answer", "ends within the answer's text", _CUT, _cut_in_answer),
    ContentOperator(
        "cut-in-key",
        "ends within the second key",
        _CUT,
        lambda a, draw: _cut_in_citations(a, pick(draw, "cut", ("]", '], "', '], "ans'))),
    ),
    ContentOperator(
        "cut-in-list",
        "ends within the list of citations",
        _CUT,
        lambda a, draw: _cut_in_citations(a, pick(draw, "cut", ("", ",", ", {"))),
    ),
    ContentOperator(
        "cut-in-alias",
        "ends within a citation's id",
        _CUT,
        lambda a, _: _cut_in_citations(a, ', {"chunk_id": "c'),
    ),
    ContentOperator(
        "cut-in-escape",
        "ends within an escape",
        _CUT,
        lambda a, draw: _cut_in_answer(a, draw, pick(draw, "cut", ("\\", "\\u", "\\u00"))),
    ),
    ContentOperator(
        "cut-before-answer",
        "ends behind the second key's colon",
        _CUT,
        lambda a, _: answering(a, "")[:-1],
    ),
    ContentOperator(
        "cut-before-last-brace", "all but the last brace", _CUT, lambda a, _: valid_json(a)[:-1]
    ),
    ContentOperator(
        "cut-in-fence",
        "a code fence closed in place of the object's last brace",
        R.OUTPUT_MALFORMED_JSON,
        lambda a, _: f"```json\n{valid_json(a)[:-1]}\n```",
    ),
    ContentOperator(
        "cut-behind-first-brace",
        "a brace that nothing follows, so no object",
        R.OUTPUT_NOT_JSON,
        lambda *_: "{",
    ),
)

CUTS_AND_BLANKS: Final = (*CUTS, *BLANKS)
