"""The fixtures `openai_fake` and `openai_fake_stream`: a server of its own for each test.

`openai_fake` listens on a free port, from a thread with an event loop of its own, so a test may be
synchronous or belong to any event loop. `openai_fake_stream` serves streams in memory, in the
test's own loop and on its clock. Both refuse a script that names what can not be played, and fail
a test that passed although its script and its requests do not fit.
"""

import json
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc
import pytest
from anyio.from_thread import start_blocking_portal
from attrs import define, field, frozen

from fakes.openai_compat_server.connection import Fake, Limits, serve_stream
from fakes.openai_compat_server.control import Entry, Journal
from fakes.openai_compat_server.dialects import DIALECTS
from fakes.openai_compat_server.http_request import HttpRequest, RequestReader, TooLarge, Unparsable
from fakes.openai_compat_server.listener import serve
from fakes.openai_compat_server.memory_wire import memory_wire
from fakes.openai_compat_server.pacing import parse_latency
from fakes.openai_compat_server.persona import PERSONAS
from fakes.openai_compat_server.plan import Plan
from fakes.openai_compat_server.responses import Behaviour, check_playable, check_script
from fakes.openai_compat_server.script import Playable, Rule, Script, asked_of
from fakes.openai_compat_server.script_file import parse_script

if TYPE_CHECKING:  # the extra `fake` does not pull it
    import httpx

MARKER: Final = "openai_fake"
_HOST: Final = "127.0.0.1"
# A name that no resolver knows: a client that was not given the transport reaches nobody.
_MEMORY_URL: Final = "http://openai-fake.invalid/v1"
_TEXT_CHARS_SHOWN: Final = 60
_REQUESTS_SHOWN: Final = 20
_USAGE: Final = (
    "openai_fake(seed=0, persona='extractive', dialect='openai', latency='ttft=0ms,itl=0ms'): "
    "how the fake of this test behaves"
)


@frozen
class Request:
    """One request that was understood, and what became of it; header names are lower-case."""

    asked: HttpRequest
    entry: Entry

    @property
    def path(self) -> str:
        return self.asked.path

    @property
    def headers(self) -> Mapping[str, str]:
        return dict(self.asked.headers)

    @property
    def json(self) -> Mapping[str, object]:
        """The body as the JSON object it must be; ValueError where it is none."""
        found: object = json.loads(self.asked.body)
        if isinstance(found, dict):
            return found
        raise ValueError(f"the body is no JSON object: {self.asked.body[:_TEXT_CHARS_SHOWN]!r}")

    def __str__(self) -> str:
        """One line, for a person."""
        told = asked_of(self.asked)
        asked = f" model={told.model} {told.text[:_TEXT_CHARS_SHOWN]!r}" if self.asked.body else ""
        left = " (the client left)" if self.entry.client_left_at is not None else ""
        return f"{told.line}{asked} -> {self.entry.status}{left}"


