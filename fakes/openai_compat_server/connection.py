"""One connection, from its first byte to its last: requests in, plans performed."""

import anyio
import anyio.abc
from attrs import field, frozen

from fakes.openai_compat_server.admin import SESSION_HEADER, plan_admin
from fakes.openai_compat_server.control import (
    SESSION_CHARS_MAX,
    Asked,
    Chunk,
    Journal,
    Playing,
    Sessions,
)
from fakes.openai_compat_server.http_request import (
    HttpRequest,
    RequestReader,
    TooLarge,
    Unparsable,
)
from fakes.openai_compat_server.plan import Ending, Plan
from fakes.openai_compat_server.responses import (
    Behaviour,
    plan_bad_session,
    plan_opening,
    plan_response,
    plan_scripted,
    plan_too_large,
    plan_too_slow,
    plan_unparsable,
)
from fakes.openai_compat_server.script import Script
from fakes.openai_compat_server.socket_wire import SocketWire
from fakes.openai_compat_server.stage import Inbox, Wire, perform
from fakes.openai_compat_server.tape import Tape

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_GOODBYE_LIMIT_S = 1.0
_CLEANUP_LIMIT_S = 0.1


@frozen
class Limits:
    """What one connection may take. A keep-alive pause longer than any usual client's own."""

    body_bytes_max: int = 4 * 1024 * 1024
    request_limit_s: float = 10.0  # from a request's first byte to its last
    idle_limit_s: float = 75.0  # between requests


@frozen
class Fake:
    """One server: how it behaves, what it bears, and what it remembers.

    `admin` answers its admin face and heeds session headers: on streams in memory, and on sockets
    where `on_loopback` says that the listener's address lets in nobody else.
    """

    behaviour: Behaviour = field(factory=Behaviour)
    limits: Limits = field(factory=Limits)
    journal: Journal = field(factory=Journal)
    admin: bool = False
    on_loopback: bool = False
    sessions: Sessions = field(init=False)

    @sessions.default
    def _from_the_first_rule_on(self) -> Sessions:
        return Sessions(self.behaviour.script or Script())

    @property
    def playing(self) -> Playing:
        """The server's own session's."""
        return self.sessions.playing("")


async def serve_stream(wire: Wire, fake: Fake) -> None:
    """Serve one connection until either side ends it, and close it. Never raises for a client."""
    inbox = Inbox(fake.limits.body_bytes_max)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(inbox.fill, wire)
            if await _opens(wire, inbox, fake):
                await _converse(wire, inbox, fake)
            tasks.cancel_scope.cancel()
    finally:
        with anyio.move_on_after(_CLEANUP_LIMIT_S, shield=True):
            await wire.aclose()


async def _opens(wire: Wire, inbox: Inbox, fake: Fake) -> bool:
    """Whether the connection gets as far as a request."""
    plan = plan_opening(fake.behaviour)
    asked = Asked("(connected)")
    return plan is None or await _performed(asked, plan, wire, inbox, fake.journal)


async def _performed(asked: Asked, plan: Plan, wire: Wire, inbox: Inbox, journal: Journal) -> bool:
    """Perform and record; whether the connection goes on."""
    entry = journal.begin(asked, plan, anyio.current_time())
    try:
        whole = await perform(plan, wire, inbox, entry, journal)
    finally:
        journal.end(entry, anyio.current_time())
    if whole and plan.ending is Ending.CLOSE:
        await _say_goodbye(wire, inbox)
    return whole and plan.ending is Ending.KEEP


async def _converse(wire: Wire, inbox: Inbox, fake: Fake) -> None:
    reader, tape = RequestReader(fake.limits.body_bytes_max), Tape()
    while planned := await _next_plan(wire, inbox, reader, tape, fake):
        if not await _performed(*planned[:2], wire, inbox, planned[2]):
            return


async def _next_plan(
    wire: Wire, inbox: Inbox, reader: RequestReader, tape: Tape, fake: Fake
) -> tuple[Asked, Plan, Journal] | None:
    """The next request, the response to it and where both are noted; None when none will come."""
    limits, dialect = fake.limits, fake.behaviour.dialect
    try:
        request = await _next_request(wire, inbox, reader, tape, limits)
    except Unparsable:
        line, plan = "(not HTTP)", plan_unparsable()
    except TooLarge as fault:
        line, plan = str(fault), plan_too_large(dialect, limits.body_bytes_max)
    except TimeoutError:
        line, plan = "(unfinished)", plan_too_slow(dialect, limits.request_limit_s)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return None
    else:
        return None if request is None else _plan(request, tape, fake, _answers_admin(wire, fake))
    return Asked(line, tape.uncut, interim=tape.interim), plan, fake.journal


def _plan(request: HttpRequest, tape: Tape, fake: Fake, admin: bool) -> tuple[Asked, Plan, Journal]:
    """The response to a request that parsed. The admin face's own traffic is not journaled."""
    behaviour, session = fake.behaviour, request.header(SESSION_HEADER) if admin else ""
    interim, tape.interim = tape.interim, ()
    asked = Asked(request.line, tape.cut(), session[:SESSION_CHARS_MAX], interim)
    if len(session) > SESSION_CHARS_MAX:
        refused = plan_bad_session(behaviour.dialect, SESSION_CHARS_MAX)
        return asked, refused, fake.journal
    if admin:
        now = anyio.current_time()
        plan = plan_admin(request, session, fake.journal, fake.sessions, now)
        if plan is not None:
            return asked, plan, Journal(entries_max=0)
    return asked, _scripted(request, session, fake), fake.journal


def _answers_admin(wire: Wire, fake: Fake) -> bool:
    on_socket = isinstance(wire, SocketWire | anyio.abc.SocketStream)
    return fake.admin and (fake.on_loopback or not on_socket)


def _scripted(request: HttpRequest, session: str, fake: Fake) -> Plan:
    """What the session's script has next for a request for work; else the ordinary response."""
    behaviour, playing = fake.behaviour, fake.sessions.playing(session)
    if request.method != "POST" or not playing.has_a_say:
        return plan_response(behaviour, request)
    name = playing.next_for(request, behaviour.seed)
    return plan_scripted(behaviour, request, name, playing.script.strict)


async def _next_request(
    wire: Wire, inbox: Inbox, reader: RequestReader, tape: Tape, limits: Limits
) -> HttpRequest | None:
    """None when the client left, or stayed idle over the limit; TimeoutError when it stalled."""
    request = reader.next_request()
    with anyio.move_on_after(limits.idle_limit_s):
        while request is None and not reader.begun and (data := await inbox.take()):
            tape.add(data)
            reader.feed(data)
    if request is None and not reader.begun:
        return None
    told_to_go_on = False
    with anyio.fail_after(limits.request_limit_s):
        while request is None and (request := reader.next_request()) is None:
            if reader.awaits_continue and not told_to_go_on:
                told_to_go_on = True
                await wire.send(_CONTINUE)
                tape.interim = (Chunk(anyio.current_time(), _CONTINUE),)
            if not (data := await inbox.take()):
                return None
            tape.add(data)
            reader.feed(data)
    return request


async def _say_goodbye(wire: Wire, inbox: Inbox) -> None:
    """Close our half and let the client close its own.

    A socket closed with unread bytes on it is reset, and the reset can overtake the response.
    """
    with anyio.move_on_after(_GOODBYE_LIMIT_S):
        try:
            await wire.send_eof()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return
        await inbox.wait_left()
