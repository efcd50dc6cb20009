"""Goal: the fixtures hold a test to its script, and say what does not fit.

Method: suites of one file each, run by pytest within pytest; the ports they use are real.
"""

import pytest

from fakes.openai_compat_server.control import Entry
from fakes.openai_compat_server.http_request import HttpRequest
from fakes.openai_compat_server.pytest_plugin import Request
from fakes.openai_compat_server.tests.plugin_suites import Run

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    return Run(pytester)


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
    result.stdout.no_fnmatch_line("*raceback*")


def test_shows_a_test_its_own_line_when_it_plays_or_waits_too_early(run: Run) -> None:
    result = run("""
def test_plays(openai_fake_stream):
    openai_fake_stream.play("ok")
    openai_fake_stream.play("status-429")

def test_waits(openai_fake_stream):
    openai_fake_stream.wait_left()

def test_plays_nothing_there_is(openai_fake):
    openai_fake.play("status-42")
""")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "openai_fake_stream = <openai_fake http://openai-fake.invalid/v1, 0 requests>",
            '>*openai_fake_stream.play("status-429")',
            "E *do not fit",
            "E *never asked for: rule 1: ok",
            ">*openai_fake_stream.wait_left()",
            "E *: wait_left() would stop the event loop that serves *: await wait_left_async()",
            '>*openai_fake.play("status-42")',
            "E *No scenario is called 'status-42'*",
        ]
    )
    # None of ours: each traceback is the test's own line.
    result.stdout.no_fnmatch_line("*openai_compat_server/*.py:*")


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
    result.stdout.fnmatch_lines(
        [
            "*request 2 was not in the script",
            "*(play(…, strict=False) lets further requests through)",
            "*request 1: POST *-> 200",
            "*request 2: POST *-> 404",
        ]
    )
    result.stdout.no_fnmatch_line("*request 1 was not*")


def test_says_why_a_request_used_up_no_step(run: Run) -> None:
    result = run("""
def test_steps(openai_fake):
    openai_fake.play("ok", "status-429")
    assert post(openai_fake, messages=3).status_code == 400
    assert post(openai_fake, model="fake:status-503-busy").status_code == 503
    assert post(openai_fake).status_code == 200
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*never asked for: rule 1: status-429",
            "*request 1: POST *-> 400 (refused, which uses up no step of the script)",
            "*request 2: POST *-> 503 (its model names a scenario, which goes before the script)",
            "*request 3: POST *-> 200",
        ]
    )


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

def test_list(openai_fake):
    openai_fake.play(["status-429", "ok"])
    assert [post(openai_fake).status_code for _ in range(2)] == [429, 200]

@pytest.mark.parametrize("what", [("nope",), (), (3,), ("ok", Script()), ("refused",)])
def test_wrong_names(openai_fake, what):
    with pytest.raises(ValueError):
        openai_fake.play(*what)

def test_unfinished(openai_fake):
    openai_fake.play("status-429")
    with pytest.raises(AssertionError, match="never asked for: rule 1: status-429"):
        openai_fake.play("ok")
    assert post(openai_fake).status_code == 429
""")
    result.assert_outcomes(passed=10)


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
    assert repr(left) == "<Request 1 POST /v1/chat/completions -> 200, client left>"
    assert repr(openai_fake).endswith("/v1, 1 request>")

def test_nobody_leaves(openai_fake):
    post(openai_fake)
    openai_fake.wait_left(timeout_s=0.01)

def test_is_not_asked_for_anybody(openai_fake):
    with pytest.raises(ValueError, match="0 clients"):
        openai_fake.wait_left(0)
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*0 of 1 clients left within 0.01 s"])


def test_the_marker_says_how_it_behaves(run: Run) -> None:
    result = run("""
@pytest.mark.openai_fake(persona="echo", dialect="ollama", seed=3)
def test_marked(openai_fake):
    reply = post(openai_fake).json()
    assert reply["choices"][0]["message"]["content"] == "hello"
    assert reply["system_fingerprint"] == "fp_ollama"

@pytest.mark.openai_fake(window_tokens=3)
def test_window(openai_fake):
    long = [{"role": "user", "content": "far over three tokens"}]
    assert post(openai_fake, messages=long).status_code == 400

@pytest.mark.openai_fake(tls=True)
def test_tls(openai_fake):
    assert openai_fake.base_url.startswith("https://")
    url = openai_fake.base_url + "/models"
    assert httpx.get(url, verify=openai_fake.trust()).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)

def test_no_tls(openai_fake):
    with pytest.raises(ValueError, match="tls=True"):
        openai_fake.trust()

@pytest.mark.openai_fake(colour="red")
def test_wrong_key(openai_fake): pass

@pytest.mark.openai_fake(tls=True)
def test_no_tls_in_memory(openai_fake_stream): pass
""")
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines(
        [
            "openai_fake: marker: unknown argument 'colour' (known are seed, persona, *tls)",
            "openai_fake_stream: no TLS in memory; openai_fake has it",
        ]
    )
    result.stdout.no_fnmatch_line("*During handling*")


