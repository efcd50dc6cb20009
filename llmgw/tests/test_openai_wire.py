# ruff: noqa: E501 - an event is one line, as the servers write it
"""The wire, bytes in, events out: golden traces of four dialects, and everything that is refused."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from contracts import limits
from contracts.reasons import ReasonCode
from llmgw.faults import GenerationFault
from llmgw.prompt import reply_schema
from llmgw.providers.openai_wire import PlainDecoder, StreamDecoder, encode_call
from llmgw.providers.port import (
    Content,
    Finished,
    ModelCall,
    ModelEvent,
    ModelNamed,
    PromptMessage,
    Reasoning,
    Refusal,
    ToolCall,
    UsageReport,
)

Seen = list[ModelEvent | ReasonCode]

CALL = ModelCall(
    model="llama3.1:8b-instruct",
    messages=(PromptMessage("system", "Be brief."), PromptMessage("user", "¿Qué es «dpkg»?")),
    max_tokens=512,
    temperature=0.2,
    stream=True,
    schema=reply_schema(2),
)


def drain(decoder: StreamDecoder | PlainDecoder, seen: Seen) -> bool:
    """Pull what there is; False once a fault has ended the reply."""
    try:
        while (event := decoder.next_event()) is not None:
            seen.append(event)
    except GenerationFault as fault:
        seen.append(fault.code)
        return False
    return True


def run(decoder: StreamDecoder | PlainDecoder, pieces: Sequence[bytes]) -> Seen:
    """The events of a reply that comes in these pieces, and the code of the fault that ends it."""
    seen: Seen = []
    try:
        for piece in pieces:
            decoder.feed(piece)
            if not drain(decoder, seen):
                return seen
    except GenerationFault as fault:
        return [*seen, fault.code]
    decoder.end()
    drain(decoder, seen)
    return seen


def stream(body: bytes) -> Seen:
    return run(StreamDecoder(), [body])


def plain(body: bytes) -> Seen:
    return run(PlainDecoder(), [body])


def chunk(delta: object, finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    root = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}
    return f"data: {json.dumps(root)}\n\n".encode()


def reply(message: object, finish: str | None = "stop", **more: object) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return json.dumps({"model": "m", "choices": [choice], **more}).encode()


OPENAI = b"""\
data: {"id":"chatcmpl-A1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-A1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"{\\"a"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-A1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}

data: {"id":"chatcmpl-A1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":0}}}

data: [DONE]

"""
VLLM = b"""\
data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"llama","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}

: keep-alive

