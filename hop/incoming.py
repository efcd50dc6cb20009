"""One incoming call: whose it is, how long it may take, what it asks, and how it ended.

`receive` proves a request before anything acts on it; what breaks the contract is a `Refusal`
that names each place. `Call` is entered for the request's whole lifetime and writes its one
closing log line, its figures and its span when the last byte is out or the client is gone.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import trio
from attrs import define, field, frozen
from werkzeug.exceptions import RequestEntityTooLarge

from contracts.chat import Detail
from contracts.codec import decode
from contracts.deadline import Deadline, DeadlineViolation, parse_header
from contracts.limits import VIOLATIONS_LISTED
from contracts.reasons import ReasonCode
from contracts.strict_json import ContractViolation, Violation
from hop.call import HopFault
from hop.keys import Keys, given
from hop.lifetime import HopRequest
from hop.log import bind_call
from hop.metrics import Status
from hop.program import Program
from hop.spans import NOTHING, Nothing, Span
from hop.tracing import CallIds, ids_of
from hop.waiting import Waits, begin, waiting

T = TypeVar("T")
_DEADLINE = "x-deadline-ms"
_STATUS_OK = 200


class Refusal(Exception):
    """The call is not served: an **E** code, with the places that are wrong."""

    def __init__(
        self,
        code: ReasonCode,
        message: str,
        details: Iterable[Detail] = (),
        *,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.retry_after_ms = retry_after_ms


@frozen
class Outcome:
    """How a call ended."""

    status: Status
    reason_code: ReasonCode | None


@define
class Call:
    """One call, from its arrival to its end."""

    program: Program
    ids: CallIds
    started: float
    request: HopRequest
    waits: Waits
    span: Span | Nothing = NOTHING
    caller: str = ""  # whose key it came with, as `hop.keys` names it; never logged
    phase: str = "receiving"
    deadline: Deadline = field(init=False)
    session_id: str | None = None  # of the session that it is part of, where there is one
    streaming: bool = False
    answers: int = _STATUS_OK  # the status of what is no error
    outcome: Outcome | None = None
    first_delta_at: float | None = None
    last_delta_at: float | None = None
    own_s: float | None = None  # its own work, until its answer was told; None: it has none yet
    timings_ms: dict[str, int] = field(factory=dict)

    @classmethod
    def arrive(cls, program: Program, request: HopRequest) -> "Call":
        """A call whose head has just been read."""
        ids, waits = ids_of(request.headers.get, program.new_hex), begin(program.now)
        call = cls(program, ids, program.now(), request, waits)
        bind_call(call.ids.request_id, call.ids.trace_id)
        if program.spans is not None:
            call.span = program.spans.server(ids, _name_of(request))
        return call

    def named(self, request_id: str | None, trace_id: str | None) -> None:
        """Take the ids that the body gives."""
        self.ids = self.ids.with_body(request_id, trace_id)
        bind_call(self.ids.request_id, self.ids.trace_id)
        if isinstance(self.span, Span):
            self.span.trace_id, self.span.parent_id = self.ids.trace_id, self.ids.parent_id

    def due(self, own_ms: int) -> Deadline:
        """The call's deadline: the smaller of `own_ms` and what the caller will wait."""
        callers = parse_header(self.request.headers.get(_DEADLINE))
        if callers == 0:
            raise Refusal(ReasonCode.ADMISSION_DEADLINE_EXPIRED, "no time is left for this call")
        self.deadline = Deadline.of(self.started, own_ms, callers)
        return self.deadline

    def onward_headers(self) -> dict[str, str]:
        """Headers for the next hop: the ids, and what remains of the time. Raises HopFault."""
        margin = self.program.settings.deadline_hop_margin_ms
        remaining = self.deadline.forward_ms(self.program.now(), margin)
        if remaining == 0:
            raise HopFault(ReasonCode.HOP_TIMEOUT, "no time is left for the next hop")
        ids = self.ids.outgoing(self.program.new_hex)
        return {**ids, _DEADLINE: str(remaining)}

    def elapsed_ms(self) -> int:
        """Whole milliseconds since the call arrived."""
        return round((self.program.now() - self.started) * 1000)

    def timings(self) -> dict[str, int]:
        """What is known of the time so far, for `timings_ms`."""
        first = self.first_delta_at
        ttft = {} if first is None else {"first_delta": round((first - self.started) * 1000)}
        return {**self.timings_ms, **ttft, "total": self.elapsed_ms()}

    def delta_sent(self) -> None:
        """Text went out; the first time is kept."""
        now = self.program.now()
        if self.last_delta_at is None:
            self.first_delta_at = now
        else:
            self.program.metrics.delta_gap.observe(now - self.last_delta_at)
        self.last_delta_at = now

    def answer_told(self) -> None:
        """The whole answer is told, and what is left is its way out: own work ends here."""
        self.own_s = self.program.now() - self.started - self.waits.total_s

    def __enter__(self) -> "Call":
        self.program.metrics.in_flight.inc()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.program.metrics.in_flight.dec()
        # A body that was cut off was not answered, whatever stood in it. A stream notes its outcome
        # when `done` is taken, and its client may go at once when it has read that.
        cut = self.request.peer.stalled or (kind is not None and not self.streaming)
        outcome = None if cut else self.outcome
        self._report(outcome or Outcome("gone", self.cut_by()))

    def cut_by(self) -> ReasonCode:
        """Why a call ends without an outcome: nobody is left to be told."""
        peer = self.request.peer
        if peer.stalled:
            return ReasonCode.CLIENT_TOO_SLOW
        cut = self.program.drain.draining and not peer.left
        return ReasonCode.ADMISSION_SHUTTING_DOWN if cut else ReasonCode.CLIENT_DISCONNECTED

    def _report(self, outcome: Outcome) -> None:
        now, first = self.program.now(), self.first_delta_at
        ttft = None if first is None else first - self.started
        self.program.metrics.call_ended(
            outcome.status, outcome.reason_code, now - self.started, ttft, self.own_s
        )
        self.program.log.info(
            "call ended",
            path=_route(self.request),
            status=outcome.status,
            reason_code=outcome.reason_code,
            phase=self.phase,
            duration_ms=self.elapsed_ms(),
            ttft_ms=None if ttft is None else round(ttft * 1000),
        )
        if isinstance(self.span, Span):
            self._end_span(self.span, outcome)

    def _end_span(self, span: Span, outcome: Outcome) -> None:
        span.set("http.request.method", self.request.method)
        span.set("url.scheme", self.request.scheme)
        span.set("url.path", _route(self.request))
        span.set("http.route", span.name.partition(" ")[2])
        span.set("http.response.status_code", _http_of(outcome, self.answers))
        span.set("bsl.request_id", self.ids.request_id)
        span.set("bsl.status", outcome.status)
        span.set("bsl.reason_code", outcome.reason_code)
        span.set("bsl.phase", self.phase)
        if outcome.reason_code is not None:
            span.failed(outcome.reason_code)
        span.end()


