"""Ollama's `/v1`: the role on every delta, three-digit ids that come again, JSON as Go writes it.

It never says that a prompt is too long, nor that it is loading, and a failure within a stream is
swallowed: one empty delta, and the stream is over with no finish and no `[DONE]`.

A call comes whole, on one delta with empty content, once the model has written all of it; a call
cut short does not come at all (ollama/ollama, `ToToolCalls` and `ToChunk` in `openai/openai.go`,
`tools/tools.go`). The finish is `tool_calls` whatever the client asked for.
"""

import string
from collections.abc import Iterator, Sequence

from attrs import frozen

from fakes.openai_compat_server import wire
from fakes.openai_compat_server.chat_request import ChatRequest
from fakes.openai_compat_server.dialects.dialect import (
    EPOCH_S,
    Completion,
    Headers,
    JsonObject,
    KeepAlive,
    Mute,
    Refused,
    letters,
)
from fakes.openai_compat_server.dialects.ollama_request import read_chat
from fakes.openai_compat_server.seeded import Draw

_IDS = 999
_CALL_ID_CHARS = 8
_CALL_ID_ALPHABET = string.ascii_lowercase + string.digits
# Go's encoder makes its JSON safe to stand inside HTML and JavaScript.
_GO_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_SHORT_OF_PLACES = "server busy, please try again.  maximum pending requests exceeded"


@frozen
class Ollama:
    name: str = "ollama"
    json_type: str = "application/json"
    response_headers: Headers = ()
    stream_headers: Headers = (("content-type", "text/event-stream"),)
    done_event: bytes = wire.DONE_EVENT
    keep_alive: KeepAlive | None = None
    window_tokens: int | None = 4096
    closes_after_error: bool = False
    wrong_type_status: int | None = None

    def chat_id(self, draw: Draw) -> str:
        return f"chatcmpl-{int(draw.fraction('id') * _IDS)}"

    def call_id(self, draw: Draw, at: int, /) -> str:
        return f"call_{letters(draw, f'call{at}', _CALL_ID_CHARS, _CALL_ID_ALPHABET)}"

    def read_chat(self, body: bytes, /) -> ChatRequest:
        return read_chat(body)

    def to_json(self, payload: JsonObject) -> bytes:
        return _go_json(payload) + b"\n"

    def event(self, payload: JsonObject) -> bytes:
        return b"data: " + _go_json(payload) + b"\n\n"

    def plain_body(self, done: Completion) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": done.text}
        if done.thought:
            message = {**message, "reasoning": done.thought}
        if calls := list(_whole_calls(done)):
            message = {**message, "tool_calls": calls}
        choice = {"index": 0, "message": message, "finish_reason": done.finish_reason}
        return {**_head(done, "chat.completion"), "choices": [choice], "usage": done.usage}

    def opening_frames(self, _done: Completion, _include_usage: bool, /) -> Iterator[JsonObject]:
        return iter(())

    def token_frames(self, done: Completion, _: bool, /) -> Iterator[JsonObject]:
        for token in done.reasoning:
            yield _frame(done, "", None, {"reasoning": token})
        for token in done.tokens:
            yield _frame(done, token, None)
        for call in _whole_calls(done):
            yield _frame(done, "", None, {"tool_calls": [call]})

    def closing_frames(self, done: Completion, include_usage: bool, /) -> Iterator[JsonObject]:
        yield _frame(done, "", done.finish_reason)
        if include_usage:
            yield {**_head(done, "chat.completion.chunk"), "choices": [], "usage": done.usage}

    def failure(self, done: Completion, _: str, /) -> bytes:
        """The error is read as if it were a chunk, so that nothing of it is left: no model even."""
        return self.event({**_frame(done, "", None), "model": ""})

    def models_body(self, models: Sequence[str]) -> JsonObject:
        entry = {"object": "model", "created": EPOCH_S, "owned_by": "library"}
        return {"object": "list", "data": [{"id": model, **entry} for model in models]}

    def error_body(
        self, status: int, message: str, _param: str | None = None, _code: str | None = None, /
    ) -> JsonObject:
        kind = _TYPES.get(status, "api_error")
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}

    def refusal(
        self, status: int, message: str, _param: str | None = None, _code: str | None = None, /
    ) -> Refused:
        """What the web framework refuses itself, a body it can not read, has another end."""
        body = self.error_body(status, message)
        if status == 400:
            return Refused(status, _go_json(body), "application/json; charset=utf-8")
        return Refused(status, self.to_json(body), self.json_type)

    def unknown_path(self, _: str, /) -> Refused:
        return Refused(404, b"404 page not found", "text/plain")

    def wrong_method(self, _: str, allowed: Sequence[str], /) -> Refused:
        allow = (("allow", ", ".join(allowed)),)
        return Refused(405, b"405 method not allowed", "text/plain", allow)

    def loading(self) -> Mute:
        return Mute.SILENT

    def busy(self) -> Refused:
        return self.refusal(503, _SHORT_OF_PLACES)

    def too_long(self, _prompt_tokens: int, _window_tokens: int, /) -> Refused | None:
        return None


OLLAMA = Ollama()


def _head(done: Completion, kind: str) -> JsonObject:
    named = {"id": done.id, "object": kind, "created": done.created_s, "model": done.model}
    return {**named, "system_fingerprint": "fp_ollama"}


def _whole_calls(done: Completion) -> Iterator[JsonObject]:
    """What Go's JSON makes of the arguments stands in them before it makes text of them."""
    whole = done.calls[:-1] if done.finish_reason == "length" else done.calls
    for at, call in enumerate(whole):
        arguments = call.arguments.translate(_GO_ESCAPES)
        function = {"name": call.name, "arguments": arguments}
        yield {"id": call.id, "index": at, "type": "function", "function": function}


def _frame(
    done: Completion, content: str, finish_reason: str | None, more: JsonObject | None = None
) -> JsonObject:
    delta = {"role": "assistant", "content": content, **(more or {})}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {**_head(done, "chat.completion.chunk"), "choices": [choice]}


def _go_json(payload: JsonObject) -> bytes:
    return wire.to_json(payload).decode().translate(_GO_ESCAPES).encode()
