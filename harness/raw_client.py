"""A client over a real socket that sees every byte, and may misbehave.

    async with dial(port) as client:
        await client.ask("How …?")              a streaming call; `stream=False` a plain one
        status = await client.head()            then .headers
        name, data = await client.event()       or client.rest(), or client.body()

It keeps the time at which each event arrived. `receive_buffer` makes one whose kernel takes little,
so that not reading is felt at the other end. It judges nothing.
"""

import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import h11
import trio
from attrs import define, field

from contracts import sse
from contracts.limits import EVENT_BYTES

Event = tuple[str, dict[str, object]]


class StreamEnded(Exception):
    """The connection ended where more was due."""


@define
class Client:
    """One connection, and what it was answered."""

    stream: trio.SocketStream
    headers: dict[str, str] = field(factory=dict)
    arrived: list[float] = field(factory=list)  # when each event did, on trio's clock
    _http: h11.Connection = field(factory=lambda: h11.Connection(h11.CLIENT), init=False)
    _decoder: sse.Decoder = field(factory=lambda: sse.Decoder(EVENT_BYTES), init=False)

    async def ask(
        self,
        question: str,
        *,
        stream: bool = True,
        headers: Mapping[str, str] | None = None,
        path: str = "/chat",
    ) -> None:
        """Send a chat request."""
        body = json.dumps({"message": {"role": "user", "content": question}}).encode()
        await self.post(f"{path}?stream=true" if stream else path, body, headers)

    async def post(
        self, target: str, body: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send one POST of JSON."""
        given = {
            "host": "hop",
            "content-type": "application/json",
            "content-length": str(len(body)),
            **(headers or {}),
        }
        await self._send(h11.Request(method="POST", target=target, headers=[*given.items()]), body)

    async def get(self, target: str) -> bytes:
        """The body of one GET."""
        await self._send(h11.Request(method="GET", target=target, headers=[("host", "hop")]), b"")
        await self.head()
        return await self.body()

    async def send_raw(self, data: bytes) -> None:
        """Send bytes of the test's own; `head` then reads what they are answered."""
        await self.stream.send_all(data)
        self._http = h11.Connection(h11.CLIENT)  # as if it had asked: only the answer counts
        self._http.send(h11.Request(method="GET", target="/", headers=[("host", "hop")]))
        self._http.send(h11.EndOfMessage())

    async def head(self) -> int:
        """The answer's status."""
        event = await self._next()
        if not isinstance(event, h11.Response):
            raise StreamEnded(repr(event))
        self.headers = {name.decode(): value.decode() for name, value in event.headers}
        return event.status_code

    async def body(self) -> bytes:
        """The rest of the answer's body."""
        data = bytearray()
        while (more := await self._data()) is not None:
            data += more
        return bytes(data)

    async def event(self) -> Event:
        """The next event. Raises StreamEnded."""
        while (frame := self._decoder.next_frame()) is None:
            if (more := await self._data()) is None:
                raise StreamEnded("no event")
            self._decoder.feed(more)
        self.arrived.append(trio.current_time())
        return frame.event, json.loads(frame.data or b"null")

    async def rest(self) -> list[Event]:
        """All events to the end of the stream, which ends as HTTP says."""
        events = []
        while True:
            try:
                events.append(await self.event())
            except StreamEnded:
                return events

    async def _data(self) -> bytes | None:
        event = await self._next()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise StreamEnded(repr(event))
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return None

    async def _send(self, request: h11.Request, body: bytes) -> None:
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        sent = [self._http.send(event) or b"" for event in events]
        await self.stream.send_all(b"".join(sent))

    async def _next(self) -> h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self.stream.receive_some(65_536))
        assert isinstance(event, h11.Event), event
        return event


@asynccontextmanager
async def dial(port: int, receive_buffer: int | None = None) -> AsyncIterator[Client]:
    """One connection; leaving the block leaves the call."""
    raw = trio.socket.socket()
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        await raw.connect(("127.0.0.1", port))
    except BaseException:
        raw.close()
        raise
    async with trio.SocketStream(raw) as stream:
        yield Client(stream)


def named(events: list[Event], name: str) -> dict[str, object]:
    """The data of the one event of this name."""
    (data,) = [data for event, data in events if event == name]
    return data
