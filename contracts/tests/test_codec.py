"""Goal: nothing is coerced; what breaks the contract is named by its exact place; all comes back.

Method: bytes in, the type or the violations out; and round trips of every type there is.
"""

import json
import time

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from contracts.chat import ChatRequest, ErrorBody
from contracts.codec import ContractViolation, Violation, decode, encode, structure
from contracts.events import Delta, Done, Meta
from contracts.generation import GenerateRequest
from contracts.limits import CHAT_BODY_BYTES, GENERATE_BODY_BYTES, VIOLATIONS_LISTED
from contracts.reasons import MessageKey, NextAction, ReasonCode
from contracts.tests.shapes import KINDS, encoded, legal, quick

ASKED = {"message": {"role": "user", "content": "Why?"}}


def violated(data: bytes, kind: type = ChatRequest) -> ContractViolation:
    with pytest.raises(ContractViolation) as caught:
        decode(data, kind)
    return caught.value


def found(data: bytes, kind: type = ChatRequest) -> list[tuple[str, str]]:
    return [(v.path, v.problem) for v in violated(data, kind).violations]


@pytest.mark.parametrize("kind", KINDS)
@quick(20)
@given(data=st.data())
def test_value_comes_back_as_encoded(kind: type[object], data: st.DataObject) -> None:
    value = decode(encoded(data.draw(legal(kind))), kind)
    again = encode(value)
    assert decode(again, kind) == value
    assert encode(decode(again, kind)) == again


def test_encoding_is_compact_utf_8_and_leaves_out_what_is_the_default() -> None:
    request = decode(encoded(ASKED | {"options": {"top_k": 6, "stream": True}}), ChatRequest)
    expected = '{"message":{"role":"user","content":"Why?"},"options":{"stream":true}}'
    assert encode(request) == expected.encode()
    assert encode(Delta("é\u2028🙂\n")) == '{"delta":"é\u2028🙂\\n"}'.encode()


def test_response_keeps_every_key() -> None:
    meta = Meta("v1", "1" * 32, "r", None)
    assert json.loads(encode(meta)) == {
        "version": "v1",
        "trace_id": "1" * 32,
        "request_id": "r",
        "session_id": None,
    }


def test_words_of_a_closed_set_come_back_as_its_members() -> None:
    done = decode(
        b'{"status":"fallback","reason_code":"HOP_TIMEOUT","message_key":"busy",'
        b'"next_action":"RETRY","retry_after_ms":null,"model":null,"citations":[],"usage":null,'
        b'"timings_ms":{}}',
        Done,
    )
    assert done.reason_code is ReasonCode.HOP_TIMEOUT
    assert done.message_key is MessageKey.BUSY
    assert done.next_action is NextAction.RETRY


@pytest.mark.parametrize("code", ["NO_SUCH_CODE", "hop_timeout", "", 1, ["HOP_TIMEOUT"]])
def test_word_outside_its_closed_set_is_refused(code: object) -> None:
    body = {"error": {"code": code, "message": "m", "details": []}}
    ids = {"trace_id": "1" * 32, "request_id": "r"}
    ((path, problem),) = found(encoded(body | ids), ErrorBody)
    assert path == "$.error.code"
    assert problem.startswith("expected one of INPUT_INVALID, ")


def with_option(key: str, literal: str) -> bytes:
    return b'{"message":{"role":"user","content":"Why?"},"options":{"%b":%b}}' % (
        key.encode(),
        literal.encode(),
    )


@pytest.mark.parametrize(
    ("key", "literal", "problem"),
    [
        ("top_k", "1.0", "expected an integer, got a number with a fraction"),
        ("top_k", "6e0", "expected an integer, got a number with a fraction"),
        ("top_k", "true", "expected an integer, got a boolean"),
        ("top_k", '"6"', "expected an integer, got a string"),
        ("top_k", "null", "expected an integer, got null"),
        ("top_k", "[6]", "expected an integer, got an array"),
        ("top_k", "0", "must be at least 1"),
        ("top_k", "21", "must be at most 20"),
        ("stream", "1", "expected a boolean, got a number"),
        ("stream", "0.0", "expected a boolean, got a number"),
        ("stream", '"true"', "expected a boolean, got a string"),
        ("stream", "null", "expected a boolean, got null"),
        ("stream", "{}", "expected a boolean, got an object"),
        ("unknown", "1", "unknown key"),
        ("top_k", "NaN", "NaN is not a number JSON can carry"),
        ("top_k", "1e999", "1e999 is not a number JSON can carry"),
        ("top_k", "9" * 5_000, "the number is not a number JSON can carry"),
    ],
)
def test_option_of_another_type_is_refused(key: str, literal: str, problem: str) -> None:
    assert found(with_option(key, literal)) == [(f"$.options.{key}", problem)]