@define
class OpenAIFake:
    """What a test holds of its server: what to play, and what was asked.

    `base_url` ends in `/v1`, as clients want it; in memory only `transport()` leads to it.
    """

    _server: Fake = field(repr=False)
    base_url: str
    _ended: Condition = field(init=False, repr=False, factory=Condition)

    def __attrs_post_init__(self) -> None:
        self._server.journal.on_end = self._tell_ended

    def play(self, *what: Playable | Script | Path, strict: bool = True) -> None:
        """From now on, play scenarios by their names and `raw` responses; or one script or file.

        They go to the requests in their order; `strict` says whether a request more than there
        are of them is a mistake (a script, and the TOML file of one, says so itself). ValueError
        for what can not be played; the test fails when what was to be played before is not played
        out.
        """
        __tracebackhide__ = True  # so that a test is shown its own line
        script = _script(what, strict)
        self.check(pytrace=True)
        self._server.sessions.load("", script)

    @property
    def script(self) -> Script:
        return self._server.playing.script

    @script.setter
    def script(self, script: Script) -> None:
        self.play(script)

    @property
    def requests(self) -> tuple[Request, ...]:
        """The latest requests of all kinds, oldest first: 1,000, and no more than 32 MB of them."""
        read = ((_understood(entry.request), entry) for entry in self.journal)
        return tuple(Request(asked, entry) for asked, entry in read if asked is not None)

    @property
    def journal(self) -> tuple[Entry, ...]:
        """What `requests` are read from: bytes, and the chunks sent with their times."""
        # One step of the interpreter, so the server's thread can not add an entry meanwhile.
        return tuple(self._server.journal.entries)

    @property
    def left(self) -> tuple[Request, ...]:
        """The requests whose client went away before the response's end, as far as was noticed."""
        return tuple(one for one in self.requests if one.entry.client_left_at is not None)

    def wait_left(self, count: int = 1, limit_s: float = 5.0) -> tuple[Request, ...]:
        """Wait until `count` clients were seen leaving: a server learns of it a moment later.

        Blocks the thread, so this is for `openai_fake`, which does not need the test's own.
        """
        __tracebackhide__ = True
        with self._ended:
            if not self._ended.wait_for(lambda: len(self.left) >= count, limit_s):
                said = f"{len(self.left)} of {count} clients left within {limit_s:g} s"
                pytest.fail(f"openai_fake: {said}\n{self.story()}")
        return self.left

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[anyio.abc.ByteStream]:
        """The client's end of one connection in memory, served in the running event loop."""
        client, server = memory_wire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve_stream, server, self._server)
            async with client:
                yield client

    def transport(self) -> "httpx.AsyncHTTPTransport":
        """What an `httpx.AsyncClient` needs to reach this server in memory, whatever its URL.

        Connections are served in the running event loop, on its clock. ImportError where httpx
        is not installed.
        """
        try:
            from fakes.openai_compat_server.over_httpx import transport_to
        except ModuleNotFoundError as fault:
            wants = (
                "openai_fake: transport() is for httpx, which is not installed: pip install httpx"
            )
            raise ImportError(wants) from fault
        return transport_to(self._server)

    def check(self, pytrace: bool = False) -> None:
        """Fail the test unless all was played and, under a strict script, nothing else asked."""
        __tracebackhide__ = pytrace
        if self._misfits():
            said = "the script and the requests do not fit"
            pytest.fail(f"openai_fake: {said}\n{self.story()}", pytrace=pytrace)

    def story(self) -> str:
        """What does not fit, and what was asked, a line each."""
        asked = self.requests
        shown = asked[-_REQUESTS_SHOWN:]
        first = len(asked) - len(shown) + 1
        lines = [f"  request {at}: {one}" for at, one in enumerate(shown, first)]
        return "\n".join([*self._misfits(), *(lines or ["  no request came"])])

    def _tell_ended(self, _: Entry) -> None:
        with self._ended:
            self._ended.notify_all()

    def _misfits(self) -> list[str]:
        playing = self._server.playing
        lines = [f"  never asked for: {line}" for line in playing.unplayed]
        if playing.script.strict:
            lines += [f"  no rule had anything for: {line}" for line in playing.unmatched]
        return lines


_FAKES: Final = pytest.StashKey[list[OpenAIFake]]()
_PASSED: Final = pytest.StashKey[bool]()


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[OpenAIFake]:
    """A fake on a free port of 127.0.0.1, in a thread of its own, for the length of a block."""
    server = _server(behaviour)
    with start_blocking_portal("asyncio") as portal:
        listening, port = portal.start_task(_listen, server)
        try:
            yield OpenAIFake(server, f"http://{_HOST}:{port}/v1")
        finally:
            listening.cancel()


