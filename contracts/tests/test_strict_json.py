"""Goal: only JSON as the contract means it comes through, and what does not is named by its place.

Method: bytes in, the value or the exact violations out.
"""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.limits import CHAT_BODY_BYTES, JSON_DEPTH, VIOLATIONS_LISTED
from contracts.strict_json import ContractViolation, Violation, child_path, has_surrogate, loads
from contracts.tests.shapes import LETTERS, quick

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # A surrogate pair escaped by `dumps` is one character, and so is an escaped backslash.
    | st.text(LETTERS + "\\ud8\\"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(LETTERS), inner, max_size=4)
    ),
    max_leaves=12,
)


def violated(data: bytes) -> ContractViolation:
    with pytest.raises(ContractViolation) as caught:
        loads(data)
    return caught.value


def places(data: bytes) -> list[str]:
    return [violation.path for violation in violated(data).violations]


@quick(60)
@given(value=VALUES, escaped=st.booleans())
def test_value_comes_through_as_it_was(value: object, escaped: bool) -> None:
    read = loads(json.dumps(value, ensure_ascii=escaped).encode())
    assert repr(read) == repr(value)


@quick(100)
@given(st.binary() | st.text(st.sampled_from('{}[]:,"\\u0d8NaInfity1e.- \n')).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        loads(data)
    except ContractViolation as violation:
        assert 1 <= len(violation.violations) <= violation.total
        assert all(found.path.startswith("$") for found in violation.violations)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"a": 1, "a": 1}', "$.a"),
        (b'{"x": [0, {"a": 1, "b": 2, "a": 3}]}', "$.x[1].a"),
        (b'{"a": 1, "\\u0061": 2}', "$.a"),
        (b'{"": 1, "": 2}', '$[""]'),
        (b"NaN", "$"),
        (b'{"a": [1, NaN]}', "$.a[1]"),
        (b'{"a": Infinity}', "$.a"),
        (b'{"a": -Infinity}', "$.a"),
        (b'{"a": {"b c": 1e999}}', '$.a["b c"]'),
        (b"[-1e999]", "$[0]"),
        (b"[" + b"9" * 5_000 + b"]", "$[0]"),
        (b"[0." + b"9" * 5_000 + b"]", "$[0]"),
        (b"[" + b"9" * 65 + b"]", "$[0]"),
        (b'{"a": "\\ud800"}', "$.a"),
        (b'{"a": "x\\uDFFFy"}', "$.a"),
        (b'{"a": "\\udc00\\ud800"}', "$.a"),
        (b'{"\\ud800": 1}', '$["\\ud800"]'),
    ],
)
def test_place_is_named_when_a_value_is_not_json(data: bytes, path: str) -> None:
    assert places(data) == [path]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b'{"a": 1,}',
        b"{'a': 1}",
        b"[01]",
        b"[+1]",
        b"[.5]",
        b"[1.]",
        b"[0x1]",
        b'"\n"',
        b'"\x00"',
        b'"\\x"',
        b"nul",
        b"1 2",
        b"{} {}",
        b"// a\n{}",
        b"\xc2\xa0{}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"{\x00}\x00",
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-32"),
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b'"\xf4\x90\x80\x80"',
        b'"\xe2\x82"',
    ],
)
def test_whole_text_is_refused_when_it_is_no_json_in_utf_8(data: bytes) -> None:
    assert places(data) == ["$"]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b' \t\r\n{"a": 1}\n', {"a": 1}),
        (b"1e308", 1e308),
        (b"[" + b"9" * 64 + b"]", [10**64 - 1]),
        (b"1e-999", 0.0),
        (b'"\\ud83d\\ude42"', "🙂"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"\\u0000"', "\x00"),
        ('"\u2028\ufeff"'.encode(), "\u2028\ufeff"),
    ],
)
def test_unusual_json_is_read(data: bytes, value: object) -> None:
    assert loads(data) == value


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_refused_when_over_the_limit(opening: bytes, closing: bytes) -> None:
    loads(opening * JSON_DEPTH + b"1" + closing * JSON_DEPTH)
    for depth in (JSON_DEPTH + 1, 900, 5_000, 30_000):
        expected = Violation("$", "nested too deeply")
        assert violated(opening * depth + b"1" + closing * depth).violations == (expected,)


def test_brackets_inside_text_are_not_depth() -> None:
    assert loads(json.dumps(["[{" * 500]).encode()) == ["[{" * 500]


def test_first_violations_are_listed_and_all_are_counted() -> None:
    violation = violated(b"[" + b",".join([b"NaN"] * 40) + b"]")
    assert violation.total == 40
    assert [v.path for v in violation.violations] == [f"$[{i}]" for i in range(VIOLATIONS_LISTED)]
    assert len(str(violation)) < 500


def test_violations_are_listed_in_the_order_of_the_text() -> None:
    data = b'{"b": [NaN, {"x": 1, "x": 2}], "a": 1e999, "c": "\\ud800"}'
    assert places(data) == ["$.b[0]", "$.b[1].x", "$.a", "$.c"]


@pytest.mark.parametrize(
    "item", [b"NaN", b'"\\ud800"', b'{"a":0,"a":0}', b"1e999", b"[[[[[[[[1]]]]]]]]", b"{}"]
)
def test_rubbish_as_long_as_a_body_may_be_is_refused_quickly(item: bytes) -> None:
    prefix = (b'{"' + b"k" * 60 + b'":') * (JSON_DEPTH - 1) + b"["
    data = (prefix + item + (b"," + item) * CHAT_BODY_BYTES)[:CHAT_BODY_BYTES]
    whole = prefix + b",".join([item] * ((CHAT_BODY_BYTES - 4_000) // (len(item) + 1)))
    started = time.process_time()
    for text in (data, whole + b"]" + b"}" * (JSON_DEPTH - 1)):
        try:
            loads(text)
        except ContractViolation as violation:
            assert len(str(violation.violations)) < CHAT_BODY_BYTES * 2
    assert time.process_time() - started < 4


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (3, "$[3]"),
        ("plain_1", "$.plain_1"),
        ("odd key", '$["odd key"]'),
        ("1st", '$["1st"]'),
        ('"', '$["\\""]'),
        ("é", '$["\\u00e9"]'),
        ("a\n", '$["a\\n"]'),
        ("k" * 65, f'$["{"k" * 64}"]'),
    ],
)
def test_path_of_a_member(key: str | int, path: str) -> None:
    assert child_path("$", key) == path


def test_surrogate_is_found_wherever_it_stands() -> None:
    assert has_surrogate("a\udfffb")
    assert not has_surrogate("🙂 \ue000 \uffff")


def test_surrogate_passes_when_asked_to_and_nothing_else_does() -> None:
    assert loads(b'["\\ud800"]', surrogates=True) == ["\ud800"]
    with pytest.raises(ContractViolation, match="twice"):
        loads(b'{"a": "\\ud800", "b": 1, "b": 2}', surrogates=True)
    with pytest.raises(ContractViolation, match="UTF-8"):
        loads(b'["\xed\xa0\x80"]', surrogates=True)