@pytest.mark.parametrize(
    ("change", "path", "problem"),
    [
        ({"message": None}, "$.message", "expected an object, got null"),
        ({"message": []}, "$.message", "expected an object, got an array"),
        ({"message": "Why?"}, "$.message", "expected an object, got a string"),
        ({"message": {"role": "user"}}, "$.message.content", "required"),
        ({"message": {"role": "system", "content": "x"}}, "$.message.role", "expected one of user"),
        ({"message": {"role": 1, "content": "x"}}, "$.message.role", "expected one of user"),
        (
            {"message": {"role": "user", "content": ["x"]}},
            "$.message.content",
            "expected a string, got an array",
        ),
        ({"message": {"role": "user", "content": ""}}, "$.message.content", "must not be empty"),
        (
            {"message": {"role": "user", "content": "x" * 4_001}},
            "$.message.content",
            "4001 characters; 1 to 4000 are allowed",
        ),
        ({"version": "v2"}, "$.version", "expected one of v1"),
        ({"version": None}, "$.version", "expected one of v1"),
        ({"trace_id": None}, "$.trace_id", "must not be null; leave the key out"),
        ({"request_id": None}, "$.request_id", "must not be null; leave the key out"),
        ({"session_id": None}, "$.session_id", "must not be null; leave the key out"),
        ({"request_id": 7}, "$.request_id", "expected a string, got a number"),
        ({"request_id": "a b"}, "$.request_id", "must be 1 to 128 of A-Z a-z 0-9 . _ -"),
        ({"history": None}, "$.history", "expected an array, got null"),
        ({"history": {}}, "$.history", "expected an array, got an object"),
        ({"history": "abc"}, "$.history", "expected an array, got a string"),
        ({"history": [[]]}, "$.history[0]", "expected an object, got an array"),
        ({"history": [{}] * 13}, "$.history", "13 items; 0 to 12 are allowed"),
        ({"options": None}, "$.options", "expected an object, got null"),
        ({"odd key": 1}, '$["odd key"]', "unknown key"),
        ({"Message": 1}, "$.Message", "unknown key"),
    ],
)
def test_request_is_refused_at_the_place(
    change: dict[str, object], path: str, problem: str
) -> None:
    assert found(encoded(ASKED | change)) == [(path, problem)]


def test_history_beside_a_session_is_refused_at_both_places() -> None:
    both = {"session_id": "s", "history": [{"role": "user", "content": "x"}]}
    assert found(encoded(ASKED | both)) == [
        ("$.session_id", "must be left out where history is given"),
        ("$.history", "must be empty where session_id is given"),
    ]


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"message":{"role":"user","content":"a","content":"b"}}', "$.message.content"),
        (b'{"message":{"role":"user","content":"\\ud800"}}', "$.message.content"),
        (b'{"message":{"role":"user","content":"a"},"x":NaN}', "$.x"),
        (b"\xef\xbb\xbf" + encoded(ASKED), "$"),
        (json.dumps(ASKED).encode("utf-16"), "$"),
        (b'{"message":{"role":"user","content":"\xff"}}', "$"),
        (b"[" * 10_000, "$"),
        (b"", "$"),
        (b"null", "$"),
        (b"[]", "$"),
        (b'"message"', "$"),
        (b"1", "$"),
    ],
)
def test_text_is_refused_at_the_place(data: bytes, path: str) -> None:
    assert [where for where, _ in found(data)] == [path]


def test_every_violation_is_listed_at_once() -> None:
    data = encoded(
        {
            "message": {"role": "user", "content": 1, "more": 2},
            "history": [{"role": "user", "content": "x"}, {"role": "bot", "content": ""}],
            "options": {"top_k": 0, "stream": "yes"},
            "extra": None,
        }
    )
    assert {path for path, _ in found(data)} == {
        "$.message.content",
        "$.message.more",
        "$.history[1].role",
        "$.history[1].content",
        "$.options.top_k",
        "$.options.stream",
        "$.extra",
    }


