"""Goal: the admin face does what it says, for one session at a time, and only when asked for.

Method: conversations in memory on a virtual clock; sockets are `test_fake_admin_sockets`'s.
"""

import base64
import json
from collections.abc import Mapping

import pytest
import trio
import trio.testing
from attrs import frozen

from fakes.openai_compat_server import Behaviour, Fake, Latency, Rule, Script
from fakes.openai_compat_server.control import SESSIONS_MAX
from fakes.openai_compat_server.over_trio import serve_trio_stream
from fakes.openai_compat_server.tests.fake_client import chat, on_the_wire

JOURNAL, SCRIPT, UNPLAYED = "/__admin/journal", "/__admin/script", "/__admin/unplayed"
CHAT = "/v1/chat/completions"
BEHAVIOUR = Behaviour(persona="echo", latency=Latency(0, 0))
TWICE_429 = b'[[rule]]\nplay = ["status-429", "status-429", "ok"]\n'


@frozen
class Client:
    """One connection to the fake, and one request after the other on it."""

    stream: trio.abc.Stream

    async def ask(
        self, method: str, path: str, body: bytes | Mapping[str, object] = b"", session: str = ""
    ) -> tuple[int, bytes]:
        request = on_the_wire(body, method, path)
        if path.startswith("/__admin/"):
            request = request.replace(b"host: x", b"host: localhost", 1)
        if session:
            request = request.replace(b"\r\n", b"\r\nX-Fake-Session: %s\r\n" % session.encode(), 1)
        await self.stream.send_all(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += await self._more()
        head, _, got = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while method != "HEAD" and len(got) < length:
            got += await self._more()
        return int(head.split()[1]), got

    async def admin(
        self, method: str, path: str, body: bytes = b"", session: str = ""
    ) -> dict[str, object]:
        status, said = await self.ask(method, path, body, session)
        assert status == 200, said
        return dict(json.loads(said))

    async def chat(self, session: str = "", content: str = "hello") -> int:
        return (await self.ask("POST", CHAT, chat(content), session))[0]

    async def _more(self) -> bytes:
        data = bytes(await self.stream.receive_some())
        assert data, "the fake closed the connection"
        return data


def opened(nursery: trio.Nursery, fake: Fake | None = None) -> Client:
    client, server = trio.testing.memory_stream_pair()
    fake = fake or Fake(BEHAVIOUR, admin=True)
    nursery.start_soon(serve_trio_stream, server, fake)
    return Client(client)


def lines(journal: dict[str, object]) -> list[str]:
    entries = journal["entries"]
    assert isinstance(entries, list)
    return [f"{entry['request_line']} {entry['status']}" for entry in entries]


async def test_the_journal_is_read_and_forgotten(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery)
    _, answer = await client.ask("POST", CHAT, chat("grüße"))
    await client.ask("POST", CHAT, b"\xff")
    journal = await client.admin("GET", JOURNAL)
    assert lines(journal) == [f"POST {CHAT} 200", f"POST {CHAT} 400"]
    entries = journal["entries"]
    assert isinstance(entries, list)
    first, second = entries
    assert first["request"] == {"utf8": on_the_wire(chat("grüße")).decode()}
    assert "".join(chunk["utf8"] for chunk in first["chunks"]).encode().endswith(answer)
    assert base64.b64decode(second["request"]["base64"]) == on_the_wire(b"\xff")
    assert first["ended_at"] is not None
    assert first["client_left_at"] is None

    assert await client.admin("DELETE", JOURNAL) == {**journal, "entries": []}
    assert lines(await client.admin("GET", JOURNAL)) == []


async def test_a_script_is_played_asked_about_and_reset(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    started = Script((Rule(("status-500", "ok")),))
    client = opened(nursery, Fake(Behaviour(persona="echo", script=started), admin=True))
    assert await client.chat() == 500
    put = await client.admin("PUT", SCRIPT, TWICE_429)
    assert put == await client.admin("GET", SCRIPT)
    assert [await client.chat() for _ in range(2)] == [429, 429]
    assert await client.admin("GET", UNPLAYED) == {"unplayed": ["rule 1: ok"], "unmatched": []}
    assert [await client.chat() for _ in range(2)] == [200, 200]
    # It is not strict, so a request more than there are steps is no mistake.
    assert await client.admin("GET", UNPLAYED) == {"unplayed": [], "unmatched": []}
    # What was read can be put back, as JSON; and the start's own script is there again after that.
    assert await client.admin("PUT", SCRIPT, json.dumps(put).encode()) == put
    assert await client.chat() == 429
    await client.admin("DELETE", SCRIPT)
    assert await client.chat() == 500


async def test_a_session_sees_its_own_script_and_journal_only(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery)
    await client.admin("PUT", SCRIPT, TWICE_429, session="a")
    await client.admin("PUT", SCRIPT, b'strict = true\n[[rule]]\nplay = ["status-503-busy"]', "b")
    assert [await client.chat(session) for session in ("a", "", "b", "c", "b")] == [
        429,
        200,
        503,
        200,
        404,
    ]
    assert await client.admin("GET", UNPLAYED, session="a") == {
        "unplayed": ["rule 1: status-429, ok"],
        "unmatched": [],
    }
    assert await client.admin("GET", UNPLAYED) == {"unplayed": [], "unmatched": []}
    unmatched = [f"POST {CHAT}"]
    found = await client.admin("GET", UNPLAYED, session="b")
    assert found == {"unplayed": [], "unmatched": unmatched}
    wanted = {"": [200], "a": [429], "b": [503, 404], "c": [200], "d": []}
    for session, statuses in wanted.items():
        seen = lines(await client.admin("GET", JOURNAL, session=session))
        assert seen == [f"POST {CHAT} {status}" for status in statuses]
    await client.admin("DELETE", JOURNAL, session="b")
    await client.admin("DELETE", SCRIPT, session="b")
    assert lines(await client.admin("GET", JOURNAL, session="a")) == [f"POST {CHAT} 429"]
    assert lines(await client.admin("GET", JOURNAL, session="b")) == []
    assert await client.chat("b") == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"strict = yes", "body:1: "),
        (b"\n[[rule]]\nplay = ['nope']", "body:3: rule 1: play 1: No scenario is called"),
        (b"[[rule]]\nplay = ['ok']\nwhen = 1", "body:3: rule 1: when: unknown key"),
        (b'{"rule": [\n{"play": ["nope"]}]}', "body: $.rule[0].play[0]: No scenario is called"),
        (b"{\n]", "body:2: "),
        (b"# a\n# \xff", "body:2: not UTF-8"),
        (b"[1]", "body:1: 1: unknown key"),
    ],
)
async def test_a_script_that_is_wrong_changes_nothing(
    body: bytes, said: str, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery)
    await client.admin("PUT", SCRIPT, TWICE_429)
    status, answer = await client.ask("PUT", SCRIPT, body)
    assert status == 400
    assert json.loads(answer)["error"]["message"].startswith(said)
    assert await client.chat() == 429


