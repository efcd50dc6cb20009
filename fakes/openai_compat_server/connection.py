"""One connection, from its first byte to its last: requests in, plans performed."""

import anyio
from attrs import field, frozen

from fakes.openai_compat_server.control import Journal, Playing
from fakes.openai_compat_server.http_request import (
    HttpRequest,
    RequestReader,
    TooLarge,
    Unparsable,
)
from fakes.openai_compat_server.plan import Ending, Plan
from fakes.openai_compat_server.responses import (
    Behaviour,
    plan_opening,
    plan_response,
    plan_scripted,
    plan_too_large,
    plan_too_slow,
    plan_unparsable,
)
from fakes.openai_compat_server.script import Script
from fakes.openai_compat_server.stage import Inbox, Wire, perform

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
    """One server: how it behaves, what it bears, and what it remembers."""

    behaviour: Behaviour = field(factory=Behaviour)
    limits: Limits = field(factory=Limits)
    journal: Journal = field(factory=Journal)
    playing: Playing = field(init=False)

    @playing.default
    def _from_the_first_rule_on(self) -> Playing:
        return Playing(self.behaviour.script or Script())


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
    return plan is None or await _performed("(connected)", plan, wire, inbox, fake)


async def _performed(line: str, plan: Plan, wire: Wire, inbox: Inbox, fake: Fake) -> bool:
    """Perform and record; whether the connection goes on."""
    entry = fake.journal.begin(line, plan, anyio.current_time())
    try:
        whole = await perform(plan, wire, inbox, entry)
    finally:
        fake.journal.end(entry, anyio.current_time())
    if whole and plan.ending is Ending.CLOSE:
        await _say_goodbye(wire, inbox)
    return whole and plan.ending is Ending.KEEP


async def _converse(wire: Wire, inbox: Inbox, fake: Fake) -> None:
    reader = RequestReader(fake.limits.body_bytes_max)
    while asked := await _next_plan(wire, inbox, reader, fake):
        if not await _performed(*asked, wire, inbox, fake):
            return


async def _next_plan(
    wire: Wire, inbox: Inbox, reader: RequestReader, fake: Fake
) -> tuple[str, Plan] | None:
    """The next request's line and the response to it; None when there will be none."""
    limits = fake.limits
    try:
        request = await _next_request(wire, inbox, reader, limits)
    except Unparsable:
        return "(not HTTP)", plan_unparsable()
    except TooLarge as fault:
        return str(fault), plan_too_large(fake.behaviour.dialect, limits.body_bytes_max)
    except TimeoutError:
        return "(unfinished)", plan_too_slow(fake.behaviour.dialect, limits.request_limit_s)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return None
    return None if request is None else (request.line, _plan(request, fake))


def _plan(request: HttpRequest, fake: Fake) -> Plan:
    """What the script has next for a request that asks for work; else the ordinary response."""
    behaviour = fake.behaviour
    if behaviour.script is None or request.method != "POST":
        return plan_response(behaviour, request)
    return plan_scripted(behaviour, request, fake.playing.next_for(request, behaviour.seed))


async def _next_request(
    wire: Wire, inbox: Inbox, reader: RequestReader, limits: Limits
) -> HttpRequest | None:
    """None when the client left, or stayed idle over the limit; TimeoutError when it stalled."""
    request = reader.next_request()
    with anyio.move_on_after(limits.idle_limit_s):
        while request is None and not reader.begun and (data := await inbox.take()):
            reader.feed(data)
    if request is None and not reader.begun:
        return None
    told_to_go_on = False
    with anyio.fail_after(limits.request_limit_s):
        while request is None and (request := reader.next_request()) is None:
            if reader.awaits_continue and not told_to_go_on:
                told_to_go_on = True
                await wire.send(_CONTINUE)
            if not (data := await inbox.take()):
                return None
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
