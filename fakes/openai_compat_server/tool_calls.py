"""Whether a chat is answered by calling tools, by which, and with what: a rule for a model's whim.

A tool is wanted when the last user message names it: its name as a word, in any case, `_` and `-`
also written as a space. Where the choice is the model's own, the tools that are wanted are called,
and where there are none, or the message has a tool's result after it, the answer is in words.
Where a call is required and no tool is wanted, the seed picks one. Arguments are a seeded value of
the function's own schema.
"""

import json
import re
from collections.abc import Sequence

from attrs import frozen

from fakes.openai_compat_server.chat_request import ChatRequest, Message
from fakes.openai_compat_server.schema_fill import fill
from fakes.openai_compat_server.seeded import Draw
from fakes.openai_compat_server.tools import Choice, Offer, Tool

_RESULTS = ("tool", "function")
_JOINT = re.compile(r"[_-]")


@frozen
class Wanted:
    """A call as the model writes it; `arguments` is JSON in text."""

    name: str
    arguments: str


def wanted_calls(chat: ChatRequest, draw: Draw) -> tuple[Wanted, ...]:
    """The calls that answer the chat; none: it is answered in words.

    Raises Refusal for a schema that nothing meets.
    """
    tools = _called(chat.offer, chat.messages, draw)
    return tuple(Wanted(tool.name, _arguments(tool, draw)) for tool in tools)


def _called(offer: Offer, messages: Sequence[Message], draw: Draw) -> tuple[Tool, ...]:
    if offer.choice is Choice.NONE:
        return ()
    if offer.choice is Choice.NAMED:
        return offer.tools
    asked, answered = _last_question(messages)
    named = tuple(tool for tool in offer.tools if _names(asked, tool.name))
    if offer.choice is Choice.AUTO:
        called = () if answered else named
    else:
        called = named or (offer.tools[int(draw.fraction("tool") * len(offer.tools))],)
    return called if offer.parallel else called[:1]


def _last_question(messages: Sequence[Message]) -> tuple[str, bool]:
    """The last user message, and whether a tool's result stands after it."""
    answered = False
    for message in reversed(messages):
        if message.role == "user":
            return message.text, answered
        answered = answered or message.role in _RESULTS
    return "", answered


def _names(text: str, name: str) -> bool:
    words = r"[\s_-]".join(re.escape(part) for part in _JOINT.split(name))
    return re.search(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE) is not None


def _arguments(tool: Tool, draw: Draw) -> str:
    filled = fill({"type": "object", **tool.parameters}, draw, tool.at)
    return json.dumps(filled, ensure_ascii=False, separators=(",", ":"))
