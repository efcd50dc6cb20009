"""The answer scanner against tables of replies: each whole, and character by character."""

import json

import pytest

from contracts import limits
from contracts.reasons import ReasonCode as R
from llmgw.answer import AnswerScanner, PlainScanner
from llmgw.answer_object import AnswerEnd, AnswerText, Proved
from llmgw.faults import GenerationFault
from llmgw.tests.answer_replies import FIRST_FAULT, NO_ANSWER
from llmgw.tests.answer_verdict import (
    ALIASES,
    CITED,
    GOOD,
    HIGH,
    LOW,
    SAID,
    Verdict,
    answering,
    citing_ids,
    scanned,
    verdict,
)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f'{{"answer": "{SAID}", {CITED}}}',
        f"\n```json\n{GOOD}\n```\n",
        f"```\n{GOOD}",
        f"Here {{you}} are, {{ see: {GOOD} }} and {{ more }} {{",
        f'<think>Perhaps {{"answer": "no"}}?</think>{GOOD}',
        f'<think>a</think>\n<think><</think <</think>{GOOD}<think>{{"b"',
        f"<<think>[</think>{GOOD}",
        f"<thin {GOOD} <thin",
        f"<{GOOD} <",
        f"[1] {{{GOOD}",
        f"[{{{GOOD}",
        f"[\u00a0{GOOD}",
        f"[<think></think>{GOOD}",
        f"\ufeff{GOOD}\u2028",
        GOOD.replace(" [c1]", r" \u005bc1]").replace('"answer"', r'"\u0061nswer"'),
        GOOD.replace('": ', '"' + " \t\r\n" * 16 + ": "),
        GOOD.replace('"c1"', r'"\u00631"'),
        GOOD.replace('"c1"', '"c1", "title": "T, \\"{[", "url": null'),
        GOOD.replace('{"chunk_id"', '{"url": "https://example.org", "title" : null ,"chunk_id"'),
    ],
)
def test_answer_found_when_object_whole(text: str) -> None:
    assert scanned(text) == Verdict(None, ("c1",), SAID)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (r'"\"\\\/\b\f\n\r\t\u00e9"', '"\\/\b\f\n\r\té'),
        (f'"{HIGH}{LOW}{HIGH}{LOW}"', "😀😀"),
        (r'"\uD83D\uDE00 \u007F"', "😀 \x7f"),
        ('"😀\u2028\ufffe\x7f"', "😀\u2028\ufffe\x7f"),
        ('"  \\n\u200b x "', "  \n\u200b x "),
        ('"{\\"a\\": [<think>"', '{"a": [<think>'),
        (json.dumps("x" * limits.ANSWER_MAX_CHARS), "x" * limits.ANSWER_MAX_CHARS),
        (json.dumps("\n" * (limits.ANSWER_MAX_CHARS - 1) + "é"), "\n" * 8191 + "é"),
    ],
)
def test_answer_decoded_when_escaped(text: str, said: str) -> None:
    assert scanned(answering(text)) == Verdict(None, ("c1",), said)


@pytest.mark.parametrize(
    ("ids", "aliases"),
    [
        (("c2", "c1"), ("c2", "c1")),
        (("c3", "c3", "c1", "c3", "c1", "c3"), ("c3", "c1")),
    ],
)
def test_aliases_in_order_when_listed_twice(ids: tuple[str, ...], aliases: tuple[str, ...]) -> None:
    assert scanned(citing_ids(*ids)) == Verdict(None, aliases, "It is so.")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        pytest.param(code, text, id=f"{code}-{number}")
        for code, texts in NO_ANSWER.items()
        for number, text in enumerate(texts)
    ],
)
def test_code_given_when_reply_is_no_answer(code: R, text: str) -> None:
    assert scanned(text).code is code


@pytest.mark.parametrize(("code", "shown", "other"), FIRST_FAULT)
def test_first_fault_given_when_there_are_several(code: R, shown: str, other: str) -> None:
    assert scanned(shown + other).code is code
    list(AnswerScanner(ALIASES).feed(shown[:-1]))
    with pytest.raises(GenerationFault, match=code):
        list(AnswerScanner(ALIASES).feed(shown))


def test_nothing_found_when_any_end_of_a_reply_is_missing() -> None:
    for end in range(len(GOOD)):
        code = scanned(GOOD[:end]).code
        assert code is (R.OUTPUT_INCOMPLETE_JSON if end > 1 else R.OUTPUT_NOT_JSON)


def test_text_comes_at_once_when_citations_are_first() -> None:
    scanner = AnswerScanner(ALIASES)
    head, answer = GOOD.split("It", 1)
    assert list(scanner.feed(head)) == [Proved(("c1",))]
    assert list(scanner.feed("It")) == [AnswerText("It")]
    assert list(scanner.feed(answer[:3])) == [AnswerText(answer[:3])]


def test_text_waits_when_answer_is_first() -> None:
    scanner = AnswerScanner(ALIASES)
    assert list(scanner.feed('{"answer": "It \\n is.", "citations": [{"chunk_id": "c2"}')) == []
    found = [Proved(("c2",)), AnswerText("It \n is."), AnswerEnd()]
    assert list(scanner.feed("]")) == found


