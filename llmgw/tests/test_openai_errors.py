# ruff: noqa: E501 - a server's error is one line
"""Refused statuses: every one has its code, every dialect's error body is read."""

import json

import pytest

from llmgw.providers.openai_errors import fault_of_status, is_error_body, rejects_schema

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def fault(
    status: int, body: object = None, retry_after: str | None = None
) -> tuple[str, int | None]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = fault_of_status(status, retry_after, raw, NOW)
    return found.code.removeprefix("PROVIDER_"), found.retry_after_ms


def test_code_when_a_status_says_nothing_more() -> None:
    named = {
        400: "BAD_REQUEST",
        401: "AUTH",
        403: "AUTH",
        404: "MODEL_NOT_FOUND",
        422: "BAD_REQUEST",
        429: "RATE_LIMITED",
        503: "OVERLOADED",
    }
    for status in range(100, 1000):
        other = "SERVER_ERROR" if 500 <= status < 600 else "UNEXPECTED_STATUS"
        assert fault(status) == (named.get(status, other), None)
        assert fault(status, b"<html>502 Bad Gateway</html>") == fault(status)


OVERFLOWS = {
    "openai": {"error": {"message": "m", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}},
    "vllm": {"error": {"message": "This model's maximum context length is 4096 tokens. However, …", "type": "BadRequestError", "param": None, "code": 400}},
    "vllm, flat": {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "param": None, "code": 400},
    "vllm, decoder": {"error": {"message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096."}},
    "llama.cpp": {"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error", "n_ctx": 4096}},
    "a string": {"error": "the input length exceeds the context length"},
    "a bare string": "context length exceeded",
}  # fmt: skip


@pytest.mark.parametrize("name", OVERFLOWS)
@pytest.mark.parametrize("status", [400, 422])
def test_code_is_overflow_when_the_prompt_is_too_long(status: int, name: str) -> None:
    assert fault(status, OVERFLOWS[name]) == ("CONTEXT_OVERFLOW", None)
    assert not rejects_schema(status, json.dumps(OVERFLOWS[name]).encode())


def test_code_is_the_status_own_when_only_a_503_says_overflow() -> None:
    assert fault(503, OVERFLOWS["openai"]) == ("OVERLOADED", None)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        {"error": "Model llama is currently loading"},
        "Loading model",
    ],
)
def test_code_is_loading_when_a_503_says_so(body: object) -> None:
    assert fault(503, body) == ("LOADING", None)


def test_code_is_overloaded_when_ollama_is_busy() -> None:
    busy = {
        "error": {"message": "server busy, please try again", "type": "api_error", "code": None}
    }
    assert fault(503, busy, "2") == ("OVERLOADED", 2_000)


@pytest.mark.parametrize(
    ("header", "retry_after_ms"),
    [
        ("0", 0),
        ("7", 7_000),
        (" 7 ", 7_000),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30_000),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30_000),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
        ("Tue, 14 Nov 999999999 22:13:50 GMT", None),
        ("Tue, 14 Nov 2023 22:13:99999999999999999999 GMT", None),
        ("Tue, 14 Nov 2023 22:-99999999999:50 GMT", None),
        ("\x1f7", 7_000),
        ("٣", None),
    ],
)
def test_retry_after_is_read_when_it_is_seconds_or_a_date(
    header: str, retry_after_ms: int | None
) -> None:
    assert fault(429, None, header) == ("RATE_LIMITED", retry_after_ms)
    assert fault(503, None, header) == ("OVERLOADED", retry_after_ms)
    assert fault(500, None, header) == ("SERVER_ERROR", None)


@pytest.mark.parametrize(
    ("status", "body", "rejected"),
    [
        (400, {"error": {"message": "Invalid schema for response_format 'x'"}}, True),
        (400, {"error": {"message": "m", "param": "response_format"}}, True),
        (400, {"error": {"code": 400, "message": "failed to parse grammar"}}, True),
        (422, {"detail": [{"loc": ["body"], "message": "json_schema is not permitted"}]}, True),
        (422, {"detail": "structured output is not supported"}, True),
        (400, {"error": {"message": "temperature must be at most 2"}}, False),
        (500, {"error": {"message": "failed to parse grammar"}}, False),
        (400, None, False),
    ],
)
def test_schema_is_known_as_rejected_when_a_400_names_it(
    status: int, body: object, rejected: bool
) -> None:
    assert rejects_schema(status, json.dumps(body).encode()) is rejected


def test_detail_names_type_and_code_when_they_are_names() -> None:
    body = {
        "error": {"message": "Incorrect API key sk-1", "type": "auth", "code": "invalid_api_key"}
    }
    found = fault_of_status(401, None, json.dumps(body).encode(), NOW)
    assert found.detail == "HTTP 401 type=auth code=invalid_api_key"


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 20_000, b"\xff", b"9" * 5_000, b"null", b"[1]"])
def test_nothing_breaks_when_a_body_is_noise(body: bytes) -> None:
    assert fault(400, body) == ("BAD_REQUEST", None)
    assert not rejects_schema(400, body)
    assert not is_error_body(body)