@frozen
class Received(Generic[T]):
    """A request that was proved: its body, and whether its query asks for a stream."""

    body: T
    stream: bool


async def receive(call: Call, kind: type[T], body_bytes: int, query: frozenset[str]) -> Received[T]:
    """What the call asks, proved. `query`: the keys it may have. Raises Refusal."""
    violations = _received_head(call, query)
    body = await _body(call, body_bytes)
    try:
        received = Received(decode(body, kind), "true" in call.request.args.getlist("stream"))
    except ContractViolation as violation:
        total = len(violations) + violation.total
        raise _refused([*violations, *violation.violations], total) from None
    if violations:
        raise invalid(violations)
    return received


def receive_head(call: Call) -> None:
    """Prove a call that has neither a body nor a query. Raises Refusal."""
    if violations := _received_head(call, frozenset()):
        raise invalid(violations)


def _received_head(call: Call, query: frozenset[str]) -> list[Violation]:
    if call.program.drain.draining:
        raise shutting_down()
    return [*_head_violations(call.request, query)]


def known_caller(call: Call, keys: Keys) -> None:
    """Take the caller's name from its key. Raises Refusal where none that is taken was given."""
    headers = call.request.headers
    presented = given(headers.getlist("x-api-key"), headers.getlist("authorization"))
    caller = keys.caller(presented)
    if caller is None:
        call.request.answer_headers["www-authenticate"] = "Bearer"
        raise Refusal(
            ReasonCode.INPUT_UNAUTHORIZED,
            "a key that is taken here is needed, as x-api-key or as Authorization: Bearer",
        )
    call.caller = caller


