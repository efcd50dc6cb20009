"""The load driver: closed loop, open loop, paced streams, clients that leave early.

    await closed_loop(port, request, concurrency, seconds)   so many askers, each after its answer
    await open_loop(port, request, rate, seconds)            so many a second, whoever is waiting
    await live(port, request, streams, …)                    paced streams side by side
    connection = await dial(port); await connection.ask(request); connection.answer

It must never be what is measured: a connection only keeps what arrived and when, and knows of HTTP
no more than where an answer ends. What was answered is judged when the clock has stopped.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

from attrs import define, field

LIMIT_S: Final = 40.0
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"


class Cut(Exception):
    """The connection ended where more of an answer was due."""


@define(eq=False)
class Answer:
    """What was asked when, and what arrived when, by the monotonic clock."""

    asked_at: float
    pieces: list[tuple[float, bytes]] = field(factory=list)

    @property
    def data(self) -> bytes:
        """All that arrived, head and chunk sizes included."""
        return b"".join(piece for _, piece in self.pieces)

    @property
    def ended_at(self) -> float:
        return self.pieces[-1][0]

    @property
    def took_s(self) -> float:
        return self.ended_at - self.asked_at

    def first_with(self, mark: bytes) -> float | None:
        """Seconds from the question to the piece that brought the first such bytes."""
        seen = b""
        for at, piece in self.pieces:
            seen += piece
            if mark in seen:
                return at - self.asked_at
        return None


class Connection(asyncio.Protocol):
    """One connection; one question at a time."""

    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._over: asyncio.Future[None] | None = None
        self._due_bytes: int | None = None
        self._taken_bytes = 0
        self._tail = b""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes) -> "asyncio.Future[None]":
        """Send a question; done when its answer is whole. `answer` is what there is of it."""
        self._over = asyncio.get_running_loop().create_future()
        self.answer = self._answer = Answer(time.monotonic())
        self._due_bytes, self._taken_bytes, self._tail = None, 0, b""
        self.transport.write(request)
        if self.lost:
            self._over.set_exception(Cut("the connection is closed"))
        return self._over

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            return
        self._answer.pieces.append((time.monotonic(), data))
        self._taken_bytes += len(data)
        self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
        if self._due_bytes is None:
            self._due_bytes = _whole_bytes(self._answer.data)
        if self._taken_bytes == self._due_bytes or (
            self._due_bytes == 0 and self._tail == _LAST_CHUNK
        ):
            self._finish(None)

    def connection_lost(self, _: Exception | None) -> None:
        self.lost = True
        self._finish(Cut("the answer was cut"))

    def _finish(self, cut: Cut | None) -> None:
        self._answer, over = None, self._over
        if over is not None and not over.done():
            over.set_exception(cut) if cut else over.set_result(None)

    def leave(self) -> float:
        """Go away, whatever is under way; when that was."""
        at = time.monotonic()
        self._answer = None
        self.transport.close()
        return at


def _whole_bytes(so_far: bytes) -> int | None:
    """How long an answer is with its head; 0 where it comes in chunks, None while unknown."""
    head, blank, _ = so_far.partition(b"\r\n\r\n")
    if not blank:
        return None
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(head) + len(blank) + int(line[15:])
    return 0


async def dial(port: int) -> Connection:
    """A connection of its own."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
    return connection


async def answered(port: int, request: bytes) -> Answer:
    """One answer over a connection of its own, which ends with it."""
    connection = await dial(port)
    try:
        async with asyncio.timeout(LIMIT_S):
            await connection.ask(request)
        return connection.answer
    finally:
        connection.leave()


async def closed_loop(
    port: int, request: bytes, concurrency: int, seconds: float
) -> tuple[list[Answer], list[Answer]]:
    """The answers that were whole within the time, and what there was of the others at its end.

    The time goes on until there are as many answers as askers, on a machine too busy for that.
    """
    whole: list[Answer] = []
    enough = asyncio.Event()
    connections = [await dial(port) for _ in range(concurrency)]

    async def ask_on(connection: Connection) -> None:
        while True:
            await connection.ask(request)
            whole.append(connection.answer)
            if len(whole) >= concurrency:
                enough.set()

    async def time_is_over() -> None:
        await asyncio.sleep(seconds)
        await enough.wait()

    asking = [asyncio.create_task(ask_on(connection)) for connection in connections]
    try:
        asking.append(asyncio.create_task(time_is_over()))
        first = asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait(asking, timeout=seconds + LIMIT_S, return_when=first)
        for ended in done:
            ended.result()
        return whole, [connection.answer for connection in connections]
    finally:
        for task in asking:
            task.cancel()
        for connection in connections:
            connection.leave()
        await asyncio.gather(*asking, return_exceptions=True)


async def open_loop(port: int, request: bytes, rate: float, seconds: float) -> list[float]:
    """How long each took from when it was due, whether or not a connection was free for it then."""
    idle: list[Connection] = []
    took: list[float] = []

    async def ask_at(due: float) -> None:
        connection = idle.pop() if idle else await dial(port)
        await connection.ask(request)
        took.append(connection.answer.ended_at - due)
        idle.append(connection)

    began = time.monotonic()
    asking = []
    try:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(due - time.monotonic())
            asking.append(asyncio.create_task(ask_at(due)))
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*asking)
        return took
    finally:
        for task in asking:
            task.cancel()
        for connection in idle:
            connection.leave()


async def live(
    port: int,
    request: bytes,
    streams: int,
    *,
    spread_s: float,
    when_all_live: Callable[[], object] = lambda: None,
) -> Sequence[Answer]:
    """So many streams at once to their ends, their beginnings spread; those that were cut too."""
    connections: list[Connection] = []
    asked = []
    try:
        began = time.monotonic()
        for number in range(streams):
            await asyncio.sleep(began + number * spread_s / streams - time.monotonic())
            connections.append(await dial(port))
            asked.append(connections[-1].ask(request))
        await asyncio.sleep(1)
        when_all_live()
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*asked, return_exceptions=True)
    except TimeoutError:
        pass  # what is missing is counted
    finally:
        for connection in connections:
            connection.leave()
    return [connection.answer for connection in connections]
