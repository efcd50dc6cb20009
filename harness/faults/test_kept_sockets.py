"""Goal: no answered turn is lost, whatever ends QS, and what was cut is kept as what it was.

Method: SIGKILL and SIGTERM to QS while one answer is written and others have just ended; then QS is
started again and its store is read.
"""

import sqlite3
from contextlib import closing

import pytest
import trio

from harness.evidence import last_word
from harness.faults.chain import (
    GRACE_S,
    QUESTION,
    SLOWLY,
    eventually,
    exchange_of,
    make_whole,
    serves,
    streaming,
)
from harness.stack import Stack


@pytest.mark.parametrize(("way", "left"), [("kill", "interrupted"), ("terminate", "fallback")])
async def test_answered_turns_are_kept_once_and_the_cut_one_as_cut_when_qs_ends(
    stack: Stack, way: str, left: str
) -> None:
    answered = [f"{way}-{number}" for number in range(12)]
    async with trio.open_nursery() as nursery:
        for number, request_id in enumerate(answered):
            nursery.start_soon(ask, stack, request_id, bool(number % 2))
    async with streaming(stack["bff"].port, f"{way}-cut") as client:
        await client.event()
        getattr(stack["qs"], way)()
        assert (await client.rest())[-1][1]["status"] == "fallback"
        await trio.to_thread.run_sync(stack["qs"].wait_ended)
    make_whole(stack)
    await eventually(lambda: set(rows(stack, way)) >= {*answered, f"{way}-cut"}, GRACE_S)
    expected = {request_id: ["ok"] for request_id in answered}
    assert rows(stack, way) == {**expected, f"{way}-cut": [left]}
    assert not [*(stack.folder / "spool").glob("*/*.turn")]
    with closing(sqlite3.connect(stack.folder / "store.sqlite3")) as store:
        (text,) = store.execute(
            "SELECT answer FROM turns WHERE request_id = ?", (f"{way}-cut",)
        ).fetchone()
        assert text is None
        (question,) = store.execute(
            "SELECT question FROM turns WHERE request_id = ?", (f"{way}-cut",)
        ).fetchone()
    assert question == f"{QUESTION} {SLOWLY}"
    await serves(stack)


async def ask(stack: Stack, request_id: str, stream: bool) -> None:
    exchange = await exchange_of(stack["bff"].port, stream=stream, request_id=request_id)
    assert last_word(exchange) == "ok"


def rows(stack: Stack, way: str) -> dict[str, list[str]]:
    """The statuses of each request of this test that is in the store."""
    found: dict[str, list[str]] = {}
    with closing(sqlite3.connect(stack.folder / "store.sqlite3")) as store:
        wanted = "SELECT request_id, status FROM turns WHERE request_id LIKE ?"
        for request_id, status in store.execute(wanted, (f"{way}-%",)):
            found.setdefault(request_id, []).append(status)
    return found
