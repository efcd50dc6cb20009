"""Goal: a test of either event loop has its fake, on a port or in memory, and stops no loop.

Method: suites of one file each, run by pytest within pytest; the ports they use are real.
"""

import pytest

from fakes.openai_compat_server.tests.plugin_suites import Run

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    return Run(pytester)


LEAVES = """
async def leaves(fake, client):
    "One client leaves in the middle of an answer, and is still there itself."
    fake.play("stall?after=2&for=30s")
    url = fake.base_url + "/chat/completions"
    async with client.stream("POST", url, json={**ASK, "stream": True}) as reply:
        assert reply.status_code == 200
    [left] = await fake.wait_left_async(timeout_s=2)
    assert left.entry.bytes_sent < left.entry.bytes_planned
"""


def test_an_async_test_waits_for_clients_that_leave(run: Run) -> None:
    result = run(f"""{LEAVES}
@pytest.mark.anyio
async def test_sockets(openai_fake):
    async with httpx.AsyncClient() as client:
        await leaves(openai_fake, client)

@pytest.mark.anyio
async def test_memory(openai_fake_stream):
    async with httpx.AsyncClient(transport=openai_fake_stream.transport()) as client:
        await leaves(openai_fake_stream, client)

@pytest.mark.anyio
async def test_waits_while_another_leaves(openai_fake_stream):
    openai_fake_stream.play("silence")
    async with openai_fake_stream.connect() as stream, anyio.create_task_group() as tasks:
        await stream.send(HEAD + b"content-length: %d\\r\\n\\r\\n" % len(BODY) + BODY)
        tasks.start_soon(openai_fake_stream.wait_left_async)
        await anyio.wait_all_tasks_blocked()
        assert openai_fake_stream.left == ()
        await stream.aclose()

@pytest.mark.anyio
async def test_nobody_leaves(openai_fake):
    await openai_fake.wait_left_async(timeout_s=0.01)

@pytest.mark.trio
async def test_nobody_leaves_in_memory(openai_fake_stream, autojump_clock):
    began = anyio.current_time()
    with pytest.raises(AssertionError, match="0 of 2 clients left within 3000 s"):
        await openai_fake_stream.wait_left_async(2, timeout_s=3000)
    assert anyio.current_time() - began == 3000
""")
    # All but the last run twice: under asyncio and under trio.
    result.assert_outcomes(passed=7, failed=2)
    result.stdout.fnmatch_lines([">*await openai_fake.wait_left_async(timeout_s=0.01)"])


def test_a_block_with_a_connection_raises_what_was_raised_in_it(run: Run) -> None:
    result = run("""
@pytest.mark.anyio
async def test_raises(openai_fake_stream):
    cause, fault = KeyError("cause"), ValueError("mine")
    with pytest.raises(ValueError) as caught:
        async with openai_fake_stream.connect() as stream:
            await stream.send(b"GET /v1/models HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n")
            assert await stream.receive(5) == b"HTTP/"
            raise fault from cause
    assert caught.value is fault and fault.__cause__ is cause

@pytest.mark.anyio
async def test_fails(openai_fake_stream):
    with pytest.raises(pytest.fail.Exception):
        async with openai_fake_stream.connect():
            pytest.fail("mine")

@pytest.mark.anyio
async def test_raises_a_group(openai_fake_stream):
    group = ExceptionGroup("mine", [ValueError()])
    with pytest.raises(ExceptionGroup) as caught:
        async with openai_fake_stream.connect():
            raise group
    assert caught.value is group

@pytest.mark.anyio
async def test_is_cancelled(openai_fake_stream):
    with anyio.move_on_after(0.01) as scope:
        async with openai_fake_stream.connect() as stream:
            await stream.receive()
    assert scope.cancelled_caught

@pytest.mark.anyio
async def test_the_server_sees_its_client_leave(openai_fake_stream):
    openai_fake_stream.play("silence")
    with pytest.raises(ValueError):
        async with openai_fake_stream.connect() as stream:
            await stream.send(HEAD + b"content-length: %d\\r\\n\\r\\n" % len(BODY) + BODY)
            await anyio.wait_all_tasks_blocked()
            raise ValueError
    assert len(openai_fake_stream.left) == 1
""")
    # Twice each: under asyncio and under trio.
    result.assert_outcomes(passed=10)


