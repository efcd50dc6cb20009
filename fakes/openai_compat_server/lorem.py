"""What the persona `lorem` says: filler of a seeded length, for clients that care about form alone.

A few words or a few paragraphs, as the seed and the request have it; JSON where JSON is asked for.
"""

import json

from fakes.openai_compat_server.chat_request import ChatRequest
from fakes.openai_compat_server.seeded import Draw
from fakes.openai_compat_server.string_fill import words

_SENTENCES_MAX = 30
_WORDS_LEAST, _WORDS_SPREAD = 4, 11
_SENTENCES_PER_PARAGRAPH = 5


def lorem_text(chat: ChatRequest, draw: Draw) -> str:
    """From one sentence to thirty; short answers come more often than long ones."""
    count = 1 + int(draw.fraction("lorem") ** 2 * _SENTENCES_MAX)
    said = [_sentence(draw, at) for at in range(count)]
    starts = range(0, count, _SENTENCES_PER_PARAGRAPH)
    text = "\n\n".join(" ".join(said[at : at + _SENTENCES_PER_PARAGRAPH]) for at in starts)
    return text if chat.response_format == "text" else json.dumps({"text": text})


def _sentence(draw: Draw, at: int) -> str:
    count = _WORDS_LEAST + int(draw.fraction("lorem words", at) * _WORDS_SPREAD)
    return " ".join(words(draw, f"lorem {at}", count)).capitalize() + "."
