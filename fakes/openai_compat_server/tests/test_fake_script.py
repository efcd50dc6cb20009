"""Goal: a script decides what each request gets, over a connection and from a file.

Method: scripts as data on a fake in memory, on a virtual clock; files through the command line.
"""

from pathlib import Path

import pytest
import trio
import trio.testing

from fakes.openai_compat_server import (
    Behaviour,
    Ending,
    Fake,
    HttpRequest,
    Plan,
    Rule,
    Script,
    Step,
    raw,
)
from fakes.openai_compat_server.catalogue import CATALOGUE
from fakes.openai_compat_server.dialects import DIALECTS, Dialect
from fakes.openai_compat_server.options import parse_options
from fakes.openai_compat_server.over_trio import serve_trio_stream
from fakes.openai_compat_server.responses import plan_scripted
from fakes.openai_compat_server.scenario import Face
from fakes.openai_compat_server.tests.fake_client import chat, on_the_wire

TWICE = Rule(("status-429-retry-after?for=1s", "status-429", "ok"))
PLAIN = on_the_wire(chat())


async def statuses(script: Script, *requests: bytes) -> tuple[list[int], Fake]:
    """The status of each response, the requests pipelined on one connection."""
    fake = Fake(Behaviour(persona="echo", script=script))
    client, server = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_trio_stream, server, fake)
        await client.send_all(b"".join(requests))
        await trio.sleep(60)
        await client.aclose()
    return [entry.status for entry in fake.journal.entries], fake


async def test_the_third_call_succeeds_when_the_first_two_are_scripted_to_fail(
    autojump_clock: trio.testing.MockClock,
) -> None:
    got, fake = await statuses(Script((TWICE,)), *[PLAIN] * 4)
    assert got == [429, 429, 200, 200]
    assert fake.playing.unplayed == ()


async def test_only_what_asks_for_work_is_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    models = on_the_wire(b"", "GET", "/v1/models")
    got, fake = await statuses(Script((TWICE,), strict=True), models, PLAIN, models)
    assert got == [200, 429, 200]
    assert fake.playing.unplayed == ("rule 1: status-429, ok",)


MODELS = on_the_wire(b"", "GET", "/v1/models")


async def test_a_rule_with_a_path_plays_to_gets_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    loading = Rule(("status-503-loading", "silence", "ok"), path="/v1/models")
    script = Script((loading, TWICE), strict=True)
    health, head = (on_the_wire(b"", *it) for it in (("GET", "/health"), ("HEAD", "/v1/models")))
    got, fake = await statuses(script, MODELS, health, PLAIN, head)
    assert got == [503, 200, 429, 200]
    assert fake.playing.unplayed == ("rule 1: silence, ok", "rule 2: status-429, ok")
    assert fake.journal.entries[0].scenario == "status-503-loading"


async def test_a_strict_script_minds_the_paths_it_names(
    autojump_clock: trio.testing.MockClock,
) -> None:
    script = Script((Rule(("ok",), path="/v1/models"),), strict=True)
    got, fake = await statuses(script, MODELS, MODELS, on_the_wire(b"", "GET", "/health"))
    assert got == [200, 404, 200]
    assert fake.playing.unmatched == ("GET /v1/models",)


@pytest.mark.parametrize("path", ["/v1/models", "/health"])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_scenario_has_a_form_for_what_is_only_read(path: str, dialect: Dialect) -> None:
    request = HttpRequest("GET", path, "1.1", (("host", "x"),), b"")
    behaviour = Behaviour(dialect=dialect)
    for scenario in CATALOGUE.values():
        if scenario.face is Face.ANSWER:
            plan = plan_scripted(behaviour, request, scenario.name, strict=True)
            assert plan.scenario == scenario.name


REFUSED = (
    on_the_wire(chat(), path="/v1/wrong"),
    on_the_wire({"model": "m"}),
    on_the_wire(b"{"),
)


async def test_what_the_server_refuses_by_itself_uses_up_no_step(
    autojump_clock: trio.testing.MockClock,
) -> None:
    script = Script((Rule(("ok", "status-503-busy")),), strict=True)
    got, fake = await statuses(script, *REFUSED, PLAIN, *REFUSED, PLAIN, REFUSED[0])
    assert got == [404, 400, 400, 200, 404, 400, 400, 503, 404]
    assert fake.playing.unplayed == ()
    # Only then is the script at its end, and has nothing for a request of any kind.
    assert fake.playing.unmatched == ("POST /v1/wrong",)