def test_given_bytes_are_played_between_scenarios(run: Run) -> None:
    result = run("""
TEAPOT = raw(b"HTTP/1.1 418 No\\r\\ncontent-length: 2\\r\\n\\r\\nno")

def test_played(openai_fake):
    openai_fake.play("status-429", TEAPOT, "ok")
    assert [post(openai_fake).status_code for _ in range(3)] == [429, 418, 200]
    assert openai_fake.requests[1].entry.status == 418

def test_cut(openai_fake):
    head = b"HTTP/1.1 200 OK\\r\\ncontent-length: 9\\r\\n\\r\\n"
    openai_fake.play(raw(head, b"ab", ending=Ending.RESET))
    with pytest.raises(httpx.ReadError):
        post(openai_fake)

def test_unplayed(openai_fake):
    openai_fake.play(TEAPOT)
""")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*never asked for: rule 1: raw 418 (40 bytes)"])


def test_the_nearest_marker_says_how_it_behaves(run: Run) -> None:
    result = run("""
pytestmark = pytest.mark.openai_fake(dialect="ollama", persona="lorem")

def made(fake):
    reply = post(fake).json()
    return reply["choices"][0]["message"]["content"] == "hello", reply["system_fingerprint"]

@pytest.mark.openai_fake(persona="echo")
class TestOfAClass:
    def test_class(self, openai_fake):
        assert made(openai_fake) != (True, "fp_ollama")
        assert made(openai_fake)[0]

    @pytest.mark.openai_fake(dialect="ollama")
    def test_its_own(self, openai_fake):
        assert made(openai_fake) == (False, "fp_ollama")

def test_module(openai_fake):
    assert made(openai_fake) == (False, "fp_ollama")
""")
    result.assert_outcomes(passed=3)


def test_a_test_that_never_began_is_told_what_was_asked_and_nothing_else(run: Run) -> None:
    result = run("""
@pytest.fixture
def warmed(openai_fake):
    openai_fake.play("status-500", "ok")
    post(openai_fake).raise_for_status()

def test_never_begins(warmed): pass
""")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*500 Internal*", "* openai_fake *", "*request 1: POST *-> 500"])
    result.stdout.no_fnmatch_line("*do not fit*")


def test_what_other_fixtures_ask_at_their_end_has_to_fit_too(run: Run) -> None:
    result = run("""
@pytest.fixture
def says_goodbye(openai_fake):
    yield
    post(openai_fake)

def test_fits(says_goodbye, openai_fake):
    openai_fake.play("ok", strict=False)
    post(openai_fake)

def test_is_one_too_many(says_goodbye, openai_fake):
    openai_fake.play("ok")
    post(openai_fake)

def test_has_failed_already(says_goodbye, openai_fake):
    openai_fake.play("ok")
    assert 0
""")
    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_is_one_too_many*", "*do not fit*"])


def test_both_fixtures_of_one_test_are_held_to_their_scripts(run: Run) -> None:
    result = run("""
@pytest.fixture(params=["openai_fake", "openai_fake_stream"])
def unplayed(request, openai_fake, openai_fake_stream):
    request.getfixturevalue(request.param).play("ok")

def test_one_is_not_played(unplayed): pass

def test_are_not_mixed_up(openai_fake, openai_fake_stream):
    post(openai_fake)
    assert (len(openai_fake.requests), len(openai_fake_stream.requests)) == (1, 0)

def test_is_skipped(openai_fake):
    openai_fake.play("ok")
    pytest.skip("later")

@pytest.mark.xfail(strict=True)
def test_is_expected_to_fail(openai_fake):
    openai_fake.play("ok")
""")
    result.assert_outcomes(failed=2, passed=1, skipped=1, xfailed=1)


def test_a_test_that_is_run_again_gets_a_fake_of_its_own(run: Run) -> None:
    run.pytester.makeconftest("""
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    if any(report.failed for report in runtestprotocol(item, nextitem=nextitem, log=False)):
        item._initrequest()
        runtestprotocol(item, nextitem=nextitem)
    return True
""")
    result = run("""
RUNS = []

def test_fits_when_run_again(openai_fake):
    RUNS.append(1)
    openai_fake.play(*["status-429"] * (3 - len(RUNS)))
    assert post(openai_fake).status_code == 429
""")
    result.assert_outcomes(passed=1)


def test_ends_at_once_when_a_test_leaves_its_connections_open(run: Run) -> None:
    result = run("""
import socket
LEFT = []

def test_leaves_them(openai_fake):
    openai_fake.play("stall?after=1&for=1h")
    host, port = openai_fake.base_url.split("/")[2].split(":")
    whole = HEAD + b"content-length: %d\\r\\n\\r\\n" % len(BODY) + BODY
    for said in (b"", b"POST /v1/chat", whole):
        LEFT.append(socket.create_connection((host, int(port))))
        LEFT[-1].sendall(said)
    assert LEFT[2].recv(1) == b"H"

def test_finds_them_cut():
    for left in LEFT:
        left.settimeout(5)
        try:
            while left.recv(65_536): pass
        except ConnectionResetError:
            pass
        left.close()
""")
    result.assert_outcomes(passed=2)
    assert result.duration < 4


def test_a_request_is_refused_as_json_when_it_is_none() -> None:
    entry = Entry("POST /", 200, 1, 1, 0.0)
    with pytest.raises(ValueError, match="no JSON object: b'\\[\\]'"):
        _ = Request(HttpRequest("POST", "/", "1.1", (), b"[]"), entry).json