def test_text_waits_when_it_opens_with_blanks() -> None:
    scanner = AnswerScanner(ALIASES)
    assert list(scanner.feed(f'{{{CITED}, "answer": " \\n')) == [Proved(("c1",))]
    assert list(scanner.feed("  ")) == []
    assert list(scanner.feed("x ")) == [AnswerText(" \n  x ")]
    assert list(scanner.feed(" ")) == [AnswerText(" ")]


def test_prefix_found_when_a_fault_follows_in_the_same_piece() -> None:
    found = []
    with pytest.raises(GenerationFault):
        for item in AnswerScanner(ALIASES).feed(f'{{{CITED}, "answer": "It is" 1'):
            found.append(item)
    assert found == [Proved(("c1",)), AnswerText("It is"), AnswerEnd()]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("It is so.", None),
        (' {"answer": "yes"} [c1]', None),
        ("x" * limits.ANSWER_MAX_CHARS, None),
        ("x" * (limits.ANSWER_MAX_CHARS + 1), R.OUTPUT_TOO_LONG),
        (" " * (limits.ANSWER_MAX_CHARS + 1), R.OUTPUT_TOO_LONG),
        ("", R.OUTPUT_EMPTY),
        (" \n\u200b", R.OUTPUT_EMPTY),
        ("a\x00", R.OUTPUT_INVALID_UNICODE),
        ("\ud800", R.OUTPUT_INVALID_UNICODE),
    ],
)
def test_plain_text_passes_when_no_citations_are_required(text: str, code: R | None) -> None:
    whole = verdict(PlainScanner(), [text])
    assert verdict(PlainScanner(), list(text)) == whole
    assert whole.code is code
    assert text.startswith(whole.answer)
    assert code or whole.answer == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<think>Hm. [c9] ![x](y)</think>It is so.", "It is so."),
        ("\n \u200b<think>a</think> \n<think>b</think>\n\nIt is so.", "\n\nIt is so."),
        ("<think></think>It <think>is</think> so.", "It <think>is</think> so."),
        ("<think>a <</think <b </think></think>x", "</think>x"),
        ("<think><think>a</think>b", "b"),
        ("<<think>a</think>b", "<<think>a</think>b"),
        (" <thin", " <thin"),
        ("<thinking>a", "<thinking>a"),
        ("<", "<"),
        ("a < b", "a < b"),
        ("<think>" + "x" * 20_000 + "</think>" + "y" * limits.ANSWER_MAX_CHARS, "y" * 8_192),
    ],
)
def test_leading_thoughts_are_dropped_when_no_citations_are_required(text: str, said: str) -> None:
    for pieces in ([text], list(text), [text[at : at + 3] for at in range(0, len(text), 3)]):
        assert verdict(PlainScanner(), pieces) == Verdict(None, (), said)


@pytest.mark.parametrize(
    "text",
    [
        "<think>",
        "<think>It is so.",
        "<think>a</think>",
        " <think>a</think>\n<think>b</think",
        "<think>a</think> \n",
    ],
)
def test_only_reasoning_when_nothing_follows_the_thoughts(text: str) -> None:
    for pieces in ([text], list(text)):
        assert verdict(PlainScanner(), pieces) == Verdict(R.OUTPUT_ONLY_REASONING, (), "")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("secret", "no object"),
        ("secret \x00", "a raw NUL or lone surrogate"),
        (f"{GOOD} {GOOD}", "a second object"),
        (f"[{GOOD}]", "an object in a list"),
        ('{"answer": "secret', "it ended inside the object"),
        ('{"answer": "secret"}', "no `citations`"),
        (f"{{{CITED}}}", "no `answer`"),
        (citing_ids(*["c1"] * 7), "over 6"),
        ('{"citations": [{}]', "a citation without `chunk_id`"),
        ('{"secret"', "a word that may not stand there"),
        ('{"answ"', "half a word"),
        (answering('"a", "answer"'), "`answer` stands twice"),
        (answering('" "'), "a blank answer"),
        (citing_ids("c0", "c1"), "c0 with others"),
        (citing_ids("c0"), "c0 alone"),
        (citing_ids(), "an empty list"),
        (answering("7"), "a value of the wrong type"),
        (answering("true"), "a value of the wrong type"),
        (answering("secret"), "not the grammar of JSON"),
        (answering("tax"), "not the grammar of JSON"),
        (answering(json.dumps("x" * 8_193)), "the answer is over 8192 characters"),
        ('{"answer": "' + "x" * 4_097, "the answer is over 4096 characters"),
    ],
)
def test_fault_says_what_it_was_and_quotes_nothing(text: str, detail: str) -> None:
    assert detail_of(AnswerScanner(ALIASES), text) == detail


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (" ", "nothing but blanks"),
        ("<think>secret", "nothing but thoughts"),
        ("\ud800", "a raw NUL or lone surrogate"),
    ],
)
def test_fault_of_plain_text_says_what_it_was(text: str, detail: str) -> None:
    assert detail_of(PlainScanner(), text) == detail


def detail_of(scanner: AnswerScanner | PlainScanner, text: str) -> str:
    with pytest.raises(GenerationFault) as caught:
        [*scanner.feed(text), *scanner.close()]
    return caught.value.detail
