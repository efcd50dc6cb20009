"""What is left of a prompt that a server cuts to its window and says nothing.

As Ollama does it: system messages and the last message stay, of the others the latest that fit;
where the last alone is too long, the front of the whole is cut away.
"""

from collections.abc import Sequence

from attrs import evolve

from fakes.openai_compat_server.chat_request import Message


def kept_messages(messages: Sequence[Message], chars_max: int) -> tuple[Message, ...]:
    first = len(messages) - 1
    while first > 0 and _chars(_from(messages, first - 1)) <= chars_max:
        first -= 1
    return _without_front(_from(messages, first), chars_max)


def _from(messages: Sequence[Message], first: int) -> tuple[Message, ...]:
    system = [message for message in messages[:first] if message.role == "system"]
    return (*system, *messages[first:])


def _without_front(messages: tuple[Message, ...], chars_max: int) -> tuple[Message, ...]:
    over = _chars(messages) - chars_max
    kept = []
    for message in messages:
        cut = max(0, min(over, len(message.text)))
        over -= cut
        kept.append(evolve(message, text=message.text[cut:]))
    return tuple(kept)


def _chars(messages: Sequence[Message]) -> int:
    return sum(len(message.text) for message in messages)