data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"llama","choices":[{"index":0,"delta":{"reasoning_content":"hm"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"llama","choices":[{"index":0,"delta":{"content":"{\\"a"},"logprobs":null,"finish_reason":null}]}

data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"llama","choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":null}]}

data: {"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"llama","choices":[],"usage":{"prompt_tokens":12,"total_tokens":15,"completion_tokens":3}}

data: [DONE]

"""
LLAMACPP = b"""\
data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":1,"id":"chatcmpl-x","model":"gguf","system_fingerprint":"b1-0","object":"chat.completion.chunk"}

:

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"{\\"a"}}],"created":1,"id":"chatcmpl-x","model":"gguf","object":"chat.completion.chunk"}

data: {"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"created":1,"id":"chatcmpl-x","model":"gguf","object":"chat.completion.chunk"}

data: {"choices":[],"created":1,"id":"chatcmpl-x","model":"gguf","object":"chat.completion.chunk","usage":{"completion_tokens":3,"prompt_tokens":12,"total_tokens":15},"timings":{"prompt_n":12,"prompt_ms":1.5}}

data: [DONE]

"""
OLLAMA = b"""\
data: {"id":"chatcmpl-998","object":"chat.completion.chunk","created":1,"model":"llama3.1:8b-instruct","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"{\\"a"},"finish_reason":null}]}

data: {"id":"chatcmpl-998","object":"chat.completion.chunk","created":1,"model":"llama3.1:8b-instruct","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}

data: {"id":"chatcmpl-998","object":"chat.completion.chunk","created":1,"model":"llama3.1:8b-instruct","system_fingerprint":"fp_ollama","choices":[],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}

data: [DONE]

"""


def told(model: str, *before: ModelEvent) -> Seen:
    return [ModelNamed(model), *before, Content('{"a'), Finished("stop"), UsageReport(12, 3)]


GOLDEN = {
    "openai": (OPENAI, told("gpt-4o-mini")),
    "vllm": (VLLM, told("llama", Reasoning())),
    "llamacpp": (LLAMACPP, told("gguf")),
    "ollama": (OLLAMA, told("llama3.1:8b-instruct")),
}


@pytest.mark.parametrize("dialect", GOLDEN)
def test_events_when_a_dialect_completes(dialect: str) -> None:
    body, events = GOLDEN[dialect]
    assert stream(body) == events


@pytest.mark.parametrize("dialect", GOLDEN)
def test_events_when_lines_end_with_cr_or_crlf(dialect: str) -> None:
    body, events = GOLDEN[dialect]
    assert stream(body.replace(b"\n", b"\r\n")) == events
    assert stream(body.replace(b"\n", b"\r")) == events


ODD = {
    "no space, multi-line data, no blank line at the end": (
        b'\xef\xbb\xbfdata:{"choices":[{"delta":\ndata:{"content":"\xe2\x80\xa8\xf0\x9f\x98\x80"}}]}\n\n'
        b'data:{"choices":[{"delta":{},"finish_reason":"stop"}]}'
    ),
    "an error after content": chunk({"content": "né"})
    + b'data: {"error": "x"}\n\ndata: [DONE]\n\n',
    "bad UTF-8 after content": chunk({"content": "né"}) + b'data: {"\xc3("}\n\n',
    "a bare error line": chunk({"content": "né"}) + b'error: {"code":500}\n\n',
}


@given(
    body=st.sampled_from([body for body, _ in GOLDEN.values()] + list(ODD.values())),
    cuts=st.lists(st.integers(0, 1600), max_size=30),
)
def test_events_stay_the_same_when_bytes_are_cut_anyhow(body: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in pairwise(edges)]
    assert run(StreamDecoder(), pieces) == stream(body)


@pytest.mark.parametrize("name", ODD)
def test_events_stay_the_same_when_every_byte_comes_alone(name: str) -> None:
    body = ODD[name]
    assert run(StreamDecoder(), [bytes([b]) for b in body]) == stream(body)


def test_text_is_whole_when_it_holds_every_line_separator_but_ours() -> None:
    text = "a\u2028b\u2029c\u0085d\x0ce"
    body = (
        f"data: {json.dumps({'choices': [{'delta': {'content': text}}]}, ensure_ascii=False)}\n\n"
    )
    assert stream(body.encode()) == [Content(text)]


ERRORS = {
    "openai": b'data: {"error":{"message":"boom","type":"server_error","param":null,"code":null}}\n\n',
    "vllm, then DONE": (
        b'data: {"error":{"object":"error","message":"boom","type":"X","code":400}}\n\n'
        b"data: [DONE]\n\n"
    ),
    "flat": b'data: {"object":"error","message":"boom","type":"BadRequestError","code":400}\n\n',
    "a string": b'data: {"error":"boom"}\n\n',
    "llama.cpp, bare line": b'error: {"code":500,"message":"boom","type":"server_error"}\n\n',
    "llama.cpp, bare line, cut": b'error: {"code":500,"mess',
    "an event of that name": b'event: error\ndata: {"message":"boom"}\n\n',
    "no data prefix": b'{"error":{"message":"boom"}}\n\n',
}


@pytest.mark.parametrize("shape", ERRORS)
def test_fault_when_an_error_stands_in_the_stream(shape: str) -> None:
    seen = stream(chunk({"content": "a"}) + ERRORS[shape])
    assert seen == [ModelNamed("m"), Content("a"), ReasonCode.PROVIDER_ERROR_EVENT]


def test_detail_keeps_names_and_no_message_when_an_error_comes() -> None:
    decoder = StreamDecoder()
    decoder.feed(b'data: {"error":{"message":"key sk-1","type":"auth_error","code":"a b"}}\n\n')
    with pytest.raises(GenerationFault) as caught:
        decoder.next_event()
    assert caught.value.detail == "an error object type=auth_error"


STREAMED: dict[str, tuple[bytes, Seen]] = {
    "usage null, error null": (chunk({"content": "a"}, usage=None, error=None), [Content("a")]),
    "content null": (chunk({"role": "assistant", "content": None}), []),
    "no role": (chunk({"content": "a"}), [Content("a")]),
    "reasoning": (chunk({"reasoning": "hm"}), [Reasoning()]),
    "refusal": (chunk({"refusal": "No."}), [Refusal()]),
    "tool calls": (chunk({"tool_calls": [{"index": 0}]}, "tool_calls"), [ToolCall(), Finished("tool_calls")]),
    "function call": (chunk({"function_call": {"name": "f"}}), [ToolCall()]),
    "no tools": (chunk({"tool_calls": [], "function_call": None}), []),
    "the end said twice": (chunk({}, "stop") + chunk({}, "stop"), [Finished("stop")]),
    "empty delta, end of stream": (chunk({"content": ""}), []),
    "usage partly missing": (chunk({}, usage={"prompt_tokens": 7}), [UsageReport(7, 0)]),
    "index 1": (chunk({}).replace(b'"index": 0', b'"index": 1'), [ReasonCode.PROVIDER_INVALID_SHAPE]),
    "index true": (chunk({}).replace(b'"index": 0', b'"index": true'), [ReasonCode.PROVIDER_INVALID_SHAPE]),
    "no delta": (chunk(None), [ReasonCode.PROVIDER_INVALID_SHAPE]),
    "content of another type": (chunk({"content": ["a"]}), [ReasonCode.PROVIDER_INVALID_SHAPE]),
    "finish of another type": (
        chunk({}).replace(b'"finish_reason": null', b'"finish_reason": 1'),
        [ReasonCode.PROVIDER_INVALID_SHAPE],
    ),
    "two ends": (
        chunk({}, "stop") + chunk({}, "length"),
        [Finished("stop"), ReasonCode.PROVIDER_INVALID_SHAPE],
    ),
    "content after the end": (
        chunk({"content": "a"}, "stop") + chunk({"content": "b"}),
        [Content("a"), Finished("stop"), ReasonCode.PROVIDER_INVALID_SHAPE],
    ),
    "usage of another type": (chunk({}, usage=[]), [ReasonCode.PROVIDER_INVALID_SHAPE]),
    "usage negative": (chunk({}, usage={"prompt_tokens": -1}), [ReasonCode.PROVIDER_INVALID_SHAPE]),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMED)
def test_events_when_a_chunk_is_odd(name: str) -> None:
    body, events = STREAMED[name]
    assert stream(body) == [ModelNamed("m"), *events]


REFUSED = {
    "a list": (b"[]", ReasonCode.PROVIDER_INVALID_SHAPE),
    "a number": (b"7", ReasonCode.PROVIDER_INVALID_SHAPE),
    "no choices": (b'{"model":null}', ReasonCode.PROVIDER_INVALID_SHAPE),
    "choices null": (b'{"choices":null}', ReasonCode.PROVIDER_INVALID_SHAPE),
    "two choices": (b'{"choices":[{"index":0},{"index":1}]}', ReasonCode.PROVIDER_INVALID_SHAPE),
    "choice a string": (b'{"choices":["a"]}', ReasonCode.PROVIDER_INVALID_SHAPE),
    "model a number": (b'{"choices":[],"model":1}', ReasonCode.PROVIDER_INVALID_SHAPE),
    "a piece": (b'{"choices":[', ReasonCode.PROVIDER_INVALID_JSON),
    "NaN": (b'{"choices":NaN}', ReasonCode.PROVIDER_INVALID_JSON),
    "1e999": (b'{"choices":1e999}', ReasonCode.PROVIDER_INVALID_JSON),
    "5,000 digits": (b'{"choices":%b}' % (b"9" * 5000), ReasonCode.PROVIDER_INVALID_JSON),
    "20,000 deep": (b"[" * 20_000, ReasonCode.PROVIDER_INVALID_JSON),
    "half a character in the model": (b'{"choices":[],"model":"\\ud800"}', ReasonCode.PROVIDER_INVALID_SHAPE),
    "a key twice": (b'{"choices":[],"choices":[]}', ReasonCode.PROVIDER_INVALID_JSON),
    "not UTF-8": (b'{"choices":"\xff"}', ReasonCode.PROVIDER_INVALID_ENCODING),
    "half a character": (b'{"choices":"\xe2\x82"}', ReasonCode.PROVIDER_INVALID_ENCODING),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_fault_when_json_is_not_what_the_api_promises(name: str) -> None:
    data, code = REFUSED[name]
    assert stream(b"data: " + data + b"\n\n") == [code]
    assert plain(data) == [code]


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00", "\\ud83d"])
def test_half_a_character_is_content_when_it_is_escaped(half: str) -> None:
    """The event is JSON; that the text is none is for the scanner to say, in its place."""
    seen = stream(b'data: {"choices":[{"delta":{"content":"so %b"}}]}\n\n' % half.encode())
    assert seen == [Content("so " + json.loads(f'"{half}"'))]


def test_half_a_character_is_nothing_to_us_when_nobody_reads_it() -> None:
    data = b'{"id":"\\ud800","choices":[{"delta":{"content":"so"}}]}'
    assert stream(b"data: " + data + b"\n\n") == [Content("so")]


def test_done_ends_the_reply_when_more_follows() -> None:
    body = chunk({"content": "a"}) + b"data: [DONE]\n\n" + chunk({"content": "b"}) + b"data: {\n\n"
    decoder = StreamDecoder()
    assert run(decoder, [body, b"data: {\n\n"]) == [ModelNamed("m"), Content("a")]
    assert decoder.is_done


def test_last_event_counts_when_no_blank_line_closes_it() -> None:
    assert stream(chunk({"content": "a"}).rstrip()) == [ModelNamed("m"), Content("a")]


@pytest.mark.parametrize("kept", range(7, 40))
def test_last_event_is_dropped_when_it_is_cut(kept: int) -> None:
    assert stream(chunk({"content": "a"})[:kept]) == []


def test_fault_when_one_event_is_over_its_cap() -> None:
    body = chunk({"content": "a"}) + b"data: " + b"x" * (limits.EVENT_BYTES + 1)
    assert stream(body) == [ModelNamed("m"), Content("a"), ReasonCode.PROVIDER_TOO_LARGE]


def test_fault_when_the_stream_is_over_its_cap() -> None:
    one = chunk({"content": "a"})
    seen = run(StreamDecoder(max_body_bytes=3 * len(one)), [one * 4])
    assert seen == [ModelNamed("m"), *[Content("a")] * 3, ReasonCode.PROVIDER_TOO_LARGE]
    assert run(StreamDecoder(max_body_bytes=3 * len(one)), [one] * 4) == seen


@pytest.mark.parametrize("after", [b"x" * 200, b"data: " + b"x" * limits.EVENT_BYTES])
@pytest.mark.parametrize("cap", [100, limits.RESPONSE_BODY_BYTES])
def test_nothing_is_read_when_it_follows_the_done_in_the_same_piece(after: bytes, cap: int) -> None:
    said = chunk({"content": "a"}) + b"data: [DONE]\n\n"
    decoder = StreamDecoder(max(cap, len(said)))
    assert run(decoder, [said + after]) == [ModelNamed("m"), Content("a")]
    assert decoder.is_done


def test_fault_when_a_plain_body_is_over_its_cap() -> None:
    half = b" " * (limits.RESPONSE_BODY_BYTES // 2 + 1)
    assert run(PlainDecoder(), [half, half]) == [ReasonCode.PROVIDER_TOO_LARGE]


PLAIN: dict[str, tuple[bytes, Seen]] = {
    "whole": (
        reply({"role": "assistant", "content": "a"}, usage={"prompt_tokens": 12, "completion_tokens": 3}),
        [Content("a"), Finished("stop"), UsageReport(12, 3)],
    ),
    "vLLM's many nulls": (
        reply({"content": "a", "reasoning_content": None, "tool_calls": [], "refusal": None, "audio": None}),
        [Content("a"), Finished("stop")],
    ),
    "reasoned": (
        reply({"content": "a", "reasoning": "hm"}),
        [Reasoning(), Content("a"), Finished("stop")],
    ),
    "refused": (reply({"content": None, "refusal": "No."}), [Refusal(), Finished("stop")]),
    "not finished": (reply({"content": "a"}, None), [Content("a")]),
    "no message": (reply(None), [ReasonCode.PROVIDER_INVALID_SHAPE]),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_events_when_the_reply_is_plain(name: str) -> None:
    body, events = PLAIN[name]
    assert plain(body) == [ModelNamed("m"), *events]
    assert run(PlainDecoder(), [bytes([b]) for b in body]) == [ModelNamed("m"), *events]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error":{"message":"boom"}}', ReasonCode.PROVIDER_ERROR_EVENT),
        (b'{"error":"boom"}', ReasonCode.PROVIDER_ERROR_EVENT),
        (b'{"object":"error","message":"boom"}', ReasonCode.PROVIDER_ERROR_EVENT),
        (b'{"choices":[],"error":"boom"}', ReasonCode.PROVIDER_ERROR_EVENT),
        (b'{"choices":[]}', ReasonCode.PROVIDER_INVALID_SHAPE),
        (b"", ReasonCode.PROVIDER_INVALID_JSON),
        (b"<html></html>", ReasonCode.PROVIDER_INVALID_JSON),
    ],
)
def test_fault_when_a_plain_body_is_no_reply(body: bytes, code: ReasonCode) -> None:
    assert plain(body) == [code]


@given(data=st.binary(max_size=300), prefix=st.sampled_from([b"", b"data: ", b"data: {"]))
def test_only_faults_come_when_bytes_are_noise(data: bytes, prefix: bytes) -> None:
    for seen in (stream(prefix + data), plain(prefix + data)):
        assert all(isinstance(one, ReasonCode) for one in seen)


def test_payload_carries_the_call_when_it_streams_with_a_schema() -> None:
    assert json.loads(encode_call(CALL)) == {
        "model": "llama3.1:8b-instruct",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "¿Qué es «dpkg»?"},
        ],
        "max_tokens": 512,
        "temperature": 0.2,
        "stream": True,
        "stream_options": {"include_usage": True},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "cited_answer", "strict": True, "schema": reply_schema(2)},
        },
    }


def test_payload_is_utf8_when_texts_are_no_ascii() -> None:
    assert "¿Qué es «dpkg»?".encode() in encode_call(CALL)


def test_payload_leaves_out_what_is_not_asked_when_plain_without_schema() -> None:
    body = json.loads(encode_call(evolve(CALL, stream=False, schema=None)))
    assert body["stream"] is False
    assert sorted(body) == ["max_tokens", "messages", "model", "stream", "temperature"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"[]", "$: not an object"),
        (b"{}", "$.choices: not a list"),
        (b'{"choices":[],"model":1}', "$.model: not a string"),
        (b'{"choices":[],"model":"\\ud800"}', "$.model: half a character"),
        (b'{"choices":[{},{}]}', "$.choices: more than one"),
        (b'{"choices":["secret"]}', "$.choices[0]: not an object"),
        (b'{"choices":[{"index":1}]}', "$.choices[0].index: not 0"),
        (b'{"choices":[{"delta":"secret"}]}', "$.choices[0].delta: not an object"),
        (b'{"choices":[{"delta":{"content":7}}]}', "$.choices[0].delta.content: not a string"),
        (b'{"choices":[{"delta":{"refusal":7}}]}', "$.choices[0].delta.refusal: not a string"),
        (
            b'{"choices":[{"delta":{},"finish_reason":7}]}',
            "$.choices[0].finish_reason: not a string",
        ),
        (b'{"choices":[],"usage":[]}', "$.usage: not an object"),
        (
            b'{"choices":[],"usage":{"completion_tokens":-1}}',
            "$.usage.completion_tokens: not a count",
        ),
        (b'{"choices":"\xff"}', "not UTF-8 at byte 12"),
        (b'{"choices":NaN}', "$.choices: NaN is not a number JSON can carry"),
        (b'{"error":"secret"}', "an error object"),
    ],
)
def test_fault_names_its_place_and_quotes_nothing(body: bytes, detail: str) -> None:
    assert detail_of(StreamDecoder(), b"data: " + body + b"\n\n") == detail


def test_fault_names_its_place_when_two_events_do_not_fit() -> None:
    path = "$.choices[0]"
    two_ends = chunk({}, "stop") + chunk({}, "length")
    assert detail_of(StreamDecoder(), two_ends) == f"{path}.finish_reason: a second one"
    gone_on = chunk({}, "stop") + chunk({"content": "secret"})
    expected = f"{path}.delta.content: after the end of the choice"
    assert detail_of(StreamDecoder(), gone_on) == expected
    assert detail_of(StreamDecoder(), b"event: error\n\n") == "an error event"
    assert detail_of(PlainDecoder(), b'{"choices":[]}') == "$.choices: empty"
    assert detail_of(PlainDecoder(), reply(None)) == f"{path}.message: not an object"


def test_fault_names_the_cap_that_was_passed() -> None:
    assert detail_of(PlainDecoder(5), b"{    }") == "the reply is over 5 bytes"
    assert detail_of(StreamDecoder(5), b": long") == "the reply is over 5 bytes"
    whole = b"data: " + b"x" * limits.EVENT_BYTES
    assert detail_of(StreamDecoder(), whole) == f"one frame is over {limits.EVENT_BYTES} bytes"


def detail_of(decoder: StreamDecoder | PlainDecoder, body: bytes) -> str:
    with pytest.raises(GenerationFault) as caught:
        decoder.feed(body)
        while decoder.next_event():
            pass
        decoder.end()
        while decoder.next_event():
            pass
    return caught.value.detail


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
@pytest.mark.parametrize("count", [0, 1, limits.TOKENS_MAX])
def test_count_of_tokens_is_taken_at_its_ends(name: str, count: int) -> None:
    [_, report] = stream(chunk({}, usage={name: count}))
    assert report == UsageReport(**{"prompt_tokens": 0, "completion_tokens": 0, name: count})


@pytest.mark.parametrize("count", [-1, limits.TOKENS_MAX + 1, True, 1.0, "1", [], {}])
def test_count_of_tokens_is_refused_when_it_is_none(count: object) -> None:
    seen = stream(chunk({}, usage={"prompt_tokens": count}))
    assert seen == [ModelNamed("m"), ReasonCode.PROVIDER_INVALID_SHAPE]


def test_reply_is_done_when_all_of_it_was_pulled() -> None:
    decoder = PlainDecoder()
    body = reply({"content": "a"})
    decoder.feed(body)
    assert decoder.next_event() is None, "not before its end"
    decoder.end()
    assert not decoder.is_done
    assert [decoder.next_event() for _ in range(4)] == [
        ModelNamed("m"),
        Content("a"),
        Finished("stop"),
        None,
    ]
    assert decoder.is_done


def test_last_event_counts_when_it_holds_half_a_character() -> None:
    """As it does behind a blank line: that the text is none is for the scanner to say."""
    assert stream(b'data: {"choices":[{"delta":{"content":"\\ud800"}}]}') == [Content("\ud800")]


@pytest.mark.parametrize("cap", [0, 1])
def test_stream_up_to_its_cap_is_read(cap: int) -> None:
    body = chunk({"content": "a"})
    seen = run(StreamDecoder(max_body_bytes=len(body) - cap), [body])
    assert seen == ([ReasonCode.PROVIDER_TOO_LARGE] if cap else [ModelNamed("m"), Content("a")])


def test_payload_is_compact() -> None:
    assert b'": ' not in encode_call(CALL)
    assert b", " not in encode_call(evolve(CALL, schema=None))


def test_nothing_comes_of_an_event_without_data() -> None:
    assert stream(b"event: ping\n\n" + chunk({"content": "a"})) == [ModelNamed("m"), Content("a")]


def test_no_byte_past_the_cap_completes_an_event() -> None:
    body = chunk({"content": "a"})
    decoder = StreamDecoder(max_body_bytes=len(body) - 1)
    assert run(decoder, [body[:-1], body[-1:]]) == [ReasonCode.PROVIDER_TOO_LARGE]
