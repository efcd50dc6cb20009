"""What went over the network's connections, and when: the evidence that checkers judge.

    WireLog                the connections and their records, in the order in which things happened
    exchanges(log)         the same read as HTTP/1.1: each request with the answer it got
    Exchange.events()      an answer read as an event stream

Read on its own terms, with none of the code that wrote it: what is no HTTP, or no event stream, is
`unreadable` and shows where it stops being one. `up` is from the end that dialled to the one that
listens. A connection to the model server is kept raw: what passes there is often wrong on purpose.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Final, Literal, TypeAlias

import h11
from attrs import define, field, frozen

Way = Literal["up", "down"]
# `broken`: the network's own doing, from here on.
What = Literal["sent", "taken", "eof", "reset", "broken"]
# The server's own: nobody's program reads it as HTTP here.
MODEL: Final = "model"
_HEAD_BYTES_MAX: Final = 128 * 1024
JsonObject: TypeAlias = dict[str, object]


@frozen
class Record:
    """One thing that happened on one direction of one connection. `size` counts the bytes."""

    at: float
    link: int
    way: Way
    what: What
    size: int = 0
    data: bytes = b""


@frozen
class LinkOpened:
    """A connection: who was dialled, when, and the fault it was given, if any."""

    number: int
    host: str
    at: float
    fault: str = ""


@define
class WireLog:
    """Everything that passed, as it passed."""

    links: list[LinkOpened] = field(factory=list)
    records: list[Record] = field(factory=list)

    def open(self, host: str, at: float, fault: str = "") -> int:
        """Note a new connection; its number."""
        self.links.append(LinkOpened(len(self.links), host, at, fault))
        return len(self.links) - 1

    def of(self, link: int) -> list[Record]:
        return [record for record in self.records if record.link == link]


@frozen
class Piece:
    """Some bytes of a body, and when they were sent."""

    at: float
    data: bytes


@frozen
class Event:
    """One event of a stream, as it was read. `data` is None where it was no JSON object."""

    at: float
    name: str
    data: JsonObject | None
    payload: bytes
    raw: bytes

    def value(self, key: str) -> object:
        return (self.data or {}).get(key)


Ended = Literal["whole", "cut", "open"]


@frozen
class Exchange:
    """One request, and what came back. Times are the virtual clock's.

    `ended` tells of the answer: `whole` where HTTP says so, `cut` where the connection ended
    first, `open` where neither had happened. `left_at` is when the asking end closed, or reset,
    before the answer's end. A request that is itself `unreadable` has no method and no answer.
    """

    link: int
    host: str
    asked_at: float
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    status: int | None
    answered_at: float | None
    answer_headers: Mapping[str, str]
    pieces: tuple[Piece, ...]
    ended: Ended
    ended_at: float | None
    left_at: float | None
    unreadable: str = ""

    @property
    def request_id(self) -> str:
        return self.headers.get("x-request-id", "")

    @property
    def answer(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)

    @property
    def streams(self) -> bool:
        return self.answer_headers.get("content-type", "").startswith("text/event-stream")

    @property
    def answer_json(self) -> JsonObject | None:
        """The answer as one JSON object; None where it is none, or is a stream."""
        return None if self.streams else json_object(self.answer)

    def events(self) -> tuple[Event, ...]:
        """The events of the answer, comments left out; each at the time its last byte was sent."""
        return self._events

    @cached_property
    def _events(self) -> tuple[Event, ...]:
        return tuple(event for event in self.frames() if event.name)

    def frames(self) -> tuple[Event, ...]:
        """The same, comments too: they have no name."""
        found, rest = [], b""
        for piece in self.pieces:
            rest += piece.data
            while b"\n\n" in rest:
                frame, rest = rest.split(b"\n\n", 1)
                found.append(_event(piece.at, frame))
        return tuple(found)

    def unended_frame(self) -> bytes:
        """What stands after the last whole frame."""
        return self.answer.rpartition(b"\n\n")[2]


def exchanges(log: WireLog, host: str = "") -> tuple[Exchange, ...]:
    """Every exchange of every connection that speaks HTTP by itself; of `host` alone if given."""
    by_link: dict[int, list[Record]] = {link.number: [] for link in log.links}
    for record in log.records:
        by_link[record.link].append(record)
    return tuple(
        exchange
        for link in log.links
        if link.host != MODEL and host in ("", link.host)
        for exchange in _Reader(link, by_link[link.number]).read()
    )


@frozen
class _Reader:
    """One connection's records, read by turns: a request, its answer, the next request."""

    link: LinkOpened
    records: Sequence[Record]

    def read(self) -> Iterator[Exchange]:
        asks, answers = _Half(self.records, "up"), _Half(self.records, "down")
        while (request := asks.request()) is not None:
            yield self._exchange(request, asks, answers)

    def _exchange(self, asked: "_Message", asks: "_Half", answers: "_Half") -> Exchange:
        request = asked.head if isinstance(asked.head, h11.Request) else None
        answer = answers.response(request) if request else None
        head = answer.head if answer and isinstance(answer.head, h11.Response) else None
        ended, end = answers.end_of(answer)
        left = asks.closed
        if left is not None and end is not None and end < left:
            left = None
        return Exchange(
            link=self.link.number,
            host=self.link.host,
            asked_at=asked.at,
            method=request.method.decode() if request else "",
            target=request.target.decode() if request else "",
            headers=_headers(request) if request else {},
            body=b"".join(piece.data for piece in asked.pieces),
            status=head.status_code if head else None,
            answered_at=answer.at if answer and head else None,
            answer_headers=_headers(head) if head else {},
            pieces=tuple(answer.pieces) if answer else (),
            ended=ended,
            ended_at=end.at if end else None,
            left_at=left.at if left else None,
            unreadable=(answer.unreadable if answer else "") or asked.unreadable,
        )


