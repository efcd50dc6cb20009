"""llama.cpp's: role first with `content: null`, the choices before everything else, and `timings`
on the last frame that is not `[DONE]`. Errors carry the status as an integer `code`.

A call opens with its id, its name and the first of its arguments; in a plain answer its id comes
last and the content is empty, not null.

Held against the real server by `make test-fidelity`.
"""

from collections.abc import Iterator, Sequence

from attrs import frozen

from fakes.openai_compat_server import wire
from fakes.openai_compat_server.chat_request import ChatRequest
from fakes.openai_compat_server.dialects.dialect import (
    EPOCH_S,
    Call,
    Completion,
    Headers,
    JsonObject,
    KeepAlive,
    Refused,
    letters,
)
from fakes.openai_compat_server.dialects.llamacpp_request import read_chat
from fakes.openai_compat_server.seeded import Draw

_ID_CHARS = 32
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}
# Sent while the prompt is read too, and no sooner by default: `--sse-ping-interval`.
_PING = KeepAlive(b":\n\n", 30.0)
# The speed that `timings` tell of: a small model on two cores.
_PROMPT_TOKEN_MS = 5.4
_PREDICTED_TOKEN_MS = 10.0
_META = {
    "vocab_type": 2,
    "n_vocab": 49152,
    "n_ctx": 4096,
    "n_ctx_train": 8192,
    "n_embd": 576,
    "n_params": 134515008,
    "size": 96576768,
    "ftype": "Q4_1",
}


@frozen
class LlamaCpp:
    name: str = "llamacpp"
    json_type: str = "application/json; charset=utf-8"
    response_headers: Headers = (("server", "llama.cpp"), ("access-control-allow-origin", ""))
    stream_headers: Headers = (("x-accel-buffering", "no"), ("content-type", "text/event-stream"))
    done_event: bytes = wire.DONE_EVENT
    keep_alive: KeepAlive | None = _PING
    window_tokens: int | None = None
    closes_after_error: bool = True
    wrong_type_status: int | None = None

    def chat_id(self, draw: Draw) -> str:
        return f"chatcmpl-{letters(draw, 'id', _ID_CHARS)}"

    def call_id(self, draw: Draw, at: int, /) -> str:
        return letters(draw, f"call{at}", _ID_CHARS)

    def read_chat(self, body: bytes, /) -> ChatRequest:
        return read_chat(body)

    def to_json(self, payload: JsonObject) -> bytes:
        return wire.to_json(payload)

    def event(self, payload: JsonObject) -> bytes:
        return wire.event(payload)

    def plain_body(self, done: Completion) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": done.text}
        if done.thought:
            message = {**message, "reasoning_content": done.thought}
        if done.calls:
            message = {**message, "tool_calls": [_whole(call) for call in done.calls]}
        choice = {"finish_reason": done.finish_reason, "index": 0, "message": message}
        return {
            "choices": [choice],
            "created": done.created_s,
            "model": done.model,
            "system_fingerprint": "b0-unknown",
            "object": "chat.completion",
            "usage": _usage(done),
            "id": done.id,
            "timings": _timings(done),
        }

    def opening_frames(self, done: Completion, _: bool, /) -> Iterator[JsonObject]:
        yield _frame(done, {"role": "assistant", "content": None})

    def token_frames(self, done: Completion, _: bool, /) -> Iterator[JsonObject]:
        for token in done.reasoning:
            yield _frame(done, {"reasoning_content": token})
        for token in done.tokens:
            yield _frame(done, {"content": token})
        for at, call in enumerate(done.calls):
            first, *rest = call.pieces or ("",)
            function = {"name": call.name, "arguments": first}
            opening = {"index": at, "id": call.id, "type": "function", "function": function}
            yield _frame(done, {"tool_calls": [opening]})
            for piece in rest:
                argument = {"index": at, "function": {"arguments": piece}}
                yield _frame(done, {"tool_calls": [argument]})

    def closing_frames(self, done: Completion, include_usage: bool, /) -> Iterator[JsonObject]:
        finish = _frame(done, {}, done.finish_reason)
        if include_usage:
            yield finish
            yield {**_chunk(done, []), "usage": _usage(done), "timings": _timings(done)}
        else:
            yield {**finish, "timings": _timings(done)}

    def failure(self, _: Completion, message: str, /) -> bytes:
        return self.event(self.error_body(500, message))

    def models_body(self, models: Sequence[str]) -> JsonObject:
        """Ollama's list and OpenAI's in one object."""
        return {
            "models": [_ollama_card(model) for model in models],
            "object": "list",
            "data": [_openai_card(model) for model in models],
        }

    def error_body(
        self,
        status: int,
        message: str,
        _param: str | None = None,
        _code: str | None = None,
        /,
    ) -> JsonObject:
        kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        return {"error": {"code": status, "message": message, "type": kind}}

    def refusal(
        self,
        status: int,
        message: str,
        _param: str | None = None,
        _code: str | None = None,
        /,
    ) -> Refused:
        return Refused(status, self.to_json(self.error_body(status, message)), self.json_type)

    def unknown_path(self, _: str, /) -> Refused:
        return self._front_says(404, "File Not Found")

    def wrong_method(self, line: str, _: Sequence[str], /) -> Refused:
        """A method that a path does not have is, to this server, no such path."""
        return self.unknown_path(line)

    def loading(self) -> Refused:
        return self._front_says(503, "Loading model")

    def busy(self) -> Refused | None:
        return None

    def too_long(self, prompt_tokens: int, window_tokens: int, /) -> Refused:
        error = {
            "code": 400,
            "message": f"request ({prompt_tokens} tokens) exceeds the available context size "
            f"({window_tokens} tokens), try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": prompt_tokens,
            "n_ctx": window_tokens,
        }
        return Refused(400, self.to_json({"error": error}), self.json_type)

    def _front_says(self, status: int, message: str) -> Refused:
        """What is refused before a handler is reached has its fields in another order."""
        error = {"message": message, "type": _TYPES[status], "code": status}
        return Refused(status, self.to_json({"error": error}), self.json_type)


