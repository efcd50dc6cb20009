"""Goal: every operator does what its row says to any valid answer, and the same again.

Method: answers and draws in, text out. What a gateway makes of the text is tried where one may be
imported: in the harness.
"""

import json
import re
from collections import Counter

import pytest

from contracts.reasons import ReasonCode as R
from fakes.openai_compat_server.content import CONTENT, OK, ValidAnswer, stand_in, valid_json
from fakes.openai_compat_server.content_operator import ALIASES_MAX, ANSWER_CHARS_MAX
from fakes.openai_compat_server.seeded import draw_for
from fakes.openai_compat_server.tests.content_answers import (
    ANSWERS,
    FULL,
    ROOMY,
    found,
    is_kept,
    some_draw,
)

NAMES = sorted(CONTENT)
SEEDS = range(4)

# What a choice that ends in `stop` can be refused for by its text alone.
OF_CONTENT = {
    R.OUTPUT_EMPTY,
    R.OUTPUT_NOT_JSON,
    R.OUTPUT_MALFORMED_JSON,
    R.OUTPUT_INCOMPLETE_JSON,
    R.OUTPUT_AMBIGUOUS,
    R.OUTPUT_DUPLICATE_KEY,
    R.OUTPUT_SCHEMA_MISMATCH,
    R.OUTPUT_ANSWER_MISSING,
    R.OUTPUT_TOO_LONG,
    R.OUTPUT_WHITESPACE_LOOP,
    R.OUTPUT_INVALID_UNICODE,
    R.OUTPUT_HOLD_EXCEEDED,
    R.OUTPUT_BLOCKED_CONTENT,
    R.CITATIONS_MISSING,
    R.CITATIONS_MALFORMED,
    R.CITATIONS_INVALID,
    R.CITATIONS_TOO_MANY,
    R.CITATIONS_UNKNOWN_MARKER,
    R.MODEL_ABSTAINED,
}


def test_every_code_of_content_is_an_end_of_some_operator() -> None:
    assert {operator.ends for operator in CONTENT.values()} == {*OF_CONTENT, OK}


def test_rows_can_be_told_apart_and_typed() -> None:
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in CONTENT)
    assert all(name == operator.name for name, operator in CONTENT.items())
    abouts = Counter(operator.about for operator in CONTENT.values())
    assert not [about for about, times in abouts.items() if times > 1]
    assert not [about for about in abouts if not about or about.endswith(".") or len(about) > 100]


@pytest.mark.parametrize("name", NAMES)
def test_text_is_changed_sendable_and_the_same_again(name: str) -> None:
    operator = CONTENT[name]
    for answer in ROOMY:
        for seed in SEEDS:
            text = operator.apply(answer, some_draw(seed))
            assert text == operator.apply(answer, some_draw(seed))
            assert text != valid_json(answer)
            text.encode()
    assert all(isinstance(operator.apply(answer, some_draw(0)), str) for answer in FULL)


@pytest.mark.parametrize("name", [name for name in NAMES if CONTENT[name].ends == OK])
def test_answer_can_be_recovered_when_the_end_is_ok(name: str) -> None:
    for answer in ANSWERS:
        for seed in SEEDS:
            assert is_kept(answer, *found(CONTENT[name].apply(answer, some_draw(seed))))


@pytest.mark.parametrize("name", [name for name in NAMES if CONTENT[name].pieces])
def test_pieces_are_the_text_when_an_operator_cuts_it(name: str) -> None:
    operator = CONTENT[name]
    assert operator.pieces is not None
    for answer in ANSWERS:
        text = operator.apply(answer, some_draw(1))
        pieces = operator.pieces(text)
        assert "".join(pieces) == text
        assert all(pieces)
        assert 2 <= len(pieces) < 400


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("marker-split", ("[", "c", "2", "]")),
        ("html-split", ("<", "s", "c", "r", "i", "p", "t", ">")),
        ("surrogate-pair", ("\\u", "d83d", "\\u", "de00")),
    ],
)
def test_cut_is_made_where_it_matters(name: str, cut: tuple[str, ...]) -> None:
    operator = CONTENT[name]
    assert operator.pieces is not None
    pieces = operator.pieces(operator.apply(ROOMY[0], some_draw(0)))
    assert any(pieces[at : at + len(cut)] == cut for at in range(len(pieces)))


def test_text_differs_by_seed_when_something_is_drawn() -> None:
    texts = {CONTENT["link"].apply(ROOMY[0], some_draw(seed)) for seed in range(32)}
    assert len(texts) > 8


def test_long_texts_come_in_few_pieces_when_they_are_paced() -> None:
    for operator in CONTENT.values():
        text = operator.apply(ROOMY[0], some_draw(0))
        assert len(text) < 4_000 or operator.pieces, operator.name


@pytest.mark.parametrize("answer", ANSWERS)
def test_valid_json_is_the_answer(answer: ValidAnswer) -> None:
    said = json.loads(valid_json(answer))
    cited = [{"chunk_id": alias} for alias in answer.aliases]
    assert list(said.items()) == [("citations", cited), ("answer", answer.answer)]


@pytest.mark.parametrize("alias_count", [1, 2, 20])
def test_stand_in_is_an_answer_of_the_prompt(alias_count: int) -> None:
    answers = [stand_in(alias_count, draw_for(seed)) for seed in range(64)]
    assert len({answer.aliases for answer in answers}) > alias_count // 2
    assert all(answer.answer.endswith(f"[{answer.aliases[0]}]") for answer in answers)


@pytest.mark.parametrize(
    ("aliases", "text", "alias_count"),
    [
        ((), "It is so.", 3),
        (("c0",), "It is so.", 3),
        (("c4",), "It is so.", 3),
        (("c1", "c1"), "It is so.", 3),
        (tuple(f"c{n}" for n in range(1, ALIASES_MAX + 2)), "It is so.", 20),
        (("c1",), " \n", 3),
        (("c1",), "x" * (ANSWER_CHARS_MAX + 1), 3),
    ],
)
def test_no_answer_is_taken_for_valid_when_it_is_not(
    aliases: tuple[str, ...], text: str, alias_count: int
) -> None:
    with pytest.raises(ValueError, match="a valid answer"):
        ValidAnswer(aliases, text, alias_count)
