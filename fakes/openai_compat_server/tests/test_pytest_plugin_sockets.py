"""Goal: the fixtures hold a test to its script, whatever event loop the test belongs to.

Method: suites of one file each, run by pytest within pytest; the ports they use are real.
"""

import pytest

from fakes.openai_compat_server import pytest_plugin
from fakes.openai_compat_server.control import Entry
from fakes.openai_compat_server.http_request import HttpRequest
from fakes.openai_compat_server.pytest_plugin import Request

pytest_plugins = ["pytester"]

OPENING = """
import anyio, anyio.lowlevel, httpx, pytest
from fakes.openai_compat_server import Rule, Script

ASK = {"model": "gpt-test", "messages": [{"role": "user", "content": "hello"}]}

def post(fake, **more):
    return httpx.post(fake.base_url + "/chat/completions", json={**ASK, **more})
"""
RAW = r"""
BODY = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"

async def asked(fake):
    "The status line of one answer over one connection."
    async with fake.connect() as stream:
        await stream.send(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        return (await stream.receive()).partition(b"\r\n")[0]
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> "Run":
    return Run(pytester)


class Run:
    """Runs a suite with the plugin."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def __call__(self, text: str, name: str = "test_it.py") -> pytest.RunResult:
        (self.pytester.path / name).write_text(OPENING + RAW + text)
        return self.pytester.runpytest_inprocess(
            *("-W", "error", "--strict-markers", "-p", "no:cacheprovider"), plugins=[pytest_plugin]
        )


def test_names_are_played_in_order_and_requests_are_kept(run: Run) -> None:
    result = run("""
def test_retry(openai_fake):
    openai_fake.play("status-429", "status-429", "ok")
    assert [post(openai_fake).status_code for _ in range(3)] == [429, 429, 200]
    first = openai_fake.requests[0]
    assert first.json == ASK
    assert first.path == "/v1/chat/completions"
    assert first.headers["content-type"] == "application/json"
    assert openai_fake.left == ()

def test_is_fresh(openai_fake):
    assert openai_fake.requests == ()
    assert post(openai_fake).status_code == 200
""")
    result.assert_outcomes(passed=2)


def test_fails_a_test_that_passed_when_a_step_was_not_played(run: Run) -> None:
    result = run("""
def test_retry(openai_fake):
    openai_fake.play("status-429", "ok")
    post(openai_fake)
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*the script and the requests do not fit",
            "*never asked for: rule 1: ok",
            "*request 1: POST /v1/chat/completions model=gpt-test 'hello' -> 429",
        ]
    )


def test_fails_a_test_that_passed_when_a_request_was_not_in_the_script(run: Run) -> None:
    result = run("""
def test_one_too_many(openai_fake):
    openai_fake.play("ok")
    assert [post(openai_fake).status_code for _ in range(2)] == [200, 404]

def test_one_more_than_named(openai_fake):
    openai_fake.play("status-500", strict=False)
    assert [post(openai_fake).status_code for _ in range(2)] == [500, 200]
""")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*no rule had anything for: POST /v1/chat/completions"])


def test_tells_what_was_asked_when_the_test_itself_fails(run: Run) -> None:
    result = run("""
def test_wrong(openai_fake):
    openai_fake.play("status-500", "ok")
    assert post(openai_fake).status_code == 200

def test_not_raised(openai_fake):
    openai_fake.play("status-429", "ok")
    with pytest.raises(httpx.HTTPError):
        post(openai_fake)
""")
    result.assert_outcomes(failed=2)
    told = ["* openai_fake *", "*never asked for: rule 1: ok", "*request 1: POST *"]
    result.stdout.fnmatch_lines(["*assert 500 == 200*", *told, "*DID NOT RAISE*", *told])
    result.stdout.no_fnmatch_line("*do not fit*")


def test_scripts_come_as_data_and_as_files(run: Run) -> None:
    result = run("""
def test_data(openai_fake):
    openai_fake.script = Script((Rule(("status-503-busy",), text="hell"),), strict=True)
    assert post(openai_fake).status_code == 503

def test_file(openai_fake, tmp_path):
    file = tmp_path / "retry.toml"
    rule = '[[rule]]\\nmodel = "gpt-test"\\nplay = ["status-429", "ok"]\\n'
    file.write_text("strict = true\\n" + rule)
    openai_fake.play(file)
    with httpx.Client() as client:
        url = openai_fake.base_url + "/chat/completions"
        assert client.post(url, json=ASK).status_code == 429
        assert client.post(url, json=ASK).status_code == 200
        openai_fake.play("status-500")
        assert client.post(url, json=ASK).status_code == 500

def test_wrong_file(openai_fake, tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text('[[rule]]\\nplay = ["status-42"]\\n')
    with pytest.raises(ValueError, match=r"wrong.toml:2: .*status-42"):
        openai_fake.play(file)

@pytest.mark.parametrize("what", [("nope",), (), (3,), ("ok", Script()), ("refused",)])
def test_wrong_names(openai_fake, what):
    with pytest.raises(ValueError):
        openai_fake.play(*what)

def test_unfinished(openai_fake):
    openai_fake.play("status-429")
    with pytest.raises(pytest.fail.Exception, match="never asked for: rule 1: status-429"):
        openai_fake.play("ok")
    assert post(openai_fake).status_code == 429
""")
    result.assert_outcomes(passed=9)


def test_sees_a_client_that_leaves(run: Run) -> None:
    result = run("""
def test_leaver(openai_fake):
    openai_fake.play("stall?after=1&for=30s")
    url = openai_fake.base_url + "/chat/completions"
    with httpx.stream("POST", url, json={**ASK, "stream": True}) as reply:
        next(reply.iter_bytes())
    [left] = openai_fake.wait_left()
    assert left.json["stream"] is True
    assert left.entry.bytes_sent < left.entry.bytes_planned
    assert str(left).endswith("-> 200 (the client left)")

def test_nobody_leaves(openai_fake):
    post(openai_fake)
    openai_fake.wait_left(limit_s=0.01)
""")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*0 of 1 clients left within 0.01 s"])


def test_the_marker_says_how_it_behaves(run: Run) -> None:
    result = run("""
@pytest.mark.openai_fake(persona="echo", dialect="ollama", seed=3)
def test_marked(openai_fake):
    reply = post(openai_fake).json()
    assert reply["choices"][0]["message"]["content"] == "hello"
    assert reply["system_fingerprint"] == "fp_ollama"

@pytest.mark.openai_fake(persona="nobody")
def test_wrong_value(openai_fake): pass

@pytest.mark.openai_fake(colour="red")
def test_wrong_key(openai_fake): pass
""")
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*'nobody' is not one of extractive, echo, lorem*"])
    result.stdout.fnmatch_lines(["*unexpected keyword argument 'colour'"])


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


def test_a_request_is_refused_as_json_when_it_is_none() -> None:
    entry = Entry("POST /", 200, 1, 1, 0.0)
    with pytest.raises(ValueError, match="no JSON object: b'\\[\\]'"):
        _ = Request(HttpRequest("POST", "/", "1.1", (), b"[]"), entry).json