LLAMACPP = LlamaCpp()


def _whole(call: Call) -> JsonObject:
    function = {"name": call.name, "arguments": call.arguments}
    return {"type": "function", "function": function, "id": call.id}


def _frame(done: Completion, delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
    return _chunk(done, [{"finish_reason": finish_reason, "index": 0, "delta": delta}])


def _chunk(done: Completion, choices: list[JsonObject]) -> JsonObject:
    return {
        "choices": choices,
        "created": done.created_s,
        "id": done.id,
        "model": done.model,
        "system_fingerprint": "b0-unknown",
        "object": "chat.completion.chunk",
    }


def _usage(done: Completion) -> JsonObject:
    return {
        "completion_tokens": done.completion_tokens,
        "prompt_tokens": done.prompt_tokens,
        "total_tokens": done.usage["total_tokens"],
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def _timings(done: Completion) -> JsonObject:
    prompt_n, predicted_n = done.prompt_tokens, done.completion_tokens
    return {
        "cache_n": 0,
        "prompt_n": prompt_n,
        "prompt_ms": round(prompt_n * _PROMPT_TOKEN_MS, 3),
        "prompt_per_token_ms": _PROMPT_TOKEN_MS,
        "prompt_per_second": 1000 / _PROMPT_TOKEN_MS,
        "predicted_n": predicted_n,
        "predicted_ms": round(predicted_n * _PREDICTED_TOKEN_MS, 3),
        "predicted_per_token_ms": _PREDICTED_TOKEN_MS,
        "predicted_per_second": 1000 / _PREDICTED_TOKEN_MS,
    }


def _ollama_card(model: str) -> JsonObject:
    details = {
        "parent_model": "",
        "format": "gguf",
        "family": "",
        "families": [""],
        "parameter_size": "",
        "quantization_level": "",
    }
    return {
        "name": model,
        "model": model,
        "modified_at": "",
        "size": "",
        "digest": "",
        "type": "model",
        "description": "",
        "tags": [""],
        "capabilities": ["completion"],
        "parameters": "",
        "details": details,
    }


def _openai_card(model: str) -> JsonObject:
    return {
        "id": model,
        "aliases": [model],
        "tags": [],
        "object": "model",
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "created": EPOCH_S,
        "owned_by": "llamacpp",
        "meta": _META,
    }
