"""Responses in one piece that take no time: what is asked besides answers, and every refusal.

Also for what never became a request: whoever sent it has its connection closed.
"""

from fakes.openai_compat_server import wire
from fakes.openai_compat_server.answers import connection
from fakes.openai_compat_server.dialects import Dialect, Headers, JsonObject, Refused
from fakes.openai_compat_server.http_request import HttpRequest
from fakes.openai_compat_server.plan import Ending, Plan, Step


def replied(dialect: Dialect, request: HttpRequest, payload: JsonObject) -> Plan:
    """The payload, as a 200."""
    body = dialect.to_json(payload)
    return _to(request, dialect, Refused(200, body, dialect.json_type), request.keeps_alive)


def refused(dialect: Dialect, request: HttpRequest, refusal: Refused) -> Plan:
    """The refusal; some servers end the connection with it."""
    keeps = request.keeps_alive and not dialect.closes_after_error
    return _to(request, dialect, refusal, keeps)


def refused_for(
    dialect: Dialect,
    request: HttpRequest,
    status: int,
    message: str,
    param: str | None = None,
    code: str | None = None,
) -> Plan:
    """The dialect's own refusal for this reason."""
    return refused(dialect, request, dialect.refusal(status, message, param, code))


def plan_unparsable() -> Plan:
    """A bare 400: whoever sent this does not speak HTTP, so no body would be read."""
    head = wire.head(400, (("content-length", "0"), connection(Ending.CLOSE)))
    return Plan(400, (Step(0.0, head),), Ending.CLOSE)


def plan_too_large(dialect: Dialect, body_bytes_max: int) -> Plan:
    message = f"The body is over the limit of {body_bytes_max} bytes."
    return _plan(dialect, dialect.refusal(413, message), Ending.CLOSE)


def plan_too_slow(dialect: Dialect, limit_s: float) -> Plan:
    message = f"The request did not arrive within {limit_s:g} seconds."
    return _plan(dialect, dialect.refusal(408, message), Ending.CLOSE)


def _to(request: HttpRequest, dialect: Dialect, said: Refused, keeps: bool) -> Plan:
    ending = Ending.KEEP if keeps else Ending.CLOSE
    return _plan(dialect, said, ending, sends_body=request.method != "HEAD")


def _plan(dialect: Dialect, said: Refused, ending: Ending, sends_body: bool = True) -> Plan:
    about: Headers = (
        ("content-type", said.content_type),
        ("content-length", str(len(said.body))),
    )
    headers = (*dialect.response_headers, *about, *said.headers, connection(ending))
    head = wire.head(said.status, headers)
    return Plan(said.status, (Step(0.0, head + said.body * sends_body),), ending)
