"""What a test holds of its server: what to play, what was asked, who left.

Complains by AssertionError, so that it serves any way of testing; nothing here imports pytest.
Refuses a script that names what can not be played.
"""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc
from attrs import define, frozen

from fakes.openai_compat_server.catalogue import PREFIX
from fakes.openai_compat_server.connection import Fake, Limits, serve_stream
from fakes.openai_compat_server.control import Entry
from fakes.openai_compat_server.departures import Noticed
from fakes.openai_compat_server.http_request import HttpRequest, RequestReader, TooLarge, Unparsable
from fakes.openai_compat_server.memory_wire import memory_wire
from fakes.openai_compat_server.played import Given, script_of
from fakes.openai_compat_server.script import UNSCRIPTED, Script, asked_of

if TYPE_CHECKING:  # the extra `fake` does not pull it
    import httpx

_TEXT_CHARS_SHOWN: Final = 60
_REQUESTS_SHOWN: Final = 20


@frozen(repr=False)
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

    def __repr__(self) -> str:
        left = ", client left" if self.entry.client_left_at is not None else ""
        return f"<Request {self.entry.number} {self.asked.line} -> {self.entry.status}{left}>"

    @property
    def why_no_step(self) -> str:
        """Why it used up no step of a script, for a person; empty where it may have used one."""
        if asked_of(self.asked).model.startswith(PREFIX):
            return "its model names a scenario, which goes before the script"
        refused = self.entry.status >= 400 and not self.entry.scenario
        return "refused, which uses up no step of the script" if refused else ""


@define(repr=False)
class OpenAIFake:
    """What a test holds of its server: what to play, and what was asked.

    `base_url` ends in `/v1`, as clients want it; in memory only `transport()` leads to it.
    """

    _server: Fake
    base_url: str
    _noticed: Noticed

    def __attrs_post_init__(self) -> None:
        self._server.journal.on_end = lambda _: self._noticed.tell()

    def __repr__(self) -> str:
        count = len(self.requests)
        return f"<openai_fake {self.base_url}, {count} request{'' if count == 1 else 's'}>"

    def play(self, *what: Given, strict: bool = True) -> None:
        """From now on, play scenarios by their names and `raw` responses; or one script or file.

        They go to the requests in their order; `strict` says whether a request more than there
        are of them is a mistake (a script, and the TOML file of one, says so itself). ValueError
        for what can not be played; AssertionError, which fails the test, where steps of the
        previous script are left.
        """
        __tracebackhide__ = True  # so that a test is shown its own line
        try:
            script = script_of(what, strict)
        except ValueError as fault:
            raise fault.with_traceback(None) from None
        self.check()
        self._server.sessions.load("", script)

    @property
    def script(self) -> Script:
        return self._server.playing.script

    @script.setter
    def script(self, script: Script) -> None:
        __tracebackhide__ = True
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

    def wait_left(self, count: int = 1, timeout_s: float = 5.0) -> tuple[Request, ...]:
        """Block until `count` clients were seen leaving, `timeout_s` seconds at most.

        A server learns of it a moment later, so a test has to wait. All who left are returned;
        AssertionError where they are too few. It stops the event loop of an async test, and with
        it a client that is still closing: `wait_left_async` does not. RuntimeError in memory,
        where that loop is the server's too; ValueError for a count under 1.
        """
        __tracebackhide__ = True
        _check_count(count)
        enough = self._noticed.wait(lambda: len(self.left) >= count, timeout_s)
        return self._left(count, timeout_s, enough)

    async def wait_left_async(self, count: int = 1, timeout_s: float = 5.0) -> tuple[Request, ...]:
        """`wait_left` for asyncio and trio, also in memory: with seconds of the loop's clock."""
        __tracebackhide__ = True
        _check_count(count)
        enough = await self._noticed.wait_async(lambda: len(self.left) >= count, timeout_s)
        return self._left(count, timeout_s, enough)

    def _left(self, count: int, timeout_s: float, enough: bool) -> tuple[Request, ...]:
        __tracebackhide__ = True
        if not enough:
            said = f"{len(self.left)} of {count} clients left within {timeout_s:g} s"
            raise AssertionError(f"openai_fake: {said}\n{self.story()}")
        return self.left

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[anyio.abc.ByteStream]:
        """The client's end of one connection in memory, served in the running event loop.

        What is raised in the block leaves it as it is, and in no group.
        """
        client, server = memory_wire()
        raised: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve_stream, server, self._server)
            async with client:
                try:
                    yield client
                except anyio.get_cancelled_exc_class():
                    raise
                except BaseException as fault:
                    # The server sees its client leave, as it would of a client that crashed.
                    raised = fault
        if raised is not None:
            raise raised

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

    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts this server's certificate; ValueError without TLS."""
        if self._server.tls is None:
            raise ValueError("openai_fake: no TLS without @pytest.mark.openai_fake(tls=True)")
        return self._server.tls.trust()

    def check(self) -> None:
        """AssertionError unless all was played and, under a strict script, nothing else asked."""
        __tracebackhide__ = True
        if said := self.misfit():
            raise AssertionError(said)

    def misfit(self) -> str:
        """What does not fit, and what was asked, for a person; empty where all fits."""
        if not self._misfits():
            return ""
        return f"openai_fake: the script and the requests do not fit\n{self.story()}"

    def story(self) -> str:
        """What does not fit, and what was asked, a line each."""
        lines = [f"  {_told(one)}" for one in self.requests[-_REQUESTS_SHOWN:]]
        return "\n".join([*self._misfits(), *(lines or ["  no request came"])])

    def _misfits(self) -> list[str]:
        playing = self._server.playing
        lines = [f"  never asked for: {line}" for line in playing.unplayed]
        if playing.unmatched:
            lines += [f"  {line}" for line in self._unmatched(playing.unmatched)]
            lines.append("  (play(…, strict=False) lets further requests through)")
        return lines

    def _unmatched(self, unmatched: tuple[str, ...]) -> list[str]:
        numbers = [entry.number for entry in self.journal if entry.scenario == UNSCRIPTED]
        # The journal forgets its oldest.
        told = [f"request {number} was not in the script" for number in numbers]
        return told or [f"not in the script: {line}" for line in unmatched]


def _told(request: Request) -> str:
    why = f" ({request.why_no_step})" if request.why_no_step else ""
    return f"request {request.entry.number}: {request}{why}"


def _check_count(count: int) -> None:
    __tracebackhide__ = True
    if count < 1:
        raise ValueError(f"openai_fake: nothing to wait for: {count} clients, and not 1 or more")


def _understood(raw: bytes) -> HttpRequest | None:
    """The request in bytes that were one; None where they were none."""
    reader = RequestReader(Limits().body_bytes_max)
    reader.feed(raw)
    try:
        return reader.next_request()
    except (Unparsable, TooLarge):
        return None
