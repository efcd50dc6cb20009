"""Goal: every turn that was answered is on a real MariaDB exactly once, whatever was killed.

Method: the chain as processes, asked by many at once, at QS itself so that each `done` is QS's own;
meanwhile the server or QS is killed, frozen or down from the start. What clients were told is then
held against the rows.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from harness.backends.mariadb import MariaDb
from harness.evidence import last_word
from harness.faults.chain import (
    QUESTION,
    eventually,
    exchange_of,
    make_whole,
    open_chain,
    serves,
    start,
)
from harness.raw_client import dial
from harness.stack import Stack, free_ports
from harness.wire_log import Exchange

ASKERS: Final = 8
SOON_S: Final = 90.0  # for busy machines
# What QS answers of its own; what it refuses, or leaves unanswered, is no answered turn.
NOT_ANSWERED: Final = frozenset({"(cut)", "(no answer)"})


@attrs.define
class Told:
    """What clients were told, by request."""

    words: dict[str, str] = attrs.field(factory=dict)

    async def some_more(self) -> None:
        """Wait until a good number of turns more are answered."""
        wanted = len(self.answered()) + 2 * ASKERS
        await eventually(lambda: len(self.answered()) >= wanted, SOON_S)

    def answered(self) -> dict[str, str]:
        return {one: word for one, word in self.words.items() if word not in NOT_ANSWERED}


@pytest.fixture
def url(mariadb: MariaDb) -> str:
    return mariadb.url("chats")


@pytest.fixture
def stack(url: str, tmp_path: Path) -> Iterator[Stack]:
    environ = {"QS_STORE_URL": url, "QS_STORE_TIMEOUT_MS": "1000"}
    with open_chain(tmp_path, environ=environ) as stack:
        yield stack


async def ask_on(stack: Stack, told: Told, over: trio.Event) -> None:
    """Ask QS again and again, by many clients, until it is over."""

    async def one(asker: int) -> None:
        number = 0
        while not over.is_set():
            number += 1
            request_id = f"{asker}-{number}"
            try:
                exchange = await exchange_of(
                    stack["qs"].port, stream=bool(number % 2), request_id=request_id
                )
                told.words[request_id] = word(exchange)
            except (ConnectionError, ValueError, OSError):
                told.words[request_id] = "(no answer)"
                await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        for asker in range(ASKERS):
            nursery.start_soon(one, asker)


def word(exchange: Exchange) -> str:
    return last_word(exchange)


async def while_asked(stack: Stack, befalls: Callable[[], Awaitable[None]]) -> Told:
    """Ask while this befalls the chain, and a little before and after."""
    told, over = Told(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_on, stack, told, over)
        await told.some_more()
        await befalls()
        await told.some_more()
        over.set()
    return told


async def nothing() -> None:
    """What befalls a chain that is left alone."""
    await trio.sleep(0.5)


async def stored(mariadb: MariaDb, stack: Stack) -> Mapping[str, tuple[str, ...]]:
    """Status of each request's rows, once nothing waits in any spool."""
    await eventually(lambda: not [*(stack.folder / "spool").glob("*/*.turn")], SOON_S)
    rows = mariadb.run("SELECT request_id, status FROM chats.turns")
    found: dict[str, tuple[str, ...]] = {}
    for request_id, status in rows:
        found[str(request_id)] = (*found.get(str(request_id), ()), str(status))
    return found


async def nothing_is_lost(mariadb: MariaDb, stack: Stack, told: Told) -> None:
    """Every answered turn is there once, as it was answered; and a fair number of them were."""
    rows = await stored(mariadb, stack)
    answered = told.answered()
    assert "ok" in answered.values()
    wrong = {
        request_id: (word, rows.get(request_id))
        for request_id, word in answered.items()
        if rows.get(request_id) != ("ok" if word == "ok" else "fallback",)
    }
    assert wrong == {}
    lost = [line["detail"] for line in stack["qs"].lines() if line["event"] == "turn not kept"]
    assert lost == []
    assert QUESTION not in (stack.folder / "qs.log").read_text("utf-8")