async def test_a_model_that_names_a_scenario_goes_before_the_script(
    autojump_clock: trio.testing.MockClock,
) -> None:
    script = Script((Rule(("ok", "status-429")),), strict=True)
    names_one = on_the_wire({**chat(), "model": "fake:status-503-busy"})
    unknown = on_the_wire({**chat(), "model": "fake:nope"})
    got, fake = await statuses(script, names_one, unknown, PLAIN, PLAIN, names_one)
    assert got == [503, 404, 200, 429, 503]
    assert (fake.playing.unplayed, fake.playing.unmatched) == ((), ())


async def test_given_bytes_answer_whatever_matches(
    autojump_clock: trio.testing.MockClock,
) -> None:
    head = b"HTTP/1.1 418 I'm a teapot\r\ncontent-length: 0\r\n\r\n"
    by_hand = Plan(500, (Step(0.0, head),), Ending.KEEP)
    anything = Rule((raw(head), by_hand), path="/v1/responses")
    script = Script((anything, Rule((raw(head),))), strict=True)
    elsewhere = on_the_wire(b"", "DELETE", "/v1/responses")
    got, fake = await statuses(script, elsewhere, elsewhere, REFUSED[2])
    assert got == [418, 500, 418]
    assert fake.playing.unplayed == ()


async def test_only_a_strict_script_minds_what_no_rule_matches(
    autojump_clock: trio.testing.MockClock,
) -> None:
    got, fake = await statuses(Script((Rule(("ok",)),)), PLAIN, PLAIN)
    assert got == [200, 200]
    assert fake.playing.unmatched == ()


async def test_a_strict_script_refuses_and_records_what_no_rule_matches(
    autojump_clock: trio.testing.MockClock,
) -> None:
    script = Script((Rule(("ok",), text="hello"),), strict=True)
    got, fake = await statuses(script, PLAIN, on_the_wire(chat("bye")))
    assert got == [200, 404]
    assert fake.playing.unmatched == ("POST /v1/chat/completions",)


async def test_every_face_that_works_is_scripted(autojump_clock: trio.testing.MockClock) -> None:
    embedding = on_the_wire({"model": "m", "input": "a"}, path="/v1/embeddings")
    prompt = on_the_wire({"model": "m", "prompt": "a"}, path="/v1/completions")
    script = Script((Rule(("status-503-busy", "status-500", "ok", "ok")),))
    assert (await statuses(script, embedding, prompt, embedding, prompt))[0] == [503, 500, 200, 200]


async def test_given_bytes_are_sent_as_they_are(
    autojump_clock: trio.testing.MockClock,
) -> None:
    head = b"HTTP/1.1 418 I'm a teapot\r\ncontent-length: 3\r\n\r\n"
    script = Script((Rule((raw(1.0, head, b"\xff", 0.5, b"ab"), "ok")),))
    got, fake = await statuses(script, PLAIN, PLAIN)
    assert got == [418, 200]
    entry = fake.journal.entries[0]
    sent = [(chunk.at - entry.began_at, chunk.data) for chunk in entry.chunks]
    assert sent == [(1.0, head), (1.0, b"\xff"), (1.5, b"ab")]


@pytest.mark.parametrize("name", ["nope", "status-429?for=1s", "refused", ""])
def test_a_script_is_refused_when_no_response_can_perform_it(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Behaviour(script=Script((Rule((name,)),)))


def test_the_command_line_takes_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[[rule]]\nplay = ["status-429-retry-after?for=1s", "status-429", "ok"]\n')
    assert parse_options(["--script", str(file)], {}).script == Script((TWICE,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'[[rule]]\nplay = ["status-42"]', "a.toml:2: rule 1: play 1: No scenario is called"),
        (b'[[rule]]\nplay = ["refused"]', "a.toml:2: rule 1: play 1: No response can perform"),
        (b"strict =", "a.toml:1: "),
        (b"\xff", "a.toml"),
    ],
)
def test_a_file_that_is_wrong_stops_the_start_with_its_line(
    text: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(text)
    with pytest.raises(SystemExit) as ended:
        parse_options(["--script", str(file)], {})
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--script", "/nowhere/a.toml"], {})
    assert "/nowhere/a.toml: No such file" in capsys.readouterr().err
