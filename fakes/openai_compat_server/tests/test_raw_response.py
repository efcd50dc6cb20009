"""Goal: given bytes are planned as they are given, whether by Python or by a file's fields.

Method: parts in, plans or refusals out.
"""

from math import inf, nan

import pytest

from fakes.openai_compat_server import Ending, Plan, Step, raw
from fakes.openai_compat_server.raw_response import RawFault, raw_fields, raw_line, raw_of

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def test_bytes_are_writes_and_numbers_are_pauses_before_them() -> None:
    plan = raw(0.5, 1, HEAD, b"a", 2, ending=Ending.SILENCE)
    assert plan == Plan(200, (Step(1.5, HEAD), Step(0, b"a"), Step(2, b"")), Ending.SILENCE)
    assert raw() == Plan(0, (), Ending.KEEP)
    assert plan.scenario == "raw"


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ((HEAD,), 200),
        ((b"HTTP/1.0 ", b"503", b" No\r\n\r\n"), 503),
        ((b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\na: b\r\n\r\n", HEAD), 200),
        ((b"HTTP/1.1 100 Go\r\n\r\n",), 0),
        ((b"HTTP/1.1 101 Up\r\n\r\n", HEAD), 101),
        ((HEAD, b"\r\n\r\nHTTP/1.1 500 text of the body"), 200),
        ((b"HTTP/1.1 2",), 0),
        ((b"HTTP/1.1 2000 OK",), 0),
        ((b"HTTP/2 200\r\n\r\n",), 0),
        ((b"noise HTTP/1.1 200 OK",), 0),
        ((), 0),
    ],
)
def test_the_status_is_what_the_bytes_claim(parts: tuple[bytes, ...], status: int) -> None:
    assert raw(*parts).status == status


@pytest.mark.parametrize("parts", [(-0.1,), (3600.1,), (nan,), (inf,), (-inf,), (3600, 1), (2, -1)])
def test_a_pause_is_refused_when_nobody_could_mean_it(parts: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="s is not one of 0 to 3600"):
        raw(HEAD, *parts)


@pytest.mark.parametrize("part", ["HTTP/1.1 200 OK", None, True, bytearray(b"a")])
def test_a_part_is_refused_when_it_is_neither_bytes_nor_seconds(part: float) -> None:
    with pytest.raises(TypeError, match="neither bytes nor seconds"):
        raw(part)


def test_fields_are_the_same_response() -> None:
    send = ["HTTP/1.1 200 OK\r\n\r\n", 0.5, "ü", {"hex": "C3 ff"}, 1, {"base64": "/w=="}]
    plan = raw(HEAD, 0.5, "ü".encode(), b"\xc3\xff", 1, b"\xff", ending=Ending.RESET)
    assert raw_of({"send": send, "ending": "reset"}) == plan
    assert raw_of(raw_fields(plan)) == plan
    assert raw_of({"send": []}) == raw()


@pytest.mark.parametrize(
    ("fields", "place", "why"),
    [
        ({}, ("send",), "expected an array"),
        ({"send": "text"}, ("send",), "expected an array"),
        ({"send": [], "status": 200}, ("status",), "unknown key"),
        ({"send": [], "ending": "bang"}, ("ending",), "expected one of keep, close, reset, sil"),
        ({"send": [], "ending": None}, ("ending",), "expected one of"),
        ({"send": [], "ending": []}, ("ending",), "expected one of"),
        ({"send": ["", True]}, ("send", 1), "expected text, seconds,"),
        ({"send": [None]}, ("send", 0), "expected text, seconds,"),
        ({"send": [[]]}, ("send", 0), "expected text, seconds,"),
        ({"send": [-1]}, ("send", 0), "expected seconds from 0 to 3600"),
        ({"send": [nan]}, ("send", 0), "expected seconds from 0 to 3600"),
        ({"send": [1, 3600]}, ("send",), "a pause of 3601 s is not"),
        ({"send": [10**400]}, ("send", 0), "expected seconds from 0 to 3600"),
        ({"send": [{}]}, ("send", 0), "expected text, seconds,"),
        ({"send": [{"hex": "00", "base64": ""}]}, ("send", 0), "expected text, seconds,"),
        ({"send": [{"latin1": "a"}]}, ("send", 0), "expected text, seconds,"),
        ({"send": [{"hex": 5}]}, ("send", 0), "expected text, seconds,"),
        ({"send": [{"hex": "0"}]}, ("send", 0, "hex"), "non-hexadecimal"),
        ({"send": [{"base64": "a"}]}, ("send", 0, "base64"), ""),
        ({"send": [{"base64": "/w==\n"}]}, ("send", 0, "base64"), ""),
        ({"send": [{"base64": "ü"}]}, ("send", 0, "base64"), "string argument should contain"),
    ],
)
def test_fields_are_refused_with_their_place(
    fields: dict[str, object], place: tuple[str | int, ...], why: str
) -> None:
    with pytest.raises(RawFault) as fault:
        raw_of(fields)
    assert fault.value.place == place
    assert str(fault.value).startswith(why)


def test_a_person_is_told_status_size_and_ending() -> None:
    assert raw_line(raw(HEAD)) == "raw 200 (19 bytes)"
    assert raw_line(raw(ending=Ending.CLOSE)) == "raw (0 bytes, then close)"
