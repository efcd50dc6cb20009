"""One connection, from its first byte to its last: requests in, plans performed."""

import anyio
from attrs import define, evolve, field, frozen

from fakes.openai_compat_server.admin import plan_admin, plan_admin_off, session_of
from fakes.openai_compat_server.control import Asked, Chunk, Journal, Playing, Sessions
from fakes.openai_compat_server.http_request import (
    HttpRequest,
    RequestReader,
    TooLarge,
    Unparsable,
)
from fakes.openai_compat_server.occupancy import Occupancy
from fakes.openai_compat_server.pacing import Moment
from fakes.openai_compat_server.peer import is_local
from fakes.openai_compat_server.plan import Ending, Plan
from fakes.openai_compat_server.replies import plan_too_large, plan_too_slow, plan_unparsable
from fakes.openai_compat_server.responses import (
    Behaviour,
    plan_opening,
    plan_response,
    plan_scripted,
)
from fakes.openai_compat_server.script import Script, asked_of
from fakes.openai_compat_server.stage import Inbox, Wire, perform
from fakes.openai_compat_server.tape import Tape
from fakes.openai_compat_server.tls import Tls, check_has_tls
from fakes.openai_compat_server.tls_wire import secured

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_GOODBYE_LIMIT_S = 1.0
_CLEANUP_LIMIT_S = 0.1
_ALONE = Moment()


@frozen
class Limits:
    """What one connection may take. A keep-alive pause longer than any usual client's own."""

    body_bytes_max: int = 4 * 1024 * 1024
    request_limit_s: float = 10.0  # from a request's first byte to its last
    idle_limit_s: float = 75.0  # between requests


@frozen
class Fake:
    """One server: how it behaves, what it bears, and what it remembers.

    `admin` answers its admin face, and heeds session headers, where the client is on this machine.
    With `tls`, every connection begins with a handshake; ValueError for a scenario that needs it
    and does not get it.
    """

    behaviour: Behaviour = field(factory=Behaviour)
    limits: Limits = field(factory=Limits)
    journal: Journal = field(factory=Journal)
    admin: bool = False
    tls: Tls | None = field(default=None)
    sessions: Sessions = field(init=False)
    occupancy: Occupancy = field(init=False)

    @tls.validator
    def _is_there_where_it_is_needed(self, _: object, tls: Tls | None) -> None:
        check_has_tls(self.behaviour.scenario, tls)

    @sessions.default
    def _from_the_first_rule_on(self) -> Sessions:
        return Sessions(self.behaviour.script or Script())

    @occupancy.default
    def _cold_and_idle(self) -> Occupancy:
        return Occupancy(self.behaviour.latency, self.behaviour.seed)

    @property
    def playing(self) -> Playing:
        """The server's own session's."""
        return self.sessions.playing("")

    def plan(self, request: HttpRequest, session: str, moment: Moment = _ALONE) -> Plan:
        """What the session's script has next for the request; else the ordinary response.

        What the server refuses by itself, a wrong path or a body that makes no sense, uses up no
        step of a script. Bytes given by the script are its own, whatever they answer.
        """
        playing = self.sessions.playing(session)
        if not playing.has_a_say or not playing.decides(asked := asked_of(request)):
            return plan_response(self.behaviour, request, moment)
        chosen, progress = playing.choice(asked, self.behaviour.seed)
        plan = plan_scripted(self.behaviour, request, chosen, playing.script.strict, moment)
        if isinstance(chosen, Plan) or not plan.is_refusal:
            playing.progress = progress
        return plan


async def serve_stream(wire: Wire, fake: Fake) -> None:
    """Serve one connection until either side ends it, and close it. Never raises for a client."""
    limit_s, scenario = fake.limits.request_limit_s, fake.behaviour.scenario
    admin = fake.admin and is_local(wire)
    try:
        if pause_s := fake.occupancy.connecting_s():
            await anyio.sleep(pause_s)
        ready = await secured(wire, fake.tls, scenario, fake.journal, limit_s)
        if ready is not None:
            await _Conversation(ready, fake, admin).run()
    finally:
        with anyio.move_on_after(_CLEANUP_LIMIT_S, shield=True):
            await wire.aclose()


