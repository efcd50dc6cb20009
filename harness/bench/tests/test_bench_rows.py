"""What a row is held to: a benchmark that takes wrong answers for good ones measures nothing."""

import pytest

from contracts.events import Delta, to_wire
from harness.bench.load import Answer
from harness.bench.rows import Row, WrongAnswer, chain_row, openai_row
from harness.bench.upstream import ANSWER, Played, replies

_END = b'event: done\ndata: {"status":"ok"}\n\n'
_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def _answer(*pieces: bytes, head: bytes = _HEAD) -> Answer:
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    return Answer(0.0, [(float(at), piece) for at, piece in enumerate([head, *chunks])])


def _deltas() -> list[bytes]:
    words = ANSWER.split()
    return [to_wire(Delta(word if at == 0 else f" {word}")) for at, word in enumerate(words)]


@pytest.fixture
def chain() -> Row:
    return chain_row(1, {})


def test_stream_is_taken_when_all_of_the_text_and_its_end_came(chain: Row) -> None:
    assert chain.check_stream(_answer(*_deltas(), _END)) == len(ANSWER.split())


def test_stream_is_taken_when_several_events_came_in_one_chunk(chain: Row) -> None:
    deltas = _deltas()
    answer = _answer(b"".join(deltas[:50]), b"".join(deltas[50:]) + _END)
    assert chain.check_stream(answer) == len(deltas)


@pytest.mark.parametrize(
    "pieces",
    [[*_deltas()[1:], _END], _deltas(), [*_deltas()[:-1], _END], [_END]],
    ids=["a word is missing", "no end", "the last word is missing", "no text"],
)
def test_stream_is_refused_when_something_is_missing(chain: Row, pieces: list[bytes]) -> None:
    with pytest.raises(WrongAnswer):
        chain.check_stream(_answer(*pieces))


def test_stream_is_refused_when_its_status_is_not_200(chain: Row) -> None:
    with pytest.raises(WrongAnswer):
        chain.check_stream(_answer(*_deltas(), _END, head=_HEAD.replace(b"200", b"500")))


def test_first_text_and_times_are_those_of_the_pieces(chain: Row) -> None:
    answer = _answer(b"event: meta\ndata: {}\n\n", *_deltas(), _END)
    assert answer.first_with(chain.marks.first) == 2.0
    assert chain.text_times(answer) == [float(at) for at in range(2, 202)]


def _upstream() -> tuple[Played, Played]:
    return replies()


def test_fakes_reply_is_the_same_for_all_when_it_is_played_as_it_was_planned() -> None:
    plain, streamed = _upstream()
    row = openai_row("direct", 1, {})
    row.check_plain(Answer(0.0, [(0.0, plain.head)]))
    whole = b"".join((streamed.head, *streamed.tokens, *streamed.end))
    assert row.check_stream(Answer(0.0, [(0.0, whole)])) >= len(ANSWER.split())
    assert len(streamed.tokens) - streamed.opening == len(ANSWER.split())