@frozen(order=True)
class _Moment:
    """When something happened; of two things at the same time, the earlier is the smaller."""

    at: float
    place: int = 0


@define
class _Message:
    """A request or a response as far as it was sent."""

    at: float = 0.0
    head: h11.Request | h11.Response | None = None
    pieces: list[Piece] = field(factory=list)
    whole: _Moment | None = None
    unreadable: str = ""


@define
class _Half:
    """One direction of a connection, read message by message."""

    _all: Sequence[Record]
    _way: Way
    _sent: list[tuple[_Moment, bytes]] = field(init=False)
    closed: _Moment | None = field(init=False)
    _at: int = field(init=False, default=0)
    _left_over: tuple[_Moment, bytes] = field(init=False, default=(_Moment(0.0), b""))

    def __attrs_post_init__(self) -> None:
        own = [
            (_Moment(record.at, place), record)
            for place, record in enumerate(self._all)
            if record.way == self._way
        ]
        self._sent = [(moment, it.data) for moment, it in own if it.what == "sent" and it.data]
        ends = (moment for moment, it in own if it.what in ("eof", "reset"))
        self.closed = next(ends, None)

    def request(self) -> _Message | None:
        if not self._left_over[1] and self._at == len(self._sent):
            return None
        message = self._message(_connection(h11.SERVER))
        # One whose head never came whole has asked for nothing.
        is_one = message is not None and (message.head is not None or message.unreadable)
        return message if is_one else None

    def response(self, request: h11.Request) -> _Message | None:
        connection = _connection(h11.CLIENT)
        connection.send(request)
        # However the request goes on, it is the head that decides how the answer is framed.
        connection.send_failed()
        return self._message(connection)

    def end_of(self, message: _Message | None) -> tuple[Ended, _Moment | None]:
        if message is not None and message.whole is not None:
            return "whole", message.whole
        return ("open", None) if self.closed is None else ("cut", self.closed)

    def _message(self, connection: h11.Connection) -> _Message | None:
        message, begun = _Message(), False
        for moment, data in self._more():
            begun = True
            connection.receive_data(data)
            try:
                ended = _take(connection, message, moment)
            except h11.RemoteProtocolError as error:
                message.unreadable = str(error)
                self._at = len(self._sent)
                return message
            if ended:
                self._left_over = moment, connection.trailing_data[0]
                return message
        if self.closed is not None and message.head is not None:
            self._finish(connection, message)
        return message if begun else None

    def _finish(self, connection: h11.Connection, message: _Message) -> None:
        """The connection's end is the message's, where no length was said."""
        assert self.closed is not None
        with suppress(h11.RemoteProtocolError):  # cut: `whole` stays unsaid
            connection.receive_data(b"")
            _take(connection, message, self.closed)

    def _more(self) -> Iterator[tuple[_Moment, bytes]]:
        (moment, data), self._left_over = self._left_over, (_Moment(0.0), b"")
        if data:
            yield moment, data
        while self._at < len(self._sent):
            self._at += 1
            yield self._sent[self._at - 1]


def _connection(role: type[h11.CLIENT] | type[h11.SERVER]) -> h11.Connection:
    return h11.Connection(role, max_incomplete_event_size=_HEAD_BYTES_MAX)


def _take(connection: h11.Connection, message: _Message, moment: _Moment) -> bool:
    """Read on in the message; whether it ended."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request | h11.Response):
            message.head, message.at = event, moment.at
        elif isinstance(event, h11.Data):
            message.pieces.append(Piece(moment.at, bytes(event.data)))
        elif isinstance(event, h11.EndOfMessage):
            message.whole = moment
            return True
        elif not isinstance(event, h11.InformationalResponse):
            return False  # more is needed, or the connection has ended


def _headers(head: h11.Request | h11.Response) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in head.headers}


def _event(at: float, frame: bytes) -> Event:
    name, data = "", []
    for line in frame.split(b"\n"):
        key, _, value = line.partition(b":")
        if key == b"event":
            name = value.strip().decode("utf-8", "replace")
        elif key == b"data":
            data.append(value.removeprefix(b" "))
    payload = b"\n".join(data)
    return Event(at, name, json_object(payload), payload, frame)


def json_object(data: bytes) -> JsonObject | None:
    """The object that these bytes are, or None."""
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