async def test_sessions_are_bounded(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    fake = Fake(BEHAVIOUR, admin=True)
    for number in range(SESSIONS_MAX - 1):
        fake.sessions.load(f"s{number}", Script())
    client = opened(nursery, fake)
    assert (await client.ask("PUT", SCRIPT, b"{}", "one-more"))[0] == 400
    await client.admin("PUT", SCRIPT, b"{}", "s1")
    await client.admin("DELETE", SCRIPT, b"", "s2")
    await client.admin("PUT", SCRIPT, b"{}", "one-more")
    assert await client.chat("x" * 100) == 200
    assert await client.chat("x" * 101) == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", SCRIPT, 405),
        ("PUT", JOURNAL, 405),
        ("DELETE", UNPLAYED, 405),
        ("HEAD", JOURNAL, 200),
        ("GET", "/__admin/", 200),
        ("PUT", "/__admin/", 405),
        ("GET", "/__admin", 404),
        ("GET", "/__admin/journal/", 404),
        ("GET", JOURNAL + "?a=b", 200),
    ],
)
async def test_other_methods_and_paths_are_refused(
    method: str,
    path: str,
    status: int,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    assert (await opened(nursery).ask(method, path))[0] == status


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", JOURNAL), ("DELETE", JOURNAL), ("PUT", SCRIPT), ("GET", SCRIPT), ("GET", UNPLAYED)],
)
async def test_without_admin_it_is_said_how_to_have_it(
    method: str, path: str, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery, Fake(BEHAVIOUR))
    status, body = await client.ask(method, path, session="a")
    assert status == 404
    assert json.loads(body)["error"]["message"] == "The admin API is off: start with --admin."


async def test_it_says_what_it_has(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = opened(nursery)
    paths = (await client.admin("GET", "/__admin/"))["paths"]
    assert paths == {
        "/__admin/": ["GET"],
        JOURNAL: ["DELETE", "GET"],
        SCRIPT: ["DELETE", "GET", "PUT"],
        UNPLAYED: ["GET"],
    }
    _, body = await client.ask("GET", "/__admin/scripts")
    message = json.loads(body)["error"]["message"]
    assert message == f"No /__admin/scripts here: /__admin/, {JOURNAL}, {SCRIPT}, {UNPLAYED}."


async def test_without_admin_a_session_is_a_header_like_any_other(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    fake = Fake(Behaviour(persona="echo", script=Script((Rule(("status-500",)),))))
    assert await opened(nursery, fake).chat("a" * 200) == 500
    assert [entry.session for entry in fake.journal.entries] == [""]
