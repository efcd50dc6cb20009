"""What of a prompt fits, and what is left out first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import framing
from contracts.framing import FramedChunk
from contracts.tokens import MESSAGE_TOKENS, tokens
from llmgw.prompt_budget import Budget, Fitted, cut, fitted
from llmgw.providers.port import PromptMessage, Role

SYSTEM = PromptMessage("system", "Answer from the sources." * 4)
QUESTION = PromptMessage("user", "How do I install a package?")
PLENTY = 100_000


def said(role: Role, word: str) -> PromptMessage:
    return PromptMessage(role, f"{word} " * 60)


def a_chunk(number: int, words: int = 60) -> FramedChunk:
    return FramedChunk(f"c{number}", "", "text " * words)


HISTORY = (
    said("user", "one"),
    said("assistant", "two"),
    said("system", "Be formal."),
    said("user", "three"),
    said("assistant", "four"),
)
CHUNKS = (a_chunk(1), a_chunk(2), a_chunk(3))


def fit(prompt_tokens: int, chunk_tokens: int = PLENTY) -> Fitted:
    return fitted(SYSTEM, HISTORY, CHUNKS, QUESTION, Budget(prompt_tokens, chunk_tokens))


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("abc", 1), ("abcd", 2), ("é", 1), ("한국어", 3), ("😀", 2)]
)
def test_a_token_is_three_bytes(text: str, count: int) -> None:
    assert tokens(text) == count


@pytest.mark.parametrize(
    ("text", "max_tokens", "shown"),
    [
        ("It is so.", 3, "It is so."),
        ("It is so, and so it is", 6, "It is so, and …"),
        ("x" * 100, 10, "x" * 26 + " …"),
        ("한국어입니다", 5, "한국어 …"),
        ("a" * 30 + " tail end", 12, "a" * 30 + " …"),
    ],
)
def test_text_is_cut_at_a_blank_when_one_is_near(text: str, max_tokens: int, shown: str) -> None:
    assert cut(text, max_tokens) == shown


@given(text=st.text(), max_tokens=st.integers(2, 40))
def test_text_fits_when_it_is_cut(text: str, max_tokens: int) -> None:
    shown = cut(text, max_tokens)
    assert tokens(shown) <= max_tokens
    assert shown == text or text.startswith(shown.removesuffix(" …"))


def test_all_stays_when_there_is_room() -> None:
    assert fit(PLENTY) == Fitted(SYSTEM, HISTORY, CHUNKS, QUESTION, "", fit(PLENTY).tokens_over)


def test_oldest_go_first_and_answers_with_their_questions() -> None:
    """Goal: the order of the docstring. Method: less and less room, a token at a time."""
    seen: list[tuple[int, int]] = []
    for room in range(2_000, 0, -1):
        kept = fit(room)
        counts = (len(kept.history), len(kept.chunks))
        if not seen or seen[-1] != counts:
            seen.append(counts)
        assert kept.history == HISTORY[5 - len(kept.history) :] or kept.history == (HISTORY[2],) + (
            HISTORY[3:] if len(kept.history) == 3 else ()
        )
        assert kept.chunks == CHUNKS[: len(kept.chunks)]
    assert seen == [(5, 3), (3, 3), (1, 3), (1, 2), (1, 1)]
    assert fit(1).tokens_over > 0
    assert fit(500).left_out == "4 messages left out, 2 passages left out"


def test_passages_are_cut_before_anything_is_left_out() -> None:
    kept = fit(PLENTY, chunk_tokens=50)
    assert [tokens(chunk.content) <= 50 for chunk in kept.chunks] == [True] * 3
    assert kept.history == HISTORY
    assert kept.left_out == "3 passages shortened"


TEXTS = st.text("ab c\né한😀", max_size=200)
MESSAGES = st.builds(PromptMessage, st.sampled_from(["user", "assistant", "system"]), TEXTS)


@given(
    history=st.lists(MESSAGES, max_size=6),
    texts=st.lists(TEXTS, max_size=5),
    question=TEXTS,
    budget=st.builds(Budget, st.integers(1, 1_000), st.integers(2, 100)),
)
def test_prompt_is_within_its_budget_when_it_says_so(
    history: list[PromptMessage], texts: list[str], question: str, budget: Budget
) -> None:
    chunks = [FramedChunk(f"c{n}", "title", text) for n, text in enumerate(texts, start=1)]
    kept = fitted(SYSTEM, history, chunks, PromptMessage("user", question), budget)
    asked = framing.encode(kept.chunks, question, "0123456789abcdef")
    sent = [SYSTEM.content, *(m.content for m in kept.history), asked]
    if kept.tokens_over <= 0:
        assert sum(tokens(text) + MESSAGE_TOKENS for text in sent) <= budget.prompt_tokens
    else:
        assert all(m.role == "system" for m in kept.history)
        assert len(kept.chunks) <= 1
    assert [m for m in kept.history if m.role == "system"] == [
        m for m in history if m.role == "system"
    ]
    assert bool(kept.left_out) is ((kept.history, kept.chunks) != (tuple(history), tuple(chunks)))
