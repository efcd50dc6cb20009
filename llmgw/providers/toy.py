"""`LLM_PROVIDER=toy`: answers with no model server at all, always in the same way.

It reads the passages and the question out of the prompt's own frame (`contracts.framing`), takes
the passage whose words fit the question best, and quotes its best sentence, in the asked-for JSON
with its citation. Where no content word of the question occurs it abstains with `c0`. It keeps
`max_tokens`, four characters to a token. It waits for nothing: `pause` is called between pieces.
"""

import json
import math
import re
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence, Set
from contextlib import asynccontextmanager
from typing import Final

from attrs import define, frozen

from contracts import framing
from llmgw.providers.port import (
    Content,
    Finished,
    ModelCall,
    ModelEvent,
    ModelNamed,
    UsageReport,
)

TOKEN_CHARS: Final = 4
QUOTE_CHARS: Final = 400
# Of the chosen passage: what cleans it up takes time by its square.
READ_CHARS: Final = 4_000
_SHORT_WORD_CHARS: Final = 3
_NOTHING: Final = "The sources do not answer this."

_WORD: Final = re.compile(r"[^\W_]+")
_CJK: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n{2,}")
_HEADING: Final = re.compile(r"^#{1,6}[ \t].*$", re.MULTILINE)
# Everything the gateway's guard would stop, in the order in which it is taken out.
_IMAGE: Final = re.compile(r"!\[[^\]\n]*\](?:\([^)\n]*\)|\[[^\]\n]*\])?")
_LINK: Final = re.compile(r"\[([^\]\n]*)\](?:\([^)\n]*\)|\[[^\]\n]*\])")
_URL: Final = re.compile(
    r"<?\b(?:[a-z][a-z0-9+.-]{1,15}://|mailto:|www\.)[^\s<>]*>?", re.IGNORECASE
)
_LOOSE: Final = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")"})

_SAYS_NOTHING: Final = """
a about all an and any are as at be been but by can could did do does for from get had has have
how i if in into is it its made make may me my no not of on one or our should so some such than
that the their them then there these they this to up us use used was we were what when where
which who why will with would you your
"""
_STOPWORDS: Final = frozenset(_SAYS_NOTHING.split())


@frozen
class Toy:
    """The provider. `pause` lets others run: a checkpoint, or a sleep where a pace is wanted."""

    pause: Callable[[], Awaitable[object]]

    @asynccontextmanager
    async def open(self, call: ModelCall) -> AsyncIterator[AsyncIterator[ModelEvent]]:
        """The reply to this call, piece by piece, whether it streams or not."""
        yield _Paced(reply(call), self.pause)

    async def check(self) -> tuple[bool, str]:
        """Always ready."""
        await self.pause()
        return True, "toy"


@define
class _Paced:
    """Events with a pause before each."""

    _events: Iterator[ModelEvent]
    _pause: Callable[[], Awaitable[object]]

    def __aiter__(self) -> "_Paced":
        return self

    async def __anext__(self) -> ModelEvent:
        await self._pause()
        event = next(self._events, None)
        if event is None:
            raise StopAsyncIteration
        return event


def reply(call: ModelCall) -> Iterator[ModelEvent]:
    """The events of the reply to this call."""
    prompt = "\n\n".join(m.content for m in call.messages)
    text = _answer(call)
    pieces = [text[at : at + TOKEN_CHARS] for at in range(0, len(text), TOKEN_CHARS)]
    told = pieces[: call.max_tokens]
    yield ModelNamed(call.model)
    for piece in told:
        yield Content(piece)
    yield Finished("stop" if told == pieces else "length")
    yield UsageReport(math.ceil(len(prompt) / TOKEN_CHARS), len(told))


def _answer(call: ModelCall) -> str:
    asked = next((m.content for m in reversed(call.messages) if m.role == "user"), "")
    framed = framing.parse(asked)
    alias, quote = _best(framed.chunks, framed.question or asked)
    if call.schema is None:
        return quote
    said = quote if alias == "c0" else f"{quote} [{alias}]"
    return json.dumps({"citations": [{"chunk_id": alias}], "answer": said}, ensure_ascii=False)


def _best(chunks: Sequence[framing.FramedChunk], question: str) -> tuple[str, str]:
    """The alias to cite and the text to say; `c0` where nothing fits."""
    wanted = _words(question)
    held = [_words(f"{chunk.title}\n{chunk.content}") for chunk in chunks]
    # A word that few passages hold says more about which one is meant.
    weight = {w: 1 / count for w in wanted if (count := sum(w in words for words in held))}
    scores = [sum(weight[w] for w in weight if w in words) for words in held]
    for index in sorted(range(len(chunks)), key=lambda i: -scores[i]):
        if scores[index] > 0 and (quote := _quote(chunks[index].content, weight.keys())):
            return chunks[index].alias, quote
    return "c0", _NOTHING


def _quote(content: str, wanted: Set[str]) -> str:
    """The sentence that says most of what is wanted, with the next one where there is room."""
    text = _HEADING.sub("\n", content[:READ_CHARS])
    sentences = [s for s in map(_clean, _SENTENCE_END.split(text)) if s]
    if not sentences:
        return ""
    best = max(range(len(sentences)), key=lambda i: len(wanted & _words(sentences[i])))
    both = " ".join(sentences[best : best + 2])
    if len(both) <= QUOTE_CHARS:
        return both
    return textwrap.shorten(sentences[best], QUOTE_CHARS, placeholder=" …")


def _clean(sentence: str) -> str:
    """The sentence as plain text on one line, with nothing in it that the guard would stop."""
    text = _URL.sub("", _LINK.sub(r"\1", _IMAGE.sub("", sentence)))
    return " ".join(text.translate(_LOOSE).split())


def _words(text: str) -> Set[str]:
    """Its content words: lower case, plurals cut; pairs of characters in unspaced scripts."""
    found: set[str] = set()
    for word in _WORD.findall(text.lower()):
        for run in _CJK.findall(word):
            found.update(run[i : i + 2] for i in range(max(1, len(run) - 1)))
        latin = _CJK.sub("", word)
        if latin and latin not in _STOPWORDS:
            found.add(latin.removesuffix("s") if len(latin) > _SHORT_WORD_CHARS else latin)
    return found
