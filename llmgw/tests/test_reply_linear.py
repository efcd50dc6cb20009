"""What a character of a reply costs, scanner and guard together, does not grow with the reply.

Goal: linear work, whatever is written. Method: the same kind of reply, long and short, in deltas of
four characters, measured in one run; the bound is the ratio of the two, so a slow machine
slows both sides of it.
"""

import gc
import json
from collections.abc import Callable
from time import process_time

import pytest

from llmgw.providers.port import Content, Finished
from llmgw.reply import Reply, TextOut

SHORT, LONG = 2_048, 32_768
DELTA_CHARS = 4
URL = "https://docs.example/a/long/path?of=things"


def answering(unit: str, chars: int) -> str:
    """A reply of about that many characters; its answer is the unit, over and over."""
    answer = unit * (chars // len(unit))
    return f'{{"citations": [{{"chunk_id": "c1"}}], "answer": "{answer}"}}'


def title_first(chars: int) -> str:
    title = json.dumps("A é title {[" * (chars // 20))
    return f'{{"citations": [{{"title": {title}, "chunk_id": "c1"}}], "answer": "It is so."}}'


# 8,192 characters of answer are 32 KB where most of them are escaped; the rest goes round them.
CITED: dict[str, Callable[[int], str]] = {
    "escaped": lambda chars: answering(r"\u00e9\u4e00\u00e9x", chars),
    "pairs": lambda chars: answering(r"\ud83d\ude00", chars),
    "markers": lambda chars: answering(r"\u005b\u00631\u005d ", chars),
    "brackets": lambda chars: answering(r"\u005b\u005b\u005b\u005b[", chars),
    "urls": lambda chars: answering("".join(f"\\u{ord(c):04x}" for c in URL) + " ", chars),
    "title": title_first,
    "thoughts": lambda chars: (
        f"<think>{'a < b {c </th ' * (chars // 14)}</think>" + answering("x", 9)
    ),
    "prose": lambda chars: "so { it < is " * (chars // 13) + answering("x", 9),
}
PLAIN: dict[str, Callable[[int], str]] = {
    "thoughts": lambda chars: f"<think>{'a < b </th ' * (chars // 11)}</think>It is so.",
    "many thoughts": lambda chars: "<think></think>\n" * (chars // 16) + "It is so.",
}
# Where all of it is shown, the cap of 8,192 characters is the long side.
SHOWN: dict[str, Callable[[int], str]] = {
    "words": lambda chars: "It is so. " * (chars // 10),
    "brackets": lambda chars: "[" * chars,
    "short tags": lambda chars: "<b " * (chars // 3),
    "urls": lambda chars: URL + (" " + URL) * (chars // 44),
    "schemes": lambda chars: "a:b:" * (chars // 4),
}


@pytest.mark.parametrize("kind", CITED)
def test_cost_is_linear_when_a_cited_answer_is_long(kind: str) -> None:
    make = CITED[kind]
    assert cost(make(LONG), cited=True) < 4 * cost(make(SHORT), cited=True)


@pytest.mark.parametrize("kind", PLAIN)
def test_cost_is_linear_when_thoughts_are_long(kind: str) -> None:
    make = PLAIN[kind]
    assert cost(make(LONG), cited=False) < 4 * cost(make(SHORT), cited=False)


@pytest.mark.parametrize("kind", SHOWN)
def test_cost_is_linear_when_a_plain_answer_is_long(kind: str) -> None:
    make = SHOWN[kind]
    assert cost(make(LONG // 4), cited=False) < 4 * cost(make(SHORT // 4), cited=False)


def cost(text: str, *, cited: bool) -> float:
    """Processor time per character: the best of three, for noise only ever adds."""
    pieces = [Content(text[at : at + DELTA_CHARS]) for at in range(0, len(text), DELTA_CHARS)]
    rounds = max(1, 8_192 // len(text))
    best = float("inf")
    gc.disable()
    try:
        for _ in range(3):
            started = process_time()
            for _ in range(rounds):
                judge(pieces, cited=cited)
            best = min(best, process_time() - started)
    finally:
        gc.enable()
    return best / (len(text) * rounds)


def judge(pieces: list[Content], *, cited: bool) -> None:
    """One whole reply, which must be shown."""
    reply = Reply(1, cited, [URL], [], prompt_chars=0)
    shown = [out for piece in pieces for out in reply.feed(piece)]
    reply.feed(Finished("stop"))
    shown += reply.close()
    assert any(isinstance(out, TextOut) for out in shown)