async def test_every_answer_is_stored_once_when_nothing_befalls_the_chain(
    mariadb: MariaDb, stack: Stack
) -> None:
    told = await while_asked(stack, nothing)
    await serves(stack)
    assert NOT_ANSWERED.isdisjoint(told.words.values())
    await nothing_is_lost(mariadb, stack, told)
    (whole,) = mariadb.run(
        "SELECT t.question, t.answer, t.model, s.title, c.content_hash, s.content_hash"
        " FROM chats.turns t JOIN chats.sources s USING (turn_id)"
        " JOIN chats.citations c USING (turn_id, chunk_id) WHERE t.request_id = '0-1' LIMIT 1"
    )
    question, answer, model, title, cited_hash, source_hash = whole
    assert question == QUESTION
    assert answer and model and title
    assert cited_hash == source_hash
    assert len(str(source_hash)) == 64


async def test_nothing_is_lost_when_the_server_is_killed_and_started_again_under_load(
    mariadb: MariaDb, stack: Stack
) -> None:
    async def killed() -> None:
        for _ in range(2):
            mariadb.kill()
            await trio.sleep(1)
            assert await ready(stack) == (200, False)
            await trio.to_thread.run_sync(mariadb.start)
            await trio.sleep(1)

    told = await while_asked(stack, killed)
    assert NOT_ANSWERED.isdisjoint(told.words.values()), "a store that is down costs no answer"
    await nothing_is_lost(mariadb, stack, told)
    assert await ready(stack) == (200, True)
    events = [line["event"] for line in stack["qs"].lines()]
    assert "store down" in events
    assert "store back" in events


async def test_nothing_is_lost_when_the_server_is_frozen_under_load(
    mariadb: MariaDb, stack: Stack
) -> None:
    async def frozen() -> None:
        mariadb.freeze()
        try:
            await trio.sleep(4)
        finally:
            mariadb.thaw()

    told = await while_asked(stack, frozen)
    assert NOT_ANSWERED.isdisjoint(told.words.values())
    await nothing_is_lost(mariadb, stack, told)


async def test_nothing_is_lost_when_qs_is_killed_and_started_again_under_load(
    mariadb: MariaDb, stack: Stack
) -> None:
    async def killed() -> None:
        for _ in range(3):
            stack["qs"].kill()
            await trio.to_thread.run_sync(start, stack, "qs")
            await trio.sleep(0.7)

    told = await while_asked(stack, killed)
    await nothing_is_lost(mariadb, stack, told)
    rows = await stored(mariadb, stack)
    assert {"ok", "interrupted"} <= {status for statuses in rows.values() for status in statuses}


async def test_nothing_is_lost_when_both_are_killed_and_the_server_comes_back_last(
    mariadb: MariaDb, stack: Stack
) -> None:
    async def killed() -> None:
        mariadb.kill()
        await trio.sleep(0.5)
        stack["qs"].kill()
        await trio.to_thread.run_sync(start, stack, "qs")
        await trio.sleep(0.5)
        await trio.to_thread.run_sync(mariadb.start)

    told = await while_asked(stack, killed)
    await nothing_is_lost(mariadb, stack, told)
    assert await ready(stack) == (200, True)
    events = [line["event"] for line in stack["qs"].lines()]
    assert {"store down", "store back"} <= set(events), "both befell it"


async def test_second_qs_on_the_same_store_and_spool_clashes_with_nobody(
    mariadb: MariaDb, stack: Stack
) -> None:
    """As in a rolling restart: the old one drains while the new one takes calls."""
    for name in ("bff", "qs"):
        stack[name].kill()
    mariadb.run("DROP DATABASE chats", "CREATE DATABASE chats")
    other = attrs.evolve(stack, ports={**stack.ports, "qs": free_ports(("qs",))["qs"]}, running={})
    other.environ = {**stack.environ, "QS_PORT": str(other.ports["qs"])}
    try:
        async with trio.open_nursery() as nursery:
            for one in (stack, other):
                nursery.start_soon(trio.to_thread.run_sync, one.start, "qs")
        first = await while_asked(stack, nothing)
        stack["qs"].terminate()
        second = await while_asked(other, nothing)
    finally:
        other["qs"].kill()
    assert NOT_ANSWERED.isdisjoint([*first.words.values(), *second.words.values()])
    make_whole(stack)
    await stored(mariadb, stack)
    rows = mariadb.run("SELECT COUNT(*) FROM chats.turns")
    asked = set(first.words) | set(second.words)
    assert rows == [(len(asked),)]


async def ready(stack: Stack) -> tuple[int, bool]:
    """QS's `/ready`: its status, and whether its store is well."""
    async with dial(stack["qs"].port) as client:
        await client.send_raw(b"GET /ready HTTP/1.1\r\nhost: qs\r\n\r\n")
        status = await client.head()
        return status, json.loads(await client.body())["checks"]["store"]["ok"]
