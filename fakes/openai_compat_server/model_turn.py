"""One turn of the model that is not there: its words or its calls, as long as they may be."""

from collections.abc import Iterable, Iterator

from fakes.openai_compat_server import answers, dialects
from fakes.openai_compat_server.answers import Answering
from fakes.openai_compat_server.chat_request import ChatRequest
from fakes.openai_compat_server.persona import PERSONAS
from fakes.openai_compat_server.tool_calls import Wanted, wanted_calls
from fakes.openai_compat_server.tools import Choice

# Usage is estimated, as nobody's tokeniser is at hand; `max_tokens` cuts by the same measure.
CHARS_PER_TOKEN = 4


def completed(answering: Answering, chat: ChatRequest, persona: str) -> dialects.Completion:
    """What answers the chat: calls of its tools where they are called for, else the persona.

    Raises Refusal for a schema that nothing meets.
    """
    draw, dialect = answering.draw, answering.dialect
    wanted = wanted_calls(chat, draw)
    texts = [call.arguments for call in wanted] or [_words(answering, chat, persona)]
    kept = list(_kept(texts, chat.max_tokens))
    whole = len(kept) == len(texts) and kept[-1] == texts[-1]
    said = [answers.said(answering, text) for text in kept]
    return dialects.Completion(
        id=dialect.chat_id(draw),
        created_s=dialects.created_s(draw),
        model=chat.model,
        tokens=() if wanted else said[0],
        finish_reason=_finish(chat, wanted) if whole else "length",
        prompt_tokens=prompt_tokens(chat),
        completion_tokens=estimated(sum(len(piece) for pieces in said for piece in pieces)),
        calls=tuple(
            dialects.Call(dialect.call_id(draw, at), call.name, pieces)
            for at, (call, pieces) in enumerate(zip(wanted, said, strict=False))
        ),
    )


def prompt_tokens(chat: ChatRequest) -> int:
    return estimated(sum(len(message.text) for message in chat.messages))


def estimated(chars: int) -> int:
    """The tokens that so many characters are; never none."""
    return max(1, -(-chars // CHARS_PER_TOKEN))


def _words(answering: Answering, chat: ChatRequest, persona: str) -> str:
    text = PERSONAS[persona](chat, answering.draw)
    for stop in chat.stop:
        text = text.partition(stop)[0]
    return text


def _finish(chat: ChatRequest, wanted: tuple[Wanted, ...]) -> str:
    """A call that the client named itself is no decision of the model's: it ends in `stop`."""
    return "tool_calls" if wanted and chat.offer.choice is not Choice.NAMED else "stop"


def _kept(texts: Iterable[str], tokens_max: int | None) -> Iterator[str]:
    """The texts up to the limit, the last of them cut by it."""
    left = None if tokens_max is None else tokens_max * CHARS_PER_TOKEN
    for text in texts:
        if left is None or len(text) <= left:
            yield text
            left = None if left is None else left - len(text)
        else:
            yield text[:left]
            return
