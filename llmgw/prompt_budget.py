"""How much fits into a prompt, in tokens, and what is left out where not all of it does.

The tokenizer is the model server's and unknown here, so tokens are estimated (`contracts.tokens`).
Where the estimate is too low, what slips through so is refused by the server, or shows in its usage
(PROVIDER_PROMPT_TRUNCATED).

In this order, and no further than needed: a passage over its own budget is cut; then the history
goes, oldest message first, and with a question its answer; then passages, the last one first. The
instructions, system messages, the question and the first passage are never left out: where those
alone are too much, the prompt is over its budget.
"""

from collections.abc import Sequence
from typing import Final

import attrs
from attrs import frozen

from contracts.framing import FramedChunk
from contracts.tokens import BYTES_PER_TOKEN, message_tokens, tokens
from llmgw.providers.port import PromptMessage

# The two lines round a passage or a question: random hex costs a token for two characters or so.
FRAME_TOKENS: Final = 48

_CUT: Final = " …"


@frozen
class Budget:
    """In tokens: all messages together, and the text of one passage."""

    prompt_tokens: int
    chunk_tokens: int


@frozen
class Fitted:
    """The parts of a prompt that fit, `tokens_over` being 0 or less; `left_out` tells the rest."""

    system: PromptMessage
    history: tuple[PromptMessage, ...]
    chunks: tuple[FramedChunk, ...]
    question: PromptMessage
    left_out: str
    tokens_over: int


def cut(text: str, max_tokens: int) -> str:
    """The text, or as much of its beginning as fits, up to a blank if one is near; then ` …`."""
    if tokens(text) <= max_tokens:
        return text
    room = max(0, max_tokens * BYTES_PER_TOKEN - len(_CUT.encode()))
    kept = text.encode()[:room].decode(errors="ignore")
    blank = max(kept.rfind(" "), kept.rfind("\n"))
    return (kept[:blank] if blank > len(kept) * 3 // 4 else kept).rstrip() + _CUT


def fitted(
    system: PromptMessage,
    history: Sequence[PromptMessage],
    chunks: Sequence[FramedChunk],
    question: PromptMessage,
    budget: Budget,
) -> Fitted:
    """What of it fits. The texts are as they will be sent: made harmless, not yet framed."""
    said = list(history)
    shown = [_shortened(chunk, budget.chunk_tokens) for chunk in chunks]
    shortened = sum(c is not whole for c, whole in zip(shown, chunks, strict=True))
    over = FRAME_TOKENS + sum(map(_of_message, (system, *said, question)))
    over += sum(map(_of_chunk, shown)) - budget.prompt_tokens
    while over > 0 and (dropped := _leave_out(said, shown)):
        over -= dropped
    return Fitted(
        system,
        tuple(said),
        tuple(shown),
        question,
        _told(shortened, len(history) - len(said), len(chunks) - len(shown)),
        over,
    )


def _shortened(chunk: FramedChunk, max_tokens: int) -> FramedChunk:
    content = cut(chunk.content, max_tokens)
    return chunk if content is chunk.content else attrs.evolve(chunk, content=content)


def _leave_out(said: list[PromptMessage], shown: list[FramedChunk]) -> int:
    """Leave out what matters least; how many tokens that was, 0 where nothing may go."""
    if any(m.role != "system" for m in said):
        dropped = _leave_out_oldest(said)
        # An answer without its question says nothing, and some templates refuse it as a first word.
        while next((m.role for m in said if m.role != "system"), None) == "assistant":
            dropped += _leave_out_oldest(said)
        return dropped
    return _of_chunk(shown.pop()) if len(shown) > 1 else 0


def _leave_out_oldest(said: list[PromptMessage]) -> int:
    at = next(i for i, message in enumerate(said) if message.role != "system")
    return _of_message(said.pop(at))


def _of_message(message: PromptMessage) -> int:
    return message_tokens(message.content)


def _of_chunk(chunk: FramedChunk) -> int:
    return FRAME_TOKENS + tokens(chunk.title) + tokens(chunk.content)


def _told(shortened: int, messages: int, chunks: int) -> str:
    counts = {
        "passages shortened": shortened,
        "messages left out": messages,
        "passages left out": chunks,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)
