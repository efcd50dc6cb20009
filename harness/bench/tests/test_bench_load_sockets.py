"""The driver, the upstream, the relay and the pass-through, over real sockets."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bench import load, measures, processes
from harness.bench.load import Cut
from harness.bench.rows import Row, openai_row
from harness.bench.subjects import run_module
from harness.stack import free_ports


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_ports(("upstream",))["upstream"]
    with run_module("upstream", tmp_path_factory.mktemp("bench"), port):
        yield port


@pytest.fixture
def direct(upstream: int) -> Row:
    return openai_row("direct", upstream, {})


@pytest.mark.parametrize("module", ["relay", "pass_through"])
def test_floor_carries_the_upstreams_reply(module: str, upstream: int, tmp_path: Path) -> None:
    port = free_ports((module,))[module]
    with run_module(module, tmp_path, port, upstream) as pid:
        row = openai_row(module, port, {module: pid})
        plain = asyncio.run(measures.plain(row, 4, 0.2))
        streaming = asyncio.run(measures.streaming(row, 4, 0.2))
    assert plain.per_s > 0
    assert plain.cpu_us[module] > 0
    assert streaming.events_per_s > 0


def test_stream_comes_at_the_pace_that_was_asked_for(direct: Row) -> None:
    async def paced() -> tuple[float, float]:
        await measures.control(direct.port, "/bench/pace?ms=5")
        return await measures.gaps(direct)

    p50, _ = asyncio.run(paced())
    asyncio.run(measures.control(direct.port, "/bench/pace?ms=0"))
    assert 0.004 < p50 < 0.1


def test_leaving_is_seen_when_a_stream_is_under_way(direct: Row) -> None:
    async def leave() -> measures.Leaving:
        await measures.control(direct.port, "/bench/pace?ms=20")
        return await measures.leaving(direct, direct.port, 10, 2)

    left = asyncio.run(leave())
    seen = asyncio.run(measures.control(direct.port, "/bench/pace?ms=0"))
    assert len(left.waits_s) == 2
    assert all(0 <= wait < 1 for wait in (*left.waits_s, *left.all_s))
    assert seen["open"] == 0


def test_open_loop_counts_from_when_a_call_was_due(direct: Row) -> None:
    took = asyncio.run(load.open_loop(direct.port, direct.plain, 50.0, 0.4))
    assert len(took) == 20
    assert min(took) > 0


def test_nobody_listens_is_told(tmp_path: Path) -> None:
    port = free_ports(("nobody",))["nobody"]
    with pytest.raises(OSError, match="Connect call failed"):
        asyncio.run(load.answered(port, b"GET / HTTP/1.1\r\n\r\n"))


def test_answer_that_is_cut_is_told() -> None:
    async def cut() -> None:
        async def slam(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            writer.close()

        server = await asyncio.start_server(slam, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(Cut):
                await load.answered(port, b"GET / HTTP/1.1\r\n\r\n")

    asyncio.run(cut())


def test_processor_time_and_memory_are_this_processes() -> None:
    before = processes.cpu_s(os.getpid())
    sum(range(2_000_000))
    assert processes.cpu_s(os.getpid()) > before
    assert processes.rss_bytes(os.getpid()) > 1_000_000
