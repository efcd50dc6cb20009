"""Goal: the wire log is read as HTTP/1.1 and as events, whatever pieces the bytes came in.

Method: connections written down by hand, record by record; and one conversation cut everywhere.
"""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from harness.wire_log import Event, Exchange, Record, Way, What, WireLog, exchanges

ASK = b"POST /chat HTTP/1.1\r\nhost: bff\r\nx-request-id: %s\r\ncontent-length: 2\r\n\r\n{}"
PLAIN = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{"a": 1}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
META = b'event: meta\ndata: {"a": "\xc3\xa4"}\n\n'
BEAT = b": still here\n\n"
DONE = b'event: done\ndata: {"status":"ok"}\n\n'
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


Sent = tuple[float, Way, What, bytes]


def log_of(*records: Sent, host: str = "bff") -> WireLog:
    log = WireLog()
    link = log.open(host, 0.0)
    for at, way, what, data in records:
        log.records.append(Record(at, link, way, what, len(data), data))
    return log


def only(log: WireLog) -> Exchange:
    (found,) = exchanges(log)
    return found


def told(found: Sequence[Exchange]) -> list[object]:
    """What does not depend on how the bytes were cut."""
    return [(evolve(it, pieces=()), it.answer, [e.raw for e in it.events()]) for it in found]


def test_request_and_answer_are_read() -> None:
    exchange = only(
        log_of((1.0, "up", "sent", ASK % b"one"), (1.0, "up", "taken", b""),
               (2.5, "down", "sent", PLAIN), (3.0, "up", "eof", b""))
    )  # fmt: skip
    assert (exchange.method, exchange.target, exchange.body) == ("POST", "/chat", b"{}")
    assert (exchange.asked_at, exchange.answered_at, exchange.ended_at) == (1.0, 2.5, 2.5)
    assert (exchange.status, exchange.answer_json) == (200, {"a": 1})
    assert (exchange.request_id, exchange.ended, exchange.left_at) == ("one", "whole", None)
    assert not exchange.unreadable


def test_events_have_the_time_of_their_last_byte() -> None:
    body = META + BEAT + DONE
    exchange = only(
        log_of((0.0, "up", "sent", ASK % b"one"), (1.0, "down", "sent", HEAD),
               (2.0, "down", "sent", chunk(body[:10])), (3.0, "down", "sent", chunk(body[10:-1])),
               (4.0, "down", "sent", chunk(body[-1:])), (5.0, "down", "sent", END))
    )  # fmt: skip
    assert exchange.streams
    assert exchange.answer_json is None
    assert [(event.at, event.name, event.data) for event in exchange.events()] == [
        (3.0, "meta", {"a": "ä"}),
        (4.0, "done", {"status": "ok"}),
    ]
    assert [event.name for event in exchange.frames()] == ["meta", "", "done"]
    assert exchange.unended_frame() == b""
    assert (exchange.ended, exchange.ended_at) == ("whole", 5.0)


@pytest.mark.parametrize("data", [b"[1]", b"{", b'"x"', b"\xff", b""])
def test_data_that_is_no_object_is_none(data: bytes) -> None:
    frame = b"event: delta\ndata: " + data + b"\n\n"
    exchange = only(
        log_of((0.0, "up", "sent", ASK % b"one"), (0.0, "down", "sent", HEAD + chunk(frame) + END))
    )
    assert exchange.events() == (Event(0.0, "delta", None, data, frame[:-2]),)
    assert exchange.events()[0].value("delta") is None


def test_stream_that_stops_within_a_frame_shows_the_rest() -> None:
    exchange = only(
        log_of((0.0, "up", "sent", ASK % b"one"),
               (0.0, "down", "sent", HEAD + chunk(META + b"event: do") + END))
    )  # fmt: skip
    assert exchange.unended_frame() == b"event: do"


def test_kept_connection_is_read_by_turns() -> None:
    log = log_of(
        (0.0, "up", "sent", ASK % b"one"), (1.0, "down", "sent", PLAIN),
        (2.0, "up", "sent", ASK % b"two"), (3.0, "down", "sent", HEAD + chunk(DONE) + END),
        (4.0, "up", "sent", ASK % b"three"),
    )  # fmt: skip
    one, two, three = exchanges(log)
    assert (one.request_id, one.ended_at) == ("one", 1.0)
    assert (two.request_id, two.asked_at, len(two.events())) == ("two", 2.0, 1)
    assert (three.request_id, three.status, three.ended) == ("three", None, "open")


CONVERSATION: tuple[Sent, ...] = (
    (0.0, "up", "sent", ASK % b"one" + ASK % b"two"),
    (0.0, "down", "sent", PLAIN + HEAD + chunk(META) + chunk(BEAT + DONE) + END),
)


@given(st.data())
def test_how_the_bytes_were_cut_does_not_matter(data: st.DataObject) -> None:
    records: list[Sent] = []
    for at, way, what, text in CONVERSATION:
        cuts = data.draw(st.sets(st.integers(0, len(text)), max_size=12))
        edges = [0, *sorted(cuts), len(text)]
        records += [(at, way, what, text[a:b]) for a, b in pairwise(edges)]
    assert told(exchanges(log_of(*records))) == told(exchanges(log_of(*CONVERSATION)))


