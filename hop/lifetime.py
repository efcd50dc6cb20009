"""How long a request lives: its exit stack, its client, and the drain that ends all requests.

    Drain()                       .draining · .deadline · .begin(deadline) · .work() -> CancelScope
    HopApp(name, on_error=…, max_body_bytes=…, on_unserved=…)     the Quart app every hop is
    current_request() -> HopRequest                inside a handler
        .lifetime: AsyncExitStack                  what the request holds
        .peer: GuardedStream                       .stalled, .left: why a request was cancelled

A request's `lifetime` is entered before its handler and left after the last byte of its body but
before the end of the answer is sent, in one task and whatever happens: enter a slot or an upstream
stream there in the same step that takes it, and no leaving client can leak it. When the client
leaves, the handler and the body are cancelled at once; when it did not, cleanup runs uncancelled.

Limits are not set here. Quart's own (60 s for a body, 60 s for a response, which it cuts silently
after HTTP 200) are off: the deadline is the hop's.
"""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from math import inf
from types import TracebackType
from typing import cast

import attrs
import trio
from hypercorn.trio.worker_context import EventWrapper
from hypercorn.typing import ASGISendCallable
from quart import Request, request
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers import TrioRequest

from hop.peer import GuardedStream

OnError = Callable[[BaseException], None]
OnUnserved = Callable[[int | None], None]
"""Told of a call that never reached the app: the status it was refused with, None when it left."""


@attrs.define(eq=False)
class Drain:
    """Draining is one deadline: live work gets it, and work begun later starts with it."""

    deadline: float = inf  # on trio's clock
    idle_must_go: EventWrapper = attrs.field(factory=EventWrapper, init=False)  # the notice is over
    _scopes: set[trio.CancelScope] = attrs.field(factory=set, init=False)

    @property
    def draining(self) -> bool:
        return self.deadline < inf

    @property
    def live(self) -> int:
        """How many pieces of work are under way."""
        return len(self._scopes)

    def begin(self, deadline: float) -> None:
        """Every piece of work ends by `deadline`. A second call can only bring it forward."""
        self.deadline = min(self.deadline, deadline)
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, self.deadline)

    @contextmanager
    def work(self) -> Iterator[trio.CancelScope]:
        """A scope that the drain's deadline cancels; `cancelled_caught` tells that it did."""
        with trio.CancelScope(deadline=self.deadline) as scope:
            self._scopes.add(scope)
            try:
                yield scope
            finally:
                self._scopes.discard(scope)


class HopRequest(TrioRequest):
    """A request: the stack of what it holds, and what its answer's head is to say as well."""

    lifetime: AsyncExitStack
    answer_headers: dict[str, str]

    @property
    def peer(self) -> GuardedStream:
        return peer_of(self)


def peer_of(asked: Request) -> GuardedStream:
    """The client of a request that `hop.serve` carries."""
    return cast(GuardedStream, asked.scope["state"]["peer"])


def current_request() -> HopRequest:
    """The request being handled in this context, with its own type."""
    return cast(HopRequest, request._get_current_object())  # type: ignore[attr-defined]  # werkzeug's proxy


class HopConnection(TrioASGIHTTPConnection):
    """One request through Quart: no time limit of Quart's, and a lifetime round all of it."""

    async def handle_request(  # type: ignore[override]  # quart-trio adds the nursery
        self, nursery: trio.Nursery, request: HopRequest, send: ASGISendCallable
    ) -> None:
        request.answer_headers = {}
        async with AsyncExitStack() as request.lifetime:
            response = await self.app.handle_request(request)
            await self._send_response(send, response)
        nursery.cancel_scope.cancel()


class HopApp(QuartTrio):
    """A Quart app that keeps no clock of its own, serves no files and prints no errors.

    `on_error` gets every exception that nobody turned into an answer. A body over
    `max_body_bytes` raises werkzeug's RequestEntityTooLarge where the handler reads it, at once
    when its length is announced; what still arrives of it is thrown away.
    """

    asgi_http_class = HopConnection
    request_class = HopRequest

    def __init__(
        self,
        name: str,
        *,
        on_error: OnError,
        max_body_bytes: int,
        on_unserved: OnUnserved = lambda _: None,
    ) -> None:
        super().__init__(name, static_folder=None, template_folder=None)
        self.on_error = on_error
        self.on_unserved = on_unserved
        self.config.update(
            RESPONSE_TIMEOUT=None,
            BODY_TIMEOUT=None,
            MAX_CONTENT_LENGTH=max_body_bytes,
            DEBUG=False,
            PROPAGATE_EXCEPTIONS=False,
        )

    def log_exception(
        self,
        exception_info: tuple[type, BaseException, TracebackType] | tuple[None, None, None],
    ) -> None:
        if exception_info[1] is not None:
            self.on_error(exception_info[1])