@define
class _Conversation:
    """One client's requests and the responses to them, one after the other."""

    wire: Wire
    fake: Fake
    admin: bool  # whether this client is answered by the admin face
    inbox: Inbox = field(init=False)
    reader: RequestReader = field(init=False)
    tape: Tape = field(init=False, factory=Tape)

    def __attrs_post_init__(self) -> None:
        self.inbox = Inbox(self.fake.limits.body_bytes_max)
        self.reader = RequestReader(self.fake.limits.body_bytes_max)

    async def run(self) -> None:
        """Until either side ends it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.inbox.fill, self.wire)
            goes_on = await self._opens()
            while goes_on:
                goes_on = await self._answers_next()
            tasks.cancel_scope.cancel()

    async def _opens(self) -> bool:
        """Whether the connection gets as far as a request."""
        plan = plan_opening(self.fake.behaviour)
        return plan is None or await self._perform(Asked("(connected)"), plan, self.fake.journal)

    async def _answers_next(self) -> bool:
        """Wait for a request and answer it, or what came in its place; whether to go on."""
        limits, dialect = self.fake.limits, self.fake.behaviour.dialect
        try:
            request = await self._next_request()
        except Unparsable:
            line, plan = "(not HTTP)", plan_unparsable()
        except TooLarge as fault:
            line, plan = str(fault), plan_too_large(dialect, limits.body_bytes_max)
        except TimeoutError:
            line, plan = "(unfinished)", plan_too_slow(dialect, limits.request_limit_s)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return False
        else:
            return request is not None and await self._answer(request)
        asked = Asked(line, self.tape.uncut, interim=self.tape.interim)
        return await self._perform(asked, plan, self.fake.journal)

    async def _answer(self, request: HttpRequest) -> bool:
        """Answer a request that parsed; whether the connection goes on."""
        fake, now = self.fake, anyio.current_time()
        interim, self.tape.interim = self.tape.interim, ()
        asked = Asked(request.line, self.tape.cut(), interim=interim)
        if not fake.admin and (plan := plan_admin_off(request)):
            return await self._perform(asked, plan, fake.journal)
        if self.admin:
            plan = plan_admin(request, fake.journal, fake.sessions, now)
            if plan is not None:
                # The admin face's own traffic is not journaled.
                return await self._perform(asked, plan, Journal(entries_max=0))
            asked = evolve(asked, session=session_of(request))
        if request.method != "POST":
            return await self._perform(asked, fake.plan(request, asked.session), fake.journal)
        with fake.occupancy.one_more(now) as moment:
            plan = fake.plan(request, asked.session, moment)
            return await self._perform(asked, plan, fake.journal)

    async def _perform(self, asked: Asked, plan: Plan, journal: Journal) -> bool:
        """Perform and record; whether the connection goes on."""
        entry = journal.begin(asked, plan, anyio.current_time())
        try:
            whole = await perform(plan, self.wire, self.inbox, entry, journal)
        finally:
            journal.end(entry, anyio.current_time())
        if whole and plan.ending is Ending.CLOSE:
            await self._say_goodbye()
        return whole and plan.ending is Ending.KEEP

    async def _next_request(self) -> HttpRequest | None:
        """None when the client left or stayed idle over the limit; TimeoutError if it stalled."""
        reader, limits = self.reader, self.fake.limits
        request = reader.next_request()
        with anyio.move_on_after(limits.idle_limit_s):
            while request is None and not reader.begun and await self._takes_more():
                pass
        if request is None and not reader.begun:
            return None
        told_to_go_on = False
        with anyio.fail_after(limits.request_limit_s):
            while request is None and (request := reader.next_request()) is None:
                if reader.awaits_continue and not told_to_go_on:
                    told_to_go_on = True
                    await self._say_go_on()
                if not await self._takes_more():
                    return None
        return request

    async def _takes_more(self) -> bool:
        """Feed the reader what has arrived, waiting for it; False when the client has left."""
        data = await self.inbox.take()
        if data:
            self.tape.add(data)
            self.reader.feed(data)
        return bool(data)

    async def _say_go_on(self) -> None:
        await self.wire.send(_CONTINUE)
        self.tape.interim = (Chunk(anyio.current_time(), _CONTINUE),)

    async def _say_goodbye(self) -> None:
        """Close our half and let the client close its own.

        A socket closed with unread bytes on it is reset, and the reset can overtake the response.
        """
        with anyio.move_on_after(_GOODBYE_LIMIT_S):
            try:
                await self.wire.send_eof()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return
            await self.inbox.wait_left()