def test_byte_by_byte_is_the_same() -> None:
    records = [
        (at, way, what, text[place : place + 1])
        for at, way, what, text in CONVERSATION
        for place in range(len(text))
    ]
    found = exchanges(log_of(*records))
    assert [event.raw for event in found[1].frames()] == [META[:-2], BEAT[:-2], DONE[:-2]]
    assert told(found) == told(exchanges(log_of(*CONVERSATION)))


def test_answer_that_the_server_breaks_off_is_cut() -> None:
    exchange = only(
        log_of((0.0, "up", "sent", ASK % b"one"), (1.0, "down", "sent", HEAD + chunk(META)),
               (2.0, "down", "reset", b""), (3.0, "up", "eof", b""))
    )  # fmt: skip
    assert (exchange.ended, exchange.ended_at, exchange.left_at) == ("cut", 2.0, None)
    assert [event.name for event in exchange.events()] == ["meta"]


def test_answer_with_no_length_ends_with_its_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    exchange = only(
        log_of((0.0, "up", "sent", ASK % b"one"), (1.0, "down", "sent", head + b"{}"),
               (2.0, "down", "eof", b""))
    )  # fmt: skip
    assert (exchange.ended, exchange.ended_at, exchange.answer) == ("whole", 2.0, b"{}")


def test_answer_that_nobody_ended_is_open() -> None:
    exchange = only(
        log_of((0.0, "up", "sent", ASK % b"one"), (1.0, "down", "sent", HEAD + chunk(META)))
    )
    assert (exchange.ended, exchange.ended_at, exchange.left_at) == ("open", None, None)


@pytest.mark.parametrize("how", ["eof", "reset"])
def test_client_that_goes_before_the_end_has_left(how: What) -> None:
    exchange = only(
        log_of((0.0, "up", "sent", ASK % b"one"), (1.0, "down", "sent", HEAD + chunk(META)),
               (2.0, "up", how, b""), (2.5, "down", "reset", b""))
    )  # fmt: skip
    assert (exchange.ended, exchange.ended_at, exchange.left_at) == ("cut", 2.5, 2.0)


def test_of_two_ends_at_one_time_the_first_is_the_first() -> None:
    asked: Sent = (0.0, "up", "sent", ASK % b"one")
    end: Sent = (1.0, "down", "sent", PLAIN)
    gone: Sent = (1.0, "up", "eof", b"")
    assert only(log_of(asked, end, gone)).left_at is None
    assert only(log_of(asked, gone, end)).left_at == 1.0


def test_answer_that_is_no_http_is_unreadable() -> None:
    exchange = only(
        log_of((0.0, "up", "sent", ASK % b"one"), (1.0, "down", "sent", b"SSH-2.0-OpenSSH\r\n\r\n"))
    )
    assert "illegal" in exchange.unreadable
    assert exchange.status is None


def test_chunk_that_is_none_shows_what_came_before_it() -> None:
    exchange = only(
        log_of((0.0, "up", "sent", ASK % b"one"),
               (1.0, "down", "sent", HEAD + chunk(META) + b"zz\r\n"))
    )  # fmt: skip
    assert exchange.unreadable
    assert [event.name for event in exchange.events()] == ["meta"]
    assert exchange.ended == "open"


def test_request_that_is_no_http_is_unreadable_and_asks_for_nothing() -> None:
    exchange = only(log_of((0.0, "up", "sent", b"\x16\x03\x01\r\n"), (0.0, "down", "sent", PLAIN)))
    assert exchange.unreadable
    assert (exchange.method, exchange.status) == ("", None)


def test_request_whose_head_never_came_whole_is_none() -> None:
    assert exchanges(log_of((0.0, "up", "sent", b"POST /chat HT"), (1.0, "up", "eof", b""))) == ()


def test_request_whose_body_never_came_whole_is_one() -> None:
    exchange = only(log_of((0.0, "up", "sent", (ASK % b"one")[:-1]), (1.0, "up", "eof", b"")))
    assert (exchange.body, exchange.left_at) == (b"{", 1.0)


def test_interim_responses_are_none() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    exchange = only(
        log_of((0.0, "up", "sent", ASK % b"one"), (1.0, "down", "sent", interim * 3 + PLAIN))
    )
    assert exchange.status == 200


def test_model_servers_connections_are_left_raw() -> None:
    assert exchanges(log_of((0.0, "up", "sent", ASK % b"one"), host="model")) == ()


def test_exchanges_of_one_host_alone() -> None:
    log = log_of((0.0, "up", "sent", ASK % b"one"))
    link = log.open("qs", 1.0)
    log.records.append(Record(1.0, link, "up", "sent", 0, ASK % b"two"))
    assert [it.request_id for it in exchanges(log)] == ["one", "two"]
    assert [it.request_id for it in exchanges(log, "qs")] == ["two"]
    assert [record.at for record in log.of(link)] == [1.0]


@given(st.lists(st.tuples(st.sampled_from(("up", "down")), st.binary(max_size=60)), max_size=6))
def test_no_bytes_at_all_make_the_reader_fail(pieces: list[tuple[Way, bytes]]) -> None:
    records: list[Sent] = [(0.0, way, "sent", data) for way, data in pieces]
    for exchange in exchanges(log_of((0.0, "up", "sent", ASK % b"one"), *records)):
        exchange.events()
        assert json.dumps(exchange.answer_json)
