"""What holds for the answer scanner whatever is sent, however it is cut, and how long it takes."""

import gc
import json
import re
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from contracts import limits
from harness.answer_reference import reference
from llmgw.answer import AnswerScanner, PlainScanner
from llmgw.tests.answer_verdict import (
    ALIASES,
    CITED,
    GOOD,
    HIGH,
    LOW,
    NUL,
    Verdict,
    citing,
    citing_ids,
    scanned,
    verdict,
)

# Texts are drawn near to replies, where the faults are.

PIECES = st.sampled_from(
    [
        *'{}[]":,<>\\ cn01',
        *(GOOD, CITED, ", ", '"answer": ', '"chunk_id"', '"title"', '"citations"', "null", "```"),
        *("<think>", "</think>", '"c1"', '"c0"', '"c4"', '"x"', "\\n", NUL, HIGH, LOW, "\n", "é"),
        *(" " * 40, "x" * 2_100, '{"citations": [', '{"chunk_id": "c2"}', ', "answer": "yes"}'),
    ]
)
MEMBERS = st.lists(
    st.sampled_from(
        [CITED, '"answer": "It is so."', '"answer": " "', '"citations": []', '"extra": 1']
    ),
    max_size=3,
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A reply with a few edits: pieces taken out, put in, or put in place of others."""
    text = draw(
        st.sampled_from(
            [
                GOOD,
                citing_ids("c2", "c1", "c2"),
                f'{{"answer": "It {HIGH}{LOW} is", {CITED}}}',
                citing('[{"title": null, "chunk_id": "c3", "url": "u"}]'),
                f"<think>{{}}</think> ok: [1]\n```json\n{GOOD}\n```\ndone {{x}}",
            ]
        )
    )
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        out = draw(st.integers(0, 4))
        text = text[:at] + draw(PIECES | st.just("")) + text[at + out :]
    return text


TEXTS = (
    mutated()
    | st.lists(PIECES, max_size=12).map("".join)
    | MEMBERS.map(lambda members: "{" + ", ".join(members) + "}")
)


@st.composite
def in_pieces(draw: st.DrawFn) -> list[str]:
    """A text cut anywhere, empty pieces among them."""
    text = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(in_pieces())
def test_verdict_same_when_cut_anywhere(pieces: list[str]) -> None:
    assert verdict(AnswerScanner(ALIASES), pieces) == verdict(
        AnswerScanner(ALIASES), ["".join(pieces)]
    )


PLAIN = st.lists(
    st.sampled_from([*"<>/ \nx", "<think>", "</think>", "<thi", "think>", "It is so."]), max_size=12
).map("".join)


@given(PLAIN)
def test_plain_text_is_what_stands_behind_its_thoughts(text: str) -> None:
    answer = re.sub(r"\A(?:\s*<think>.*?(?:</think>|\Z))*", "", text, flags=re.DOTALL)
    answer = text if answer == text.lstrip() else answer
    seen = verdict(PlainScanner(), [text])
    assert verdict(PlainScanner(), list(text)) == seen
    assert seen.answer == (answer if answer.strip() else "")
    assert (seen.code is None) is bool(answer.strip())


@given(TEXTS)
def test_scanner_agrees_with_reference_when_anything_is_sent(text: str) -> None:
    seen, (possible, aliases, answer) = scanned(text), reference(text)
    if possible:
        assert seen.code in possible
        assert set(seen.aliases) <= {"c1", "c2", "c3"}
    else:
        assert seen == Verdict(None, aliases, answer)


@given(TEXTS, st.integers(0, 4))
def test_no_alias_outside_the_set_when_anything_is_sent(text: str, alias_count: int) -> None:
    aliases = verdict(AnswerScanner(alias_count), [text]).aliases
    assert set(aliases) <= {f"c{number}" for number in range(1, alias_count + 1)}
    assert len(set(aliases)) == len(aliases) <= limits.CITATIONS_MAX


@given(st.text(), st.lists(st.integers(1, 3), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_any_text_comes_through_when_encoded(
    text: str, numbers: list[int], ascii_only: bool, answer_first: bool
) -> None:
    text = "x" + text.replace("\x00", "")
    ids = [f"c{number}" for number in numbers]
    members: dict[str, object] = {"citations": [{"chunk_id": i} for i in ids], "answer": text}
    if answer_first:
        members = dict(reversed(members.items()))
    encoded = json.dumps(members, ensure_ascii=ascii_only)
    assert scanned(encoded) == Verdict(None, tuple(dict.fromkeys(ids)), text)


# Linearity, as a ratio: what matters is that the cost of a character does not grow.


def test_cost_per_character_same_when_reply_is_long() -> None:
    short, long = reply_of(2_048), reply_of(32_768)
    assert cost_per_char(long) < 4 * cost_per_char(short)


def reply_of(chars: int) -> str:
    """A reply of that many characters: thoughts, a long title, the answer, prose behind it."""
    answer = "It is \\n so. " * min(600, chars // 64)
    title = "A \\u00e9 title " * (chars // 64)
    thought = "a < b { c " * (chars // 40)
    citations = f'[{{"title": "{title}", "chunk_id": "c1"}}]'
    return f'<think>{thought}</think>{{"citations": {citations}, "answer": "{answer}"}}{thought}'


def cost_per_char(text: str) -> float:
    """The best of several measurements: noise only ever adds."""
    pieces = [text[at : at + 4] for at in range(0, len(text), 4)]
    best = float("inf")
    gc.disable()
    try:
        for _ in range(5):
            started = process_time()
            for _ in range(max(1, 32_768 // len(text))):
                assert verdict(AnswerScanner(ALIASES), pieces).code is None
            best = min(best, process_time() - started)
    finally:
        gc.enable()
    return best / (len(text) * max(1, 32_768 // len(text)))
