"""Goal: where a resource is used up the answer is controlled, what was good stays, all recovers.

Method: a real full disk under the index, the spool, the store and the logs, and programs with so
few descriptors that calls go short of them.
"""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import trio

from harness.faults.chain import (
    BFF_S,
    DOCUMENTS,
    GENERATION_S,
    GRACE_S,
    HOPS,
    MODULES_BY_HOP,
    PACE,
    QUESTION,
    SLOWLY,
    make_whole,
    otherwise,
    serves,
    word_of,
    words,
)
from harness.faults.full_disk import UNREAL, SmallDisk, small_disk
from harness.raw_client import dial
from harness.stack import Stack, write_documents

FULL: Final = Path("/dev/full")
# Enough for a program to start and to answer a few, not for so many at once.
DESCRIPTORS: Final = 36
MANY: Final = 40
# Some 300 kB of documents: more than is left on the disk, and less than there is of it.
MUCH: Final = {f"much-{number}.md": f"# On {number}\n\n{'word ' * 300}" for number in range(40)}
SHORT_OF: Final = frozenset({
    "HOP_UNREACHABLE", "HOP_TIMEOUT", "HOP_DISCONNECTED", "RAG_INDEX_NOT_READY", "RAG_UNAVAILABLE",
    "RAG_TIMEOUT", "PROVIDER_UNREACHABLE", "PROVIDER_CONNECT_TIMEOUT", "PROVIDER_TIMEOUT",
})  # fmt: skip


@pytest.fixture
def disk(
    tmp_path: Path, stack: Stack, record_property: Callable[[str, object], None]
) -> Iterator[SmallDisk]:
    place = tmp_path / "disk"
    place.mkdir()
    with small_disk(place) as made:
        if not made.is_real:
            record_property(*UNREAL)
        yield made
        stack["qs"].kill()


