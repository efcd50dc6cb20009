"""Goal: the bytes of every response are what OpenAI would send, and depend on nothing hidden.

Method: requests in, plans out; one plain and one streamed call are written out in full.
"""

import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from fakes.openai_compat_server import (
    Behaviour,
    Ending,
    HttpRequest,
    Latency,
    Plan,
    plan_response,
)
from fakes.openai_compat_server.tests.fake_client import chat, dechunked, events, frames, posted

ECHO = Behaviour(seed=7, persona="echo", latency=Latency(0.1, 0.01))


def sent(plan: Plan) -> tuple[bytes, bytes]:
    """Head and body of a plan's bytes."""
    head, _, body = b"".join(step.data for step in plan.steps).partition(b"\r\n\r\n")
    return head, body


def got(method: str, target: str, version: str = "1.1", *headers: tuple[str, str]) -> HttpRequest:
    return HttpRequest(method, target, version, (("host", "x"), *headers), b"")


def error_of(plan: Plan) -> dict[str, object]:
    error = json.loads(sent(plan)[1])["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    return dict(error)


def test_a_plain_call_has_exactly_these_bytes() -> None:
    plan = plan_response(ECHO, posted(chat("Hello, world")))
    assert b"".join(step.data for step in plan.steps) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 348\r\n"
        b"connection: keep-alive\r\n\r\n"
        b'{"id":"chatcmpl-bbdc170036744c743b6035fa1c18a","object":"chat.completion",'
        b'"created":1769643831,"model":"m","system_fingerprint":"fp_openai_compat",'
        b'"choices":[{"index":0,"message":{"role":"assistant","content":"Hello, world",'
        b'"refusal":null},"logprobs":null,"finish_reason":"stop"}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6}}'
    )
    assert [step.delay_s for step in plan.steps] == [0.102824]


def test_a_streamed_call_has_exactly_these_bytes() -> None:
    body = chat("Hello, world", stream=True, stream_options={"include_usage": True})
    plan = plan_response(ECHO, posted(body))
    opening = (
        b'data: {"id":"chatcmpl-62f82940fee49fc11efe04ef9c474",'
        b'"object":"chat.completion.chunk","created":1776145937,"model":"m",'
        b'"system_fingerprint":"fp_openai_compat","choices":'
    )
    choice = b'[{"index":0,"delta":%s,"logprobs":null,"finish_reason":%s}],"usage":null}\n\n'
    usage = b'[],"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6}}\n\n'
    expected = [
        opening + choice % (b'{"role":"assistant","content":"","refusal":null}', b"null"),
        opening + choice % (b'{"content":"Hello,"}', b"null"),
        opening + choice % (b'{"content":" world"}', b"null"),
        opening + choice % (b"{}", b'"stop"'),
        opening + usage,
    ]
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\nconnection: keep-alive\r\n\r\n"
    )
    assert [step.data for step in plan.steps] == [
        head,
        *(b"%x\r\n%s\r\n" % (len(event), event) for event in expected),
        b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
    ]
    assert [step.delay_s for step in plan.steps] == [0.0, 0.108725, 0.0, 0.012011, 0.0, 0.0, 0.0]


_BODIES = st.builds(chat, st.text(st.characters(codec="utf-8"), max_size=60), stream=st.booleans())


@given(st.integers(), _BODIES)
def test_bytes_and_delays_are_the_same_when_seed_and_request_are(
    seed: int, body: dict[str, object]
) -> None:
    def plan() -> Plan:
        return plan_response(Behaviour(seed=seed, persona="echo"), posted(body))

    assert plan() == plan()


def test_only_ids_times_and_delays_change_when_the_seed_does() -> None:
    request = posted(chat("a b c", stream=True))
    one, other = (plan_response(Behaviour(seed, "echo"), request) for seed in (1, 2))
    assert one != other
    assert [f["choices"] for f in frames(dechunked(sent(one)[1]))] == [
        f["choices"] for f in frames(dechunked(sent(other)[1]))
    ]


