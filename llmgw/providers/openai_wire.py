"""The OpenAI chat-completions wire, as its dialects really speak it: bytes ⇄ model events.

Knows what OpenAI, vLLM, llama.cpp and Ollama send under the one name; nothing else in the project
does, but `openai_errors`, which reads their refusals. Two decoders with one face: feed bytes, end,
pull events; None means "need more". A fault (`GenerationFault`) is raised in its place among the
events, so that whatever stood before it in the stream is still seen first, however the bytes were
cut.

Refuses what the API does not promise: bytes that are no UTF-8, JSON that `strict_json` refuses,
wrong shapes, a second choice, content after the end of the choice, bodies over their cap. Half of a
surrogate pair, escaped, is JSON: in content it is for the scanner to refuse. It does not judge a
stream that ends without a `finish_reason`: it only reports `Finished` where it saw one.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import orjson
from attrs import define, field

from contracts import limits, sse, strict_json
from contracts.reasons import ReasonCode
from llmgw.faults import GenerationFault
from llmgw.providers import openai_errors
from llmgw.providers.port import (
    Content,
    Finished,
    ModelCall,
    ModelEvent,
    ModelNamed,
    Reasoning,
    Refusal,
    ToolCall,
    UsageReport,
)

_DONE: Final = b"[DONE]"
_SCHEMA_NAME: Final = "cited_answer"

# Reasoning goes by two names, tool calls by an old one and a new one.
_REASONING: Final = ("reasoning", "reasoning_content")
_TOOLS: Final = ("tool_calls", "function_call")


def encode_call(call: ModelCall) -> bytes:
    """The request body for this call."""
    body: dict[str, object] = {
        "model": call.model,
        "messages": [{"role": m.role, "content": m.content} for m in call.messages],
        "max_tokens": call.max_tokens,
        "temperature": call.temperature,
        "stream": call.stream,
    }
    if call.stream:
        body["stream_options"] = {"include_usage": True}
    if call.schema is not None:
        named = {"name": _SCHEMA_NAME, "strict": True, "schema": call.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    return orjson.dumps(body)


@define
class StreamDecoder:
    """Events out of a streamed reply. Whatever follows `[DONE]` is ignored: the first word stands.

    vLLM sends `[DONE]` after an error too, Ollama leaves it out where something went wrong: it
    proves nothing, and is only where reading stops (`is_done`).
    """

    max_body_bytes: int = limits.RESPONSE_BODY_BYTES
    is_done: bool = field(default=False, init=False)
    _frames: sse.Decoder = field(factory=lambda: sse.Decoder(limits.EVENT_BYTES), init=False)
    _events: Iterator[ModelEvent] = field(factory=lambda: iter(()), init=False)
    _choice: "_Choice" = field(factory=lambda: _Choice("delta"), init=False)
    _body_bytes: int = field(default=0, init=False)

    def feed(self, data: bytes) -> None:
        """Take more bytes of the reply."""
        if self.is_done:
            return
        room = max(0, self.max_body_bytes - self._body_bytes)
        self._body_bytes += len(data)
        self._frames.feed(data[:room])

    def end(self) -> None:
        """The reply has ended. A last event that no blank line closed counts, if it is whole.

        A piece of one is dropped, as the standard of server-sent events has it.
        """
        if not self.is_done and (frame := self._frames.end()):
            self._events = self._unclosed(frame)

    def next_event(self) -> ModelEvent | None:
        """The next event, or None when more bytes are needed."""
        while not self.is_done:
            event = next(self._events, None)
            if event is not None:
                return event
            frame = self._next_frame()
            if frame is None:
                return None
            self._events = self._of(frame)
        return None

    def _next_frame(self) -> sse.Frame | None:
        if self.is_done:
            return None
        try:
            frame = self._frames.next_frame()
        except sse.FrameTooLarge as error:
            raise GenerationFault(ReasonCode.PROVIDER_TOO_LARGE, str(error)) from None
        if frame is None:
            _check_size(self._body_bytes, self.max_body_bytes)
        return frame

    def _of(self, frame: sse.Frame) -> Iterator[ModelEvent]:
        if openai_errors.is_error_frame(frame):
            raise GenerationFault(ReasonCode.PROVIDER_ERROR_EVENT, "an error event")
        data = (frame.data or b"").strip()
        if data == _DONE:
            self.is_done = True
        elif data:
            yield from self._choice.events(_json_object(data))

    def _unclosed(self, frame: sse.Frame) -> Iterator[ModelEvent]:
        data = (frame.data or b"").strip()
        if openai_errors.is_error_frame(frame) or data == _DONE or _is_json(data):
            yield from self._of(frame)


@define
class PlainDecoder:
    """The same events out of a reply that came in one piece."""

    max_body_bytes: int = limits.RESPONSE_BODY_BYTES
    is_done: bool = field(default=False, init=False)
    _body: bytearray = field(factory=bytearray, init=False)
    _events: Iterator[ModelEvent] = field(factory=lambda: iter(()), init=False)

    def feed(self, data: bytes) -> None:
        """Take more bytes of the reply; refuses (GenerationFault) what is over the cap."""
        _check_size(len(self._body) + len(data), self.max_body_bytes)
        self._body += data

    def end(self) -> None:
        """The reply has ended: its events can be pulled."""
        self._events = self._of(bytes(self._body))

    def next_event(self) -> ModelEvent | None:
        """The next event; None before the end, and after the last."""
        return next(self._events, None)

    def _of(self, body: bytes) -> Iterator[ModelEvent]:
        root = _json_object(body)
        if root.get("choices") == []:
            openai_errors.raise_if_error(root)
            raise _shape("$.choices", "empty")
        yield from _Choice("message").events(root)
        self.is_done = True


@define
class _Choice:
    """The one choice of a reply, object by object. `_holder` is where its text stands."""

    _holder: str
    _named: bool = field(default=False, init=False)
    _finish: str | None = field(default=None, init=False)

    def events(self, root: Mapping[str, object]) -> Iterator[ModelEvent]:
        """What one JSON object of the reply says; an error object is a fault (CONTRACT §7)."""
        openai_errors.raise_if_error(root)
        model = _name(root, "model", "$")
        if model and not self._named:
            self._named = True
            yield ModelNamed(model)
        for choice in _choices(root):
            path = f"$.choices[0].{self._holder}"
            held = choice.get(self._holder)
            if not isinstance(held, dict):
                raise _shape(path, "not an object")
            yield from self._said(held, path)
            yield from self._ended(choice)
        yield from _usage(root.get("usage"))

    def _said(self, held: Mapping[str, object], path: str) -> Iterator[ModelEvent]:
        if any(held.get(name) for name in _REASONING):
            yield Reasoning()
        if text := _text(held, "content", path):
            if self._finish is not None:
                raise _shape(f"{path}.content", "after the end of the choice")
            yield Content(text)
        if _text(held, "refusal", path):
            yield Refusal()
        if any(held.get(name) for name in _TOOLS):
            yield ToolCall()

    def _ended(self, choice: Mapping[str, object]) -> Iterator[ModelEvent]:
        reason = _name(choice, "finish_reason", "$.choices[0]")
        if not reason or reason == self._finish:
            return
        if self._finish is not None:
            raise _shape("$.choices[0].finish_reason", "a second one")
        self._finish = reason
        yield Finished(reason)


def _choices(root: Mapping[str, object]) -> list[dict[str, object]]:
    """The one choice, or none: usage comes with an empty list."""
    choices = root.get("choices")
    if not isinstance(choices, list):
        raise _shape("$.choices", "not a list")
    if len(choices) > 1:
        raise _shape("$.choices", "more than one")
    for choice in choices:
        if not isinstance(choice, dict):
            raise _shape("$.choices[0]", "not an object")
        index = choice.get("index", 0)
        if isinstance(index, bool) or index != 0:
            raise _shape("$.choices[0].index", "not 0")
    return choices


def _usage(usage: object) -> Iterator[ModelEvent]:
    if usage is None:
        return
    if not isinstance(usage, dict):
        raise _shape("$.usage", "not an object")
    yield UsageReport(_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))


def _count(usage: Mapping[str, object], name: str) -> int:
    """A count of tokens; 0 where the server left it out."""
    value = usage.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limits.TOKENS_MAX:
        raise _shape(f"$.usage.{name}", "not a count")
    return value


def _text(held: Mapping[str, object], name: str, path: str) -> str:
    """A text; "" where it is absent or null, which all dialects use for nothing."""
    value = held.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _shape(f"{path}.{name}", "not a string")
    return value


def _name(held: Mapping[str, object], name: str, path: str) -> str:
    """A text that is told on: one that can be encoded."""
    value = _text(held, name, path)
    if strict_json.has_surrogate(value):
        raise _shape(f"{path}.{name}", "half a character")
    return value


def _shape(path: str, problem: str) -> GenerationFault:
    return GenerationFault(ReasonCode.PROVIDER_INVALID_SHAPE, f"{path}: {problem}")


def _check_size(body_bytes: int, max_body_bytes: int) -> None:
    if body_bytes > max_body_bytes:
        detail = f"the reply is over {max_body_bytes} bytes"
        raise GenerationFault(ReasonCode.PROVIDER_TOO_LARGE, detail)


def _json_object(data: bytes) -> dict[str, object]:
    try:
        data.decode()
        value = strict_json.loads(data, surrogates=True)
    except UnicodeDecodeError as error:
        detail = f"not UTF-8 at byte {error.start}"
        raise GenerationFault(ReasonCode.PROVIDER_INVALID_ENCODING, detail) from None
    except strict_json.ContractViolation as error:
        raise GenerationFault(ReasonCode.PROVIDER_INVALID_JSON, str(error)) from None
    if not isinstance(value, dict):
        raise _shape("$", "not an object")
    return value


def _is_json(data: bytes) -> bool:
    try:
        strict_json.loads(data, surrogates=True)
    except strict_json.ContractViolation:
        return False
    return True