def _http_of(outcome: Outcome, answers: int) -> int | None:
    """The status that was answered; None where nobody was there to be answered."""
    if outcome.status == "error" and outcome.reason_code is not None:
        return outcome.reason_code.elsewhere
    return answers if outcome.status in ("ok", "fallback") else None


def _name_of(request: HopRequest) -> str:
    """A span's name: the route, never the path that was sent."""
    route = request.url_rule.rule if request.url_rule is not None else "(none)"
    return f"{request.method} {route}"


def shutting_down() -> Refusal:
    """The refusal of a call that a drain ends, or that came during one."""
    return Refusal(ReasonCode.ADMISSION_SHUTTING_DOWN, "this program is shutting down")


def _head_violations(request: HopRequest, query: frozenset[str]) -> Iterator[Violation]:
    """What is wrong before the body: unknown query keys, and a deadline that is none."""
    for key, value in request.args.items(multi=True):
        if key not in query:
            yield Violation(f"?{key[:64]}", "unknown query key")
        elif value not in ("true", "false"):
            yield Violation(f"?{key}", "must be true or false")
    try:
        parse_header(request.headers.get(_DEADLINE))
    except DeadlineViolation as violation:
        yield Violation(_DEADLINE, str(violation))


def invalid(violations: Sequence[Violation]) -> Refusal:
    """The refusal of a request that is wrong in these places."""
    return _refused(violations, len(violations))


def _refused(violations: Sequence[Violation], total: int) -> Refusal:
    """The refusal that lists these violations, of which there were `total` in all."""
    details = [Detail(violation.path, violation.problem) for violation in violations]
    listed = details[:VIOLATIONS_LISTED]
    more = f"; the first {len(listed)} are listed" if total > len(listed) else ""
    places = "1 place" if total == 1 else f"{total} places"
    message = f"the request breaks the contract in {places}{more}"
    return Refusal(ReasonCode.INPUT_INVALID, message, listed)


def _route(request: HopRequest) -> str:
    """The path as it is served: an id in it may be all that it takes to read a session."""
    rule = request.url_rule
    return request.path if rule is None else rule.rule


async def _body(call: Call, body_bytes: int) -> bytes:
    headers = call.request.headers
    charset = call.request.mimetype_params.get("charset", "utf-8").lower()
    if call.request.mimetype != "application/json" or charset not in ("utf-8", "utf8"):
        raise Refusal(ReasonCode.INPUT_MEDIA_TYPE, "content-type must be application/json")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(ReasonCode.INPUT_MEDIA_TYPE, "content-encoding is not supported")
    limit_ms = _body_limit_ms(call)
    with call.program.drain.work() as drain, trio.move_on_after(limit_ms / 1000):
        try:
            # Quart holds no more of a body than `MAX_CONTENT_LENGTH`, which the app set to this.
            with waiting():
                return await call.request.get_data(False, False, False)
        except RequestEntityTooLarge:
            message = f"the body is over {body_bytes} bytes"
            raise Refusal(ReasonCode.INPUT_TOO_LARGE, message) from None
    if drain.cancelled_caught:
        raise shutting_down()
    raise Refusal(ReasonCode.INPUT_TIMEOUT, f"the body did not arrive within {limit_ms} ms")


def _body_limit_ms(call: Call) -> int:
    """How long the body may take: this hop's limit, or less where the caller waits less."""
    own_ms = call.program.settings.body_timeout_ms
    try:
        callers_ms = parse_header(call.request.headers.get(_DEADLINE))
    except DeadlineViolation:
        return own_ms
    return min(own_ms, callers_ms or own_ms)
