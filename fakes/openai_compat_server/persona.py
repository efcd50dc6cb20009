"""What the model says when no script says otherwise.

`extractive` answers from the passages framed in the prompt, or says that they do not answer; to a
prompt that frames none and asks for no JSON, it says one sentence that is always the same. `echo`
repeats the last user message, whatever form was asked for: a client's test can thereby have any
text come out of the model. `lorem` is filler. A JSON schema that the first and the last know
nothing to say to is filled with seeded, valid values.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence

from contracts.framing import Framed, parse
from fakes.openai_compat_server.chat_request import ChatRequest
from fakes.openai_compat_server.extractive import Quote, best_quotes
from fakes.openai_compat_server.lorem import lorem_text
from fakes.openai_compat_server.schema_fill import fill
from fakes.openai_compat_server.schema_match import matches
from fakes.openai_compat_server.seeded import Draw

# To whoever frames no source and asks for no form. Of a dozen words, so that a stream of them can
# break off after the usual five events, and within the 16 tokens of the older face's usual limit.
GREETING = "Hello! I am a fake model, and this is what I always say."
ABSTAINED = "None of the sources answer this."
NO_SOURCES = "There are no sources in this prompt, so there is nothing to answer from."
_NONE_ALIAS = "c0"
_CITED = {"citations", "answer"}
# Long enough for three sentences, short enough for anyone's default max_tokens.
_ANSWER_CHARS_MAX = 1_200
_NO_MARKERS = re.compile(r"\bno (?:source )?(?:markers|citations)\b", re.IGNORECASE)


def extractive(chat: ChatRequest, draw: Draw) -> str:
    """Citations first and then the answer as JSON where JSON is asked for, else plain text.

    A schema of another shape is filled; raises Refusal where nothing meets it.
    """
    reply = _extracted(chat)
    if chat.response_format != "json_schema" or _is_cited_shape(chat.schema, reply):
        return reply
    return _filled(chat, draw)


def _extracted(chat: ChatRequest) -> str:
    framed = _framed(chat)
    if framed.question is None and not framed.chunks and not _wants_json(chat):
        return GREETING
    question = framed.question if framed.question is not None else _last_user_text(chat)
    quotes = best_quotes(framed.chunks, question) if framed.chunks else ()
    mark = _marked if _wants_json(chat) or _wants_markers(chat) else _unmarked
    quotes = _fitting(quotes, min(_answer_cap(chat.schema), _ANSWER_CHARS_MAX))
    if quotes:
        aliases = list(dict.fromkeys(quote.alias for quote in quotes))
        answer = " ".join(mark(quote) for quote in quotes)
    else:
        aliases = [_NONE_ALIAS]
        answer = ABSTAINED if framed.chunks else NO_SOURCES
    return _json(aliases, answer) if _wants_json(chat) else answer


def echo(chat: ChatRequest, _: Draw) -> str:
    return _last_user_text(chat)


def lorem(chat: ChatRequest, draw: Draw) -> str:
    """Filler, a schema filled; raises Refusal where nothing meets the schema."""
    return _filled(chat, draw) if chat.response_format == "json_schema" else lorem_text(chat, draw)


PERSONAS: Mapping[str, Callable[[ChatRequest, Draw], str]] = {
    "extractive": extractive,
    "echo": echo,
    "lorem": lorem,
}


def _framed(chat: ChatRequest) -> Framed:
    return parse("\n".join(message.text for message in chat.messages))


def _last_user_text(chat: ChatRequest) -> str:
    return next((m.text for m in reversed(chat.messages) if m.role == "user"), "")


def _wants_json(chat: ChatRequest) -> bool:
    """By `response_format`, or by instructions that spell out the shape as a last resort."""
    return chat.response_format != "text" or '"citations"' in _instructions(chat)


def _wants_markers(chat: ChatRequest) -> bool:
    """Plain answers cite too, unless they are told not to."""
    return not _NO_MARKERS.search(_instructions(chat))


def _instructions(chat: ChatRequest) -> str:
    return "\n".join(m.text for m in chat.messages if m.role in ("system", "developer"))


def _is_cited_shape(schema: Mapping[str, object], reply: str) -> bool:
    """Whether citations and an answer are what the schema asks for, and all that it requires."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return matches(schema, json.loads(reply), schema)
    demanded = (
        {name for name in required if isinstance(name, str)}
        if isinstance(required, list)
        else set()
    )
    return properties.keys() >= _CITED >= demanded


def _filled(chat: ChatRequest, draw: Draw) -> str:
    where = "response_format.json_schema.schema"
    return json.dumps(fill(chat.schema, draw, where), ensure_ascii=False)


def _marked(quote: Quote) -> str:
    return f"{quote.text} [{quote.alias}]"


def _unmarked(quote: Quote) -> str:
    return quote.text


def _fitting(quotes: Sequence[Quote], cap: int) -> tuple[Quote, ...]:
    """As many whole quotes as the cap holds; the first is cut when even it does not fit."""
    kept: list[Quote] = []
    left = cap
    for quote in quotes:
        left -= len(_marked(quote)) + 1
        if left >= -1:
            kept.append(quote)
    if quotes and not kept:
        room = cap - len(_marked(quotes[0])) + len(quotes[0].text) - 2
        kept = [Quote(quotes[0].alias, quotes[0].text[:room].rsplit(" ", 1)[0] + " …")]
    return tuple(kept)


def _answer_cap(schema: Mapping[str, object]) -> int:
    """The `maxLength` a client put on the answer."""
    at: object = schema
    for key in ("properties", "answer", "maxLength"):
        at = at.get(key) if isinstance(at, dict) else None
    return at if isinstance(at, int) and at > 0 else _ANSWER_CHARS_MAX


def _json(aliases: Sequence[str], answer: str) -> str:
    reply = {"citations": [{"chunk_id": alias} for alias in aliases], "answer": answer}
    return json.dumps(reply, ensure_ascii=False)
