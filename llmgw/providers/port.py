"""What the gateway asks of any model server, and the events it gets back. No HTTP here.

A provider is opened per attempt as an async context manager and gives events as they come; it
raises `GenerationFault` for whatever the server did wrong, and closes its connection when it is
left, however it is left. It does not judge the text: that is `answer`, `guard` and `reply`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from attrs import frozen

Role = Literal["system", "user", "assistant"]


@frozen
class PromptMessage:
    """One message of the prompt, as it goes upstream."""

    role: Role
    content: str


@frozen
class ModelCall:
    """One call of the model. `schema` is the JSON Schema of the reply, None for plain text."""

    model: str
    messages: tuple[PromptMessage, ...]
    max_tokens: int
    temperature: float
    stream: bool
    schema: Mapping[str, object] | None


@frozen
class Content:
    """Text of the reply; never empty."""

    text: str


@frozen
class Reasoning:
    """The model reasoned in a field of its own; the text is dropped unseen."""


@frozen
class Refusal:
    """The model refused in the API's own field."""


@frozen
class ToolCall:
    """The model asked for a tool; it was given none."""


@frozen
class Finished:
    """The choice ended, with the server's `finish_reason` verbatim."""

    reason: str


@frozen
class UsageReport:
    """What the server counted."""

    prompt_tokens: int
    completion_tokens: int


@frozen
class ModelNamed:
    """The model's name as the server gives it."""

    model: str


@frozen
class SchemaRefused:
    """The server took the call only without its schema; first of the reply's events."""


ModelEvent = (
    Content | Reasoning | Refusal | ToolCall | Finished | UsageReport | ModelNamed | SchemaRefused
)


class Provider(Protocol):
    """A model server."""

    def open(self, call: ModelCall) -> AbstractAsyncContextManager[AsyncIterator[ModelEvent]]:
        """One attempt. Plain calls give the same events, all at once."""
        ...

    async def check(self) -> tuple[bool, str]:
        """Whether the server answers now, and a word about it for `/ready`."""
        ...