async def test_old_index_is_served_on_when_an_ingest_fills_the_disk(
    stack: Stack, disk: SmallDisk, tmp_path: Path
) -> None:
    index = str(disk.place / "index.sqlite3")

    def ingest(documents: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        folder = write_documents(tmp_path / "documents", documents)
        return stack.try_to_ingest(folder, under=disk.under, QS_INDEX_PATH=index)

    assert ingest(DOCUMENTS).returncode == 0
    with otherwise(stack, "qs", {"QS_INDEX_PATH": index}, under=disk.under) as qs:
        await serves(stack)
        disk.fill()
        failed = ingest(MUCH)
        (line,) = failed.stderr.splitlines()
        assert failed.returncode == 1
        assert line.startswith(f"ingest: index {index}: ")
        assert line.endswith("the disk is full") or not disk.is_real
        await serves(stack)
        disk.make_room(qs)
        assert ingest({}).returncode == 0, "all of it can be had once there is room"
        await serves(stack)


async def test_query_service_that_starts_on_a_full_disk_says_so_until_there_is_room(
    stack: Stack, disk: SmallDisk, tmp_path: Path
) -> None:
    """SQLite has to make a file beside the index before it can read it."""
    index = str(disk.place / "index.sqlite3")
    folder = write_documents(tmp_path / "documents", DOCUMENTS)
    done = stack.try_to_ingest(folder, under=disk.under, QS_INDEX_PATH=index)
    assert done.returncode == 0
    disk.fill()
    with otherwise(stack, "qs", {"QS_INDEX_PATH": index}, under=disk.under) as qs:
        assert await words(stack["bff"].port) == ("RAG_UNAVAILABLE", "RAG_UNAVAILABLE")
        async with dial(qs.port) as client:
            await client.send_raw(b"GET /ready HTTP/1.1\r\nhost: qs\r\n\r\n")
            assert await client.head() == 503
            assert f"index {index}: " in (await client.body()).decode()
        disk.make_room(qs)
        await serves(stack)


async def test_answers_go_on_unkept_while_the_spools_disk_is_full(
    stack: Stack, disk: SmallDisk
) -> None:
    environ = {
        "QS_SPOOL_DIR": str(disk.place / "spool"),
        "QS_STORE_URL": f"sqlite:///{stack.folder / 'unspooled.sqlite3'}",
    }
    disk.fill()
    with otherwise(stack, "qs", environ, under=disk.under) as qs:
        await serves(stack)
        status, checks = await ready(qs.port)
        assert "turns waiting; the last was lost: " in str(checks["spool"]["detail"])
        assert status == 200 or not disk.is_real  # else the store's files cannot grow either
        assert await figure(qs.port, "bsl_spool_failures_total") >= 2
        assert QUESTION not in qs.text()
        disk.make_room(qs)
        await serves(stack)
        await until_kept(qs.port, 2)
        assert (await ready(qs.port))[1]["spool"]["ok"] is True


async def test_answered_turns_wait_and_are_kept_once_when_the_stores_disk_was_full(
    stack: Stack, disk: SmallDisk
) -> None:
    # Of its own: in the other spool may wait what an earlier test's QS was killed with.
    environ = {
        "QS_STORE_URL": f"sqlite:///{disk.place / 'store.sqlite3'}",
        "QS_SPOOL_DIR": str(stack.folder / "spool-of-a-full-store"),
    }
    with otherwise(stack, "qs", environ, under=disk.under) as qs:
        await serves(stack)
        await until_kept(qs.port, 2)
        disk.fill()
        for _ in range(4):
            await serves(stack)
        status, checks = await ready(qs.port)
        if disk.is_real:
            assert (status, checks["store"]["ok"]) == (503, False), "a file is QS's own"
            assert "disk is full" in str(checks["store"]["detail"])
            assert checks["spool"]["detail"] == "8 turns waiting"
        disk.make_room(qs)
        await until_kept(qs.port, 10)
        assert (await ready(qs.port))[0] == 200


async def until_kept(port: int, sessions: int) -> None:
    """So many conversations are in the store, and nothing waits for it."""
    with trio.fail_after(BFF_S + GRACE_S):
        while True:
            _, checks = await ready(port)
            told = [checks[name]["detail"] for name in ("store", "spool")]
            if told == [f"{sessions} sessions", "0 turns waiting"]:
                return
            await trio.sleep(0.1)


async def ready(port: int) -> tuple[int, dict[str, dict[str, object]]]:
    """A program's `/ready`: its status and its checks."""
    async with dial(port) as client:
        await client.send_raw(b"GET /ready HTTP/1.1\r\nhost: hop\r\n\r\n")
        status = await client.head()
        return status, json.loads(await client.body())["checks"]


async def figure(port: int, name: str) -> float:
    """One figure of a program's `/metrics`."""
    async with dial(port) as client:
        text = (await client.get("/metrics")).decode()
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name}{{")]
    return float(line.rpartition(" ")[2])


async def test_programs_go_on_when_their_logs_disk_is_full(stack: Stack) -> None:
    for name in MODULES_BY_HOP:
        stack[name].kill()
    options = {"fake": (*PACE, "--script", str(stack.folder / "script.toml"))}
    try:
        for name in reversed(MODULES_BY_HOP):
            stack.launch(name, options.get(name, ()), {}, out=FULL)
        for _ in range(3):
            await serves(stack)
        word = await word_of(stack["bff"].port, stream=True, question="What is a garlic emperor?")
        assert word in ("RAG_NO_CHUNKS", "RAG_LOW_SCORE", "MODEL_ABSTAINED")
    finally:
        for name in MODULES_BY_HOP:
            stack[name].terminate()
    for name in MODULES_BY_HOP:
        assert await trio.to_thread.run_sync(stack[name].wait_ended) == 0, name
    make_whole(stack)
    await serves(stack)


@pytest.mark.parametrize("name", HOPS)
async def test_calls_are_answered_and_all_recovers_when_a_hop_has_no_descriptors_left(
    stack: Stack, name: str
) -> None:
    found: list[str] = []

    async def call(stream: bool) -> None:
        question = f"{QUESTION} {SLOWLY}"
        found.append(await word_of(stack["bff"].port, stream=stream, question=question))

    few = f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"
    with otherwise(stack, name, {}, under=["prlimit", few]) as hop:
        with trio.fail_after(BFF_S + GENERATION_S + 2 * GRACE_S):
            async with trio.open_nursery() as nursery:
                for number in range(MANY):
                    nursery.start_soon(call, bool(number % 2))
        assert hop.process.poll() is None
        assert set(found) <= {"ok", *SHORT_OF}, found
        assert set(found) - {"ok"}, "it never went short"
        await serves(stack)
    make_whole(stack)
