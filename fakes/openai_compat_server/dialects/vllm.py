"""vLLM's: role first, what a model leaves open as null, and `[DONE]` always, even after an error.

An error's `type` is the name of an exception and its `code` the status. Up to 0.10 error bodies
were flat (`{"object":"error",…}`) and reasoning was `reasoning_content`: `VLLM_0_10`.

A call opens with its id, its name and the first of its arguments, as where the client demands one;
where it is left to the model, the parser of the model's own tool syntax may cut them elsewhere
(vllm-project/vllm, `entrypoints/openai/serving_chat.py`). Its id is `chatcmpl-tool-…`
(`make_tool_call_id` in `entrypoints/chat_utils.py`). Its finish is OpenAI's.
"""

import json
from collections.abc import Iterator, Sequence

from attrs import frozen

from fakes.openai_compat_server import wire
from fakes.openai_compat_server.chat_request import ChatRequest, parse_chat
from fakes.openai_compat_server.dialects.dialect import (
    EPOCH_S,
    Call,
    Completion,
    Headers,
    JsonObject,
    KeepAlive,
    Mute,
    Refused,
)
from fakes.openai_compat_server.seeded import Draw

_TYPES = {400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError"}
_CARD = {"object": "model", "created": EPOCH_S, "owned_by": "vllm"}
_PERMISSION = {
    "object": "model_permission",
    "created": EPOCH_S,
    "allow_create_engine": False,
    "allow_sampling": True,
    "allow_logprobs": True,
    "allow_search_indices": False,
    "allow_view": True,
    "allow_fine_tuning": False,
    "organization": "*",
    "group": None,
    "is_blocking": False,
}


@frozen
class Vllm:
    name: str = "vllm"
    reasoning_field: str = "reasoning"
    nests_errors: bool = True
    uuid_chars: int = 16
    json_type: str = "application/json"
    response_headers: Headers = (("server", "uvicorn"),)
    stream_headers: Headers = (("content-type", "text/event-stream; charset=utf-8"),)
    done_event: bytes = wire.DONE_EVENT
    keep_alive: KeepAlive | None = None
    window_tokens: int | None = None
    closes_after_error: bool = False
    # `validate_json_request` in its entrypoints: a body that does not validate, no other status.
    wrong_type_status: int | None = 400

    def chat_id(self, draw: Draw) -> str:
        return f"chatcmpl-{draw.hex('id', 32)}"

    def call_id(self, draw: Draw, at: int, /) -> str:
        return f"chatcmpl-tool-{draw.hex(f'call{at}', self.uuid_chars)}"

    def read_chat(self, body: bytes, /) -> ChatRequest:
        """Fields it does not know are let pass: `extra="allow"`."""
        return parse_chat(body)

    def to_json(self, payload: JsonObject) -> bytes:
        return wire.to_json(payload)

    def event(self, payload: JsonObject) -> bytes:
        return wire.event(payload)

    def plain_body(self, done: Completion) -> JsonObject:
        message: JsonObject = {
            "role": "assistant",
            "content": done.text,
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            "tool_calls": [_whole(call) for call in done.calls],
            self.reasoning_field: done.thought,
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": done.finish_reason,
            "stop_reason": None,
            "token_ids": None,
        }
        return {
            **_head(done, "chat.completion"),
            "choices": [choice],
            "service_tier": None,
            "system_fingerprint": None,
            "usage": {**_usage(done), "prompt_tokens_details": None},
            "prompt_logprobs": None,
            "prompt_token_ids": None,
            "kv_transfer_params": None,
        }

    def opening_frames(self, done: Completion, _: bool, /) -> Iterator[JsonObject]:
        delta = {"role": "assistant", "content": ""}
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        yield {**_chunk(done), "choices": [choice], "prompt_token_ids": None}

    def token_frames(self, done: Completion, _: bool, /) -> Iterator[JsonObject]:
        said: list[JsonObject] = [{self.reasoning_field: token} for token in done.reasoning]
        said += [{"content": token} for token in done.tokens]
        for delta in (*said, *_call_deltas(done.calls)):
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
            yield {**_chunk(done), "choices": [{**choice, "token_ids": None}]}

    def closing_frames(self, done: Completion, include_usage: bool, /) -> Iterator[JsonObject]:
        choice = {
            "index": 0,
            "delta": {} if done.calls else {"content": ""},
            "logprobs": None,
            "finish_reason": done.finish_reason,
            "stop_reason": None,
            "token_ids": None,
        }
        yield {**_chunk(done), "choices": [choice]}
        if include_usage:
            yield {**_chunk(done), "choices": [], "usage": _usage(done)}

    def failure(self, _: Completion, message: str, /) -> bytes:
        """Python's own `json.dumps` writes this one, with its spaces and in ASCII."""
        error = json.dumps({"error": self._error(500, message, None)})
        return b"data: " + error.encode() + b"\n\n" + wire.DONE_EVENT

    def models_body(self, models: Sequence[str]) -> JsonObject:
        cards = [
            {
                "id": model,
                **_CARD,
                "root": model,
                "parent": None,
                "max_model_len": 8192,
                "permission": [{"id": f"modelperm-{at:032x}", **_PERMISSION}],
            }
            for at, model in enumerate(models)
        ]
        return {"object": "list", "data": cards}

    def error_body(
        self, status: int, message: str, param: str | None = None, _: str | None = None, /
    ) -> JsonObject:
        if status == 401:
            return {"error": "Unauthorized"}  # said by the middleware before the API
        error = self._error(status, message, param)
        return {"error": error} if self.nests_errors else error

    def refusal(
        self, status: int, message: str, param: str | None = None, _: str | None = None, /
    ) -> Refused:
        body = self.to_json(self.error_body(status, message, param))
        return Refused(status, body, self.json_type)

    def unknown_path(self, _: str, /) -> Refused:
        return self._framework_says(404)

    def wrong_method(self, _: str, allowed: Sequence[str], /) -> Refused:
        return self._framework_says(405, (("allow", ", ".join(allowed)),))

    def loading(self) -> Mute:
        return Mute.CLOSED

    def busy(self) -> Refused:
        """Where a cap on its queue was set; without one the request would wait."""
        return self.refusal(503, "The server is overloaded: too many requests are waiting.")

    def too_long(self, prompt_tokens: int, window_tokens: int, /) -> Refused:
        message = (
            f"This model's maximum context length is {window_tokens} tokens. However, your "
            f"request has {prompt_tokens} input tokens. Please reduce the length of the input "
            "messages."
        )
        return self.refusal(400, message, "input_tokens")

    def _error(self, status: int, message: str, param: str | None) -> JsonObject:
        kind = _TYPES.get(status) or wire.REASONS.get(status, "Error")
        error = {"message": message, "type": kind, "param": param, "code": status}
        return error if self.nests_errors else {"object": "error", **error}

    def _framework_says(self, status: int, headers: Headers = ()) -> Refused:
        """What the web framework refuses before the API is reached."""
        return Refused(
            status, self.to_json({"detail": wire.REASONS[status]}), self.json_type, headers
        )


VLLM = Vllm()
VLLM_0_10 = Vllm(
    name="vllm-0.10", reasoning_field="reasoning_content", nests_errors=False, uuid_chars=32
)


def _head(done: Completion, kind: str) -> JsonObject:
    return {"id": done.id, "object": kind, "created": done.created_s, "model": done.model}


def _chunk(done: Completion) -> JsonObject:
    return _head(done, "chat.completion.chunk")


def _whole(call: Call) -> JsonObject:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _call_deltas(calls: Sequence[Call]) -> Iterator[JsonObject]:
    for at, call in enumerate(calls):
        first, *rest = call.pieces or ("",)
        function = {"name": call.name, "arguments": first}
        opening = {"id": call.id, "type": "function", "index": at, "function": function}
        yield {"tool_calls": [opening]}
        for piece in rest:
            yield {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}


def _usage(done: Completion) -> JsonObject:
    """The same counts as everybody's, in vLLM's order."""
    names = ("prompt_tokens", "total_tokens", "completion_tokens")
    return {name: done.usage[name] for name in names}
