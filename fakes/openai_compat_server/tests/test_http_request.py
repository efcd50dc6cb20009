"""Goal: requests come out whole, however their bytes arrive, and nothing else does.

Method: bytes in, requests out.
"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.openai_compat_server.http_request import (
    HttpRequest,
    RequestReader,
    TooLarge,
    Unparsable,
)

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello"
CHUNKED = (
    b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
)


def read_all(*pieces: bytes, cap: int = 100) -> list[HttpRequest]:
    reader, found = RequestReader(cap), []
    for piece in pieces:
        reader.feed(piece)
        while (request := reader.next_request()) is not None:
            found.append(request)
    assert not reader.begun
    return found


@given(st.lists(st.integers(0, len(GET + POST + CHUNKED)), max_size=6))
def test_pipelined_requests_come_out_whole_when_cut_anywhere(cuts: list[int]) -> None:
    wire = GET + b"\r\n" + POST + CHUNKED
    edges = [0, *sorted(cuts), len(wire)]
    pieces = [wire[start:end] for start, end in pairwise(edges)]
    get, post, chunked = read_all(*pieces)
    assert (get.line, get.path, get.body, get.keeps_alive) == ("GET /a?b", "/a", b"", True)
    assert (post.line, post.body, post.keeps_alive) == ("POST /p", b"hello", False)
    assert (chunked.path, chunked.body, chunked.header("host")) == ("/c", b"hello", "x")


def test_http_1_0_does_not_keep_alive() -> None:
    (request,) = read_all(b"GET / HTTP/1.0\r\n\r\n")
    assert not request.keeps_alive


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00",
        b"\x00" * 10,
        b"HELLO\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 70_000,
    ],
)
def test_noise_is_unparsable(noise: bytes) -> None:
    reader = RequestReader(100)
    reader.feed(noise)
    with pytest.raises(Unparsable):
        reader.next_request()


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_are_a_request_or_unparsable_or_unfinished(data: bytes) -> None:
    reader = RequestReader(100)
    try:
        reader.feed(data)
        reader.next_request()
    except (Unparsable, TooLarge):
        pass


@pytest.mark.parametrize(
    "wire",
    [
        b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 101\r\n\r\n",
        b"POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n65\r\n" + b"a" * 101,
    ],
)
def test_a_body_is_too_large_when_over_the_cap(wire: bytes) -> None:
    reader = RequestReader(100)
    reader.feed(wire)
    with pytest.raises(TooLarge, match="POST /p"):
        reader.next_request()


def test_a_client_awaits_continue_only_until_its_body_comes() -> None:
    reader = RequestReader(100)
    reader.feed(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    assert reader.next_request() is None
    assert reader.awaits_continue
    reader.feed(b"a")
    assert reader.next_request() is None
    assert not reader.awaits_continue
