"""Goal: a script decides what each request gets, over a connection and from a file.

Method: scripts as data on a fake in memory, on a virtual clock; files through the command line.
"""

from pathlib import Path

import pytest
import trio
import trio.testing

from fakes.openai_compat_server import Behaviour, Fake, Rule, Script, raw
from fakes.openai_compat_server.options import parse_options
from fakes.openai_compat_server.over_trio import serve_trio_stream
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