@pytest.fixture
def openai_fake(request: pytest.FixtureRequest) -> Iterator[OpenAIFake]:
    """A fake of the OpenAI API on a port of its own; see `.base_url`, `.play()`, `.requests`."""
    with serving(_behaviour(request.node)) as fake, _watched(request.node, fake):
        yield fake


@pytest.fixture
def openai_fake_stream(request: pytest.FixtureRequest) -> Iterator[OpenAIFake]:
    """A fake of the OpenAI API without sockets; see `.transport()` for httpx, `.connect()`."""
    fake = OpenAIFake(_server(_behaviour(request.node)), _MEMORY_URL)
    with _watched(request.node, fake):
        yield fake


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _USAGE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """A test that never began is told what was asked by then, and not held against its script."""
    item.stash[_PASSED] = False
    with _told_if_it_fails(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that passed is held against its script; one that failed is told what was asked."""
    with _told_if_it_fails(item, "call"):
        result = yield
    for fake in item.stash.get(_FAKES, []):
        fake.check()
    item.stash[_PASSED] = True
    return result


@contextmanager
def _told_if_it_fails(item: pytest.Item, when: str) -> Iterator[None]:
    try:
        yield
    except (Exception, BaseExceptionGroup, pytest.fail.Exception):
        for fake in item.stash.get(_FAKES, []):
            item.add_report_section(when, MARKER, fake.story())
        raise


@contextmanager
def _watched(node: pytest.Item, fake: OpenAIFake) -> Iterator[None]:
    """For as long as the fixture stands. A test may be run again, and gets another fake then.

    What is asked while the test's other fixtures are torn down still has to fit.
    """
    fakes = node.stash.setdefault(_FAKES, [])
    fakes.append(fake)
    try:
        yield
    finally:
        fakes.remove(fake)
    if node.stash.get(_PASSED, False):
        fake.check()


def _server(behaviour: Behaviour) -> Fake:
    """One whose journal keeps requests whole."""
    entry_bytes_max = 2 * Limits().body_bytes_max
    return Fake(behaviour, journal=Journal(entry_bytes_max=entry_bytes_max))


async def _listen(server: Fake, *, task_status: anyio.abc.TaskStatus[int]) -> None:
    await serve(_HOST, 0, server, task_status.started)


def _behaviour(node: pytest.Item) -> Behaviour:
    """What the test's marker asks for, without the waits of a model where it asks for none."""
    marker = node.get_closest_marker(MARKER)
    try:
        return _marked(*marker.args, **marker.kwargs) if marker else _marked()
    except (TypeError, ValueError) as fault:
        pytest.fail(f"@pytest.mark.{MARKER}: {fault}\nusage: {_USAGE}", pytrace=False)


def _marked(
    *,
    seed: int = 0,
    persona: str = "extractive",
    dialect: str = "openai",
    latency: str = "ttft=0ms,itl=0ms",
) -> Behaviour:
    for given, known in ((persona, PERSONAS), (dialect, DIALECTS)):
        if given not in known:
            raise ValueError(f"{given!r} is not one of {', '.join(known)}")
    return Behaviour(seed, persona, parse_latency(latency), dialect=DIALECTS[dialect])


def _script(what: tuple[Playable | Script | Path, ...], strict: bool) -> Script:
    match what:
        case (Script() as script,):
            check_script(script)
            return script
        case (Path() as path,):
            return parse_script(path.read_text("utf-8"), str(path), check_playable)
    given = tuple(one for one in what if isinstance(one, str | Plan))
    if not given or len(given) != len(what):
        raise ValueError("play() takes scenarios' names and raw(…), or one Script, or one Path")
    script = Script((Rule(given),), strict)
    check_script(script)
    return script


def _understood(raw: bytes) -> HttpRequest | None:
    """The request in bytes that were one; None where they were none."""
    reader = RequestReader(Limits().body_bytes_max)
    reader.feed(raw)
    try:
        return reader.next_request()
    except (Unparsable, TooLarge):
        return None