def test_serves_suites_of_either_event_loop(run: Run) -> None:
    result = run("""
async def statuses(fake):
    url = fake.base_url + "/chat/completions"
    async with httpx.AsyncClient() as client:
        return [(await client.post(url, json=ASK)).status_code for _ in range(2)]

@pytest.mark.anyio
async def test_socket(openai_fake):
    openai_fake.play("status-429", "ok")
    assert await statuses(openai_fake) == [429, 200]

@pytest.mark.trio
async def test_socket_under_trio(openai_fake):
    openai_fake.play("status-429", "ok")
    assert await statuses(openai_fake) == [429, 200]

@pytest.mark.anyio
async def test_memory(openai_fake_stream):
    openai_fake_stream.play("status-429", "ok")
    assert b" 429 " in await asked(openai_fake_stream)
    assert b" 200 " in await asked(openai_fake_stream)
    assert len(openai_fake_stream.requests) == 2

@pytest.mark.anyio
async def test_leaver_in_memory(openai_fake_stream):
    openai_fake_stream.play("silence")
    async with openai_fake_stream.connect() as stream:
        await stream.send(HEAD + b"content-length: %d\\r\\n\\r\\n" % len(BODY) + BODY)
        while not openai_fake_stream.requests:
            await anyio.lowlevel.checkpoint()
    assert len(openai_fake_stream.left) == 1

@pytest.mark.anyio
async def test_unplayed_in_memory(openai_fake_stream):
    openai_fake_stream.play("ok")

@pytest.mark.trio
@pytest.mark.openai_fake(latency="ttft=3000s,itl=0ms")
async def test_virtual_time(openai_fake_stream, autojump_clock):
    began = anyio.current_time()
    assert b" 200 " in await asked(openai_fake_stream)
    assert anyio.current_time() - began > 2000
""")
    # Those marked for anyio run twice: under asyncio and under trio.
    result.assert_outcomes(passed=8, failed=2)


def test_httpx_reaches_it_in_memory(run: Run) -> None:
    result = run("""
async def status(fake):
    async with httpx.AsyncClient(transport=fake.transport()) as client:
        return (await client.post(fake.base_url + "/chat/completions", json=ASK)).status_code

@pytest.mark.anyio
async def test_answers(openai_fake_stream):
    openai_fake_stream.play("status-429", "ok")
    assert [await status(openai_fake_stream) for _ in range(2)] == [429, 200]
    assert openai_fake_stream.requests[1].json == ASK

@pytest.mark.anyio
async def test_unmatched(openai_fake_stream):
    openai_fake_stream.play("ok")
    assert [await status(openai_fake_stream) for _ in range(2)] == [200, 404]

@pytest.mark.anyio
async def test_is_never_closed(openai_fake_stream):
    url = openai_fake_stream.base_url + "/chat/completions"
    client = httpx.AsyncClient(transport=openai_fake_stream.transport())
    assert (await client.post(url, json=ASK)).status_code == 200
""")
    # Twice each: under asyncio and under trio.
    result.assert_outcomes(passed=4, failed=2)


def test_says_what_is_missing_when_httpx_is(run: Run) -> None:
    result = run("""
def test_without_httpx(openai_fake_stream, monkeypatch):
    import sys
    monkeypatch.delitem(sys.modules, "fakes.openai_compat_server.over_httpx", raising=False)
    monkeypatch.setitem(sys.modules, "httpcore", None)
    with pytest.raises(ImportError, match="transport.. is for httpx, .* pip install httpx"):
        openai_fake_stream.transport()
""")
    result.assert_outcomes(passed=1)
