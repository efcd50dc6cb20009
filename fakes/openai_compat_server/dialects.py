"""The JSON an OpenAI server sends: frames of a chat, lists, errors.

One dialect so far, OpenAI's own: role first with empty content, `usage: null` on every frame of a
stream that will carry usage, usage alone on a frame without choices, and then `[DONE]`.
"""

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from fakes.openai_compat_server.seeded import Draw

JsonObject = Mapping[str, object]
MODELS = ("fake",)
_EPOCH_S = 1_750_000_000
_YEAR_S = 31_536_000


@frozen
class Completion:
    """A finished answer, cut into tokens, with what the wire says around it."""

    id: str
    created_s: int
    model: str
    tokens: tuple[str, ...]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def usage(self) -> JsonObject:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


def chat_id(draw: Draw) -> str:
    return f"chatcmpl-{draw.hex('id', 29)}"


def created_s(draw: Draw) -> int:
    """A believable time that no clock had a part in."""
    return _EPOCH_S + int(draw.fraction("created") * _YEAR_S)


def plain_body(done: Completion) -> JsonObject:
    message = {"role": "assistant", "content": "".join(done.tokens), "refusal": None}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": done.finish_reason,
    }
    return {**_head(done, "chat.completion"), "choices": [choice], "usage": done.usage}


def opening_frame(done: Completion, include_usage: bool) -> JsonObject:
    delta = {"role": "assistant", "content": "", "refusal": None}
    return _frame(done, delta, None, include_usage)


def token_frames(done: Completion, include_usage: bool) -> Iterator[JsonObject]:
    return (_frame(done, {"content": token}, None, include_usage) for token in done.tokens)


def closing_frames(done: Completion, include_usage: bool) -> Iterator[JsonObject]:
    yield _frame(done, {}, done.finish_reason, include_usage)
    if include_usage:
        yield {**_head(done, "chat.completion.chunk"), "choices": [], "usage": done.usage}


def models_body(models: Sequence[str]) -> JsonObject:
    entry = {"object": "model", "created": _EPOCH_S, "owned_by": "openai-compat-server"}
    return {"object": "list", "data": [{"id": model, **entry} for model in models]}


def error_body(message: str, param: str | None = None, code: str | None = None) -> JsonObject:
    error = {
        "message": message,
        "type": "invalid_request_error",
        "param": param,
        "code": code,
    }
    return {"error": error}


def _head(done: Completion, kind: str) -> JsonObject:
    named = {"id": done.id, "object": kind, "created": done.created_s, "model": done.model}
    return {**named, "system_fingerprint": "fp_openai_compat"}


def _frame(
    done: Completion, delta: JsonObject, finish_reason: str | None, include_usage: bool
) -> JsonObject:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    usage: JsonObject = {"usage": None} if include_usage else {}
    return {**_head(done, "chat.completion.chunk"), "choices": [choice], **usage}
