"""OpenAI's own: role first with empty content, `usage: null` on every frame of a stream that will
carry usage, usage alone on a frame without choices, and then `[DONE]`.

A call opens with its id, its name and no arguments; where it is the only one the role stands on
the same frame, as in any recorded stream of api.openai.com. Its finish is `tool_calls`, but `stop`
where the client named the function (community.openai.com/t/731488/13, and "Handling edge cases" in
OpenAI's guide to function calling).
"""

from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

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
from fakes.openai_compat_server.dialects.openai_request import read_chat
from fakes.openai_compat_server.seeded import Draw

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_CALL_ID_CHARS = 24
_OUR_FAULT = 500  # from here on the server speaks of itself


@frozen
class OpenAi:
    name: str = "openai"
    json_type: str = "application/json"
    response_headers: Headers = ()
    stream_headers: Headers = (
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache"),
    )
    done_event: bytes = wire.DONE_EVENT
    keep_alive: KeepAlive | None = None
    window_tokens: int | None = None
    closes_after_error: bool = False
    wrong_type_status: int | None = 415

    def chat_id(self, draw: Draw) -> str:
        return f"chatcmpl-{draw.hex('id', 29)}"

    def call_id(self, draw: Draw, at: int, /) -> str:
        return f"call_{letters(draw, f'call{at}', _CALL_ID_CHARS)}"

    def read_chat(self, body: bytes, /) -> ChatRequest:
        return read_chat(body)

    def to_json(self, payload: JsonObject) -> bytes:
        return wire.to_json(payload)

    def event(self, payload: JsonObject) -> bytes:
        return wire.event(payload)

    def plain_body(self, done: Completion) -> JsonObject:
        said: JsonObject = {"content": done.text}
        if done.calls:
            said = {"content": None, "tool_calls": [_whole(call) for call in done.calls]}
        message = {"role": "assistant", **said, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": done.finish_reason,
        }
        return {**_head(done, "chat.completion"), "choices": [choice], "usage": done.usage}

    def opening_frames(self, done: Completion, include_usage: bool, /) -> Iterator[JsonObject]:
        said: JsonObject = {"content": None if done.calls else ""}
        if len(done.calls) == 1:
            said = {**said, "tool_calls": [_opening(0, done.calls[0])]}
        yield _frame(done, {"role": "assistant", **said, "refusal": None}, None, include_usage)

    def token_frames(self, done: Completion, include_usage: bool, /) -> Iterator[JsonObject]:
        """The API keeps its models' reasoning to itself, so there is none to send."""
        said = [{"content": token} for token in done.tokens]
        for delta in (*said, *_call_deltas(done.calls)):
            yield _frame(done, delta, None, include_usage)

    def closing_frames(self, done: Completion, include_usage: bool, /) -> Iterator[JsonObject]:
        yield _frame(done, {}, done.finish_reason, include_usage)
        if include_usage:
            yield {**_head(done, "chat.completion.chunk"), "choices": [], "usage": done.usage}

    def failure(self, _: Completion, message: str, /) -> bytes:
        return self.event(self.error_body(500, message))

    def models_body(self, models: Sequence[str]) -> JsonObject:
        entry = {"object": "model", "created": EPOCH_S, "owned_by": "openai-compat-server"}
        return {"object": "list", "data": [{"id": model, **entry} for model in models]}

    def error_body(
        self, status: int, message: str, param: str | None = None, code: str | None = None, /
    ) -> JsonObject:
        usual = "server_error" if status >= _OUR_FAULT else "invalid_request_error"
        kind = _TYPES.get(status, usual)
        return {"error": {"message": message, "type": kind, "param": param, "code": code}}

    def refusal(
        self, status: int, message: str, param: str | None = None, code: str | None = None, /
    ) -> Refused:
        body = self.to_json(self.error_body(status, message, param, code))
        return Refused(status, body, self.json_type)

    def unknown_path(self, line: str, /) -> Refused:
        return self.refusal(404, f"Invalid URL ({line})")

    def wrong_method(self, line: str, allowed: Sequence[str], /) -> Refused:
        method, _, target = line.partition(" ")
        message = f"Not allowed to {method} on {target}."
        refused = self.refusal(405, message, None, "method_not_supported")
        return evolve(refused, headers=(("allow", ", ".join(allowed)),))

    def loading(self) -> Refused:
        """No model of OpenAI's is seen loading: the engine is overloaded."""
        return self.busy()

    def busy(self) -> Refused:
        return self.refusal(503, "The engine is currently overloaded, please try again later.")

    def too_long(self, prompt_tokens: int, window_tokens: int, /) -> Refused:
        message = (
            f"This model's maximum context length is {window_tokens} tokens. However, your "
            f"messages resulted in {prompt_tokens} tokens. Please reduce the length of the "
            "messages."
        )
        return self.refusal(400, message, "messages", "context_length_exceeded")


OPENAI = OpenAi()


def _head(done: Completion, kind: str) -> JsonObject:
    named = {"id": done.id, "object": kind, "created": done.created_s, "model": done.model}
    return {**named, "system_fingerprint": "fp_openai_compat"}


def _whole(call: Call) -> JsonObject:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _opening(at: int, call: Call) -> JsonObject:
    return {"index": at, **_whole(evolve(call, pieces=()))}


def _call_deltas(calls: Sequence[Call]) -> Iterator[JsonObject]:
    """After the opening frame, which has opened a call that is the only one."""
    for at, call in enumerate(calls):
        if len(calls) > 1:
            yield {"tool_calls": [_opening(at, call)]}
        for piece in call.pieces:
            yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}


def _frame(
    done: Completion, delta: JsonObject, finish_reason: str | None, include_usage: bool
) -> JsonObject:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    usage: JsonObject = {"usage": None} if include_usage else {}
    return {**_head(done, "chat.completion.chunk"), "choices": [choice], **usage}