def test_first_violations_are_listed_and_all_are_counted() -> None:
    violation = violated(encoded(ASKED | {f"k{n:03}": n for n in range(100)}))
    assert violation.total == 100
    assert len(violation.violations) == VIOLATIONS_LISTED
    assert violation.violations[0] == Violation("$.k000", "unknown key")


@pytest.mark.parametrize(("literal", "value"), [("1", 1.0), ("1.0", 1.0), ("0", 0.0), ("2e0", 2.0)])
def test_number_field_takes_a_whole_number(literal: str, value: float) -> None:
    data = (
        b'{"messages":[{"role":"user","content":"x"}],"citations_required":false,"temperature":%b}'
    )
    temperature = decode(data % literal.encode(), GenerateRequest).temperature
    assert temperature == value
    assert type(temperature) is float


@pytest.mark.parametrize("literal", ["true", '"1"', "[]", "-1", "2.1"])
def test_number_field_takes_nothing_else(literal: str) -> None:
    data = (
        b'{"messages":[{"role":"user","content":"x"}],"citations_required":false,"temperature":%b}'
    )
    assert [path for path, _ in found(data % literal.encode(), GenerateRequest)] == [
        "$.temperature"
    ]


@pytest.mark.parametrize("timings", [{"a": 1.0}, {"a": True}, {"a": None}, {"a": "1"}, [], None])
def test_timings_are_an_object_of_integers(timings: object) -> None:
    body: dict[str, object] = {"status": "ok", "next_action": "NONE", "reason_code": None}
    body |= {
        "message_key": None,
        "retry_after_ms": None,
        "model": None,
        "citations": [],
        "usage": None,
    }
    assert structure(body | {"timings_ms": {"a": 1}}, Done).timings_ms == {"a": 1}
    expected = [("$.timings_ms", "expected an object of integers")]
    assert found(encoded(body | {"timings_ms": timings}), Done) == expected


@pytest.mark.parametrize(
    ("opening", "item", "times", "closing"),
    [
        ('{"history":[', "{}", 20_000, "]}"),
        ('{"history":[', "0", 30_000, "]}"),
        ("{", '"%x":0', 7_500, "}"),
        ('{"message":{', '"%x":{}', 6_500, "}}"),
        ('{"options":{"top_k":[', "[]", 20_000, "]}}"),
        ('{"message":' * 30, '"x"', 1, "}" * 30),
    ],
)
def test_rubbish_as_long_as_a_body_may_be_is_refused_quickly(
    opening: str, item: str, times: int, closing: str
) -> None:
    items = [item.replace("%x", f"{n:x}") for n in range(times)]
    data = (opening + ",".join(items) + closing).encode()
    assert len(data) <= CHAT_BODY_BYTES
    started = time.process_time()
    violation = violated(data)
    assert time.process_time() - started < 2
    assert len(violation.violations) <= VIOLATIONS_LISTED
    assert sum(len(v.path) + len(v.problem) for v in violation.violations) < 8_192


def test_lengths_are_looked_at_before_elements() -> None:
    many = b'{"messages":[' + b",".join([b"0"] * 200_000) + b"]}"
    assert len(many) <= GENERATE_BODY_BYTES
    assert found(many, GenerateRequest) == [("$.messages", "200000 items; 1 to 64 are allowed")]


@frozen
class _Unordinary:
    """A type of a test's own, with a law between its fields."""

    a: int = 0
    b: int = 0

    def problems(self) -> list[Violation]:
        return [Violation("$.a", "must be at most b")] if self.a > self.b else []


def test_law_between_fields_is_asserted_when_encoding_and_refused_when_decoding() -> None:
    assert encode(_Unordinary(1, 2)) == b'{"a":1,"b":2}'
    assert found(b'{"a":2,"b":1}', _Unordinary) == [("$.a", "must be at most b")]
    with pytest.raises(AssertionError, match="must be at most b"):
        encode(_Unordinary(2, 1))


def test_law_is_not_asked_when_the_shape_is_wrong() -> None:
    assert found(b'{"a":2,"b":"1"}', _Unordinary) == [("$.b", "expected an integer, got a string")]