def test_headers_of_the_client_do_not_change_the_answer() -> None:
    plain = plan_response(ECHO, posted(chat()))
    assert plan_response(ECHO, posted(chat(), **{"x-request-id": "another"})) == plain


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_the_deltas_join_to_the_text_when_it_is_anything(text: str) -> None:
    plan = plan_response(ECHO, posted(chat(text, stream=True)))
    deltas = [choice["delta"] for choice in _choices(plan)]
    assert "".join(delta.get("content", "") for delta in deltas) == text
    assert all(delta["content"] for delta in deltas[1:-1])


def _choices(plan: Plan) -> list[dict[str, dict[str, str]]]:
    return [
        json.loads(event)["choices"][0]
        for event in events(dechunked(sent(plan)[1]))
        if event != "[DONE]"
    ]


def test_a_stream_carries_no_usage_when_none_is_asked_for() -> None:
    plan = plan_response(ECHO, posted(chat(stream=True)))
    assert b"usage" not in sent(plan)[1]


def test_the_answer_is_cut_when_max_tokens_is_reached() -> None:
    plan = plan_response(ECHO, posted(chat("0123456789", max_tokens=2)))
    reply = json.loads(sent(plan)[1])
    assert reply["choices"][0]["message"]["content"] == "01234567"
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 2


def test_the_answer_ends_before_a_stop_sequence() -> None:
    reply = json.loads(sent(plan_response(ECHO, posted(chat("one END two", stop=["END"]))))[1])
    assert reply["choices"][0]["message"]["content"] == "one "
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_http_1_0_gets_a_stream_without_chunks_that_ends_by_closing() -> None:
    plan = plan_response(ECHO, evolve(posted(chat("hi", stream=True)), version="1.0"))
    head, body = sent(plan)
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert plan.ending is Ending.CLOSE
    assert events(body)[-1] == "[DONE]"


def test_models_and_health_answer() -> None:
    models = json.loads(sent(plan_response(ECHO, got("GET", "/v1/models?limit=1")))[1])
    assert [model["id"] for model in models["data"]] == ["fake"]
    assert sent(plan_response(ECHO, got("GET", "/health")))[1] == b'{"status":"ok"}'


def test_head_answers_as_get_without_a_body() -> None:
    head, body = sent(plan_response(ECHO, got("HEAD", "/health")))
    assert (head, body) == (sent(plan_response(ECHO, got("GET", "/health")))[0], b"")


@pytest.mark.parametrize("target", ["/", "/v1", "/v1/chat/completions/", "/v1/unknown", "*"])
def test_an_unknown_path_is_404(target: str) -> None:
    plan = plan_response(ECHO, got("GET", target))
    assert (plan.status, plan.ending) == (404, Ending.KEEP)
    assert error_of(plan)["message"] == f"Invalid URL (GET {target})"


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/health", b"GET"),
        ("DELETE", "/v1/models", b"GET"),
        ("GET", "/v1/chat/completions", b"POST"),
        ("OPTIONS", "/v1/chat/completions", b"POST"),
    ],
)
def test_a_wrong_method_is_405(method: str, target: str, allowed: bytes) -> None:
    plan = plan_response(ECHO, got(method, target))
    assert plan.status == 405
    assert b"\r\nallow: " + allowed in sent(plan)[0]
    assert error_of(plan)["code"] == "method_not_supported"


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"{", None), ({"model": "m"}, "messages"), ({"messages": []}, "model"), (chat(n=2), "n")],
)
def test_a_bad_body_is_400_with_its_parameter(
    body: bytes | dict[str, object], param: str | None
) -> None:
    plan = plan_response(ECHO, posted(body))
    assert (plan.status, error_of(plan)["param"]) == (400, param)


def test_a_schema_nothing_meets_is_400_with_its_place() -> None:
    schema = {"type": "object", "properties": {"colour": False}, "required": ["colour"]}
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    plan = plan_response(Behaviour(), posted(chat(response_format=form)))
    place = "response_format.json_schema.schema.properties.colour"
    assert (plan.status, error_of(plan)["param"]) == (400, place)


def test_another_content_type_is_415() -> None:
    plan = plan_response(ECHO, posted(chat(), **{"content-type": "text/plain"}))
    assert plan.status == 415
    error_of(plan)


def test_the_connection_closes_when_the_client_wishes() -> None:
    plan = plan_response(ECHO, got("GET", "/health", "1.1", ("connection", "close")))
    assert plan.ending is Ending.CLOSE
    assert b"connection: close" in sent(plan)[0]
