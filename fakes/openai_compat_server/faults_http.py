"""What can go wrong with an HTTP response: its status, its head, and the framing of its body."""

import gzip
import math
from collections.abc import Callable, Mapping

from attrs import evolve

from contracts.reasons import ReasonCode
from fakes.openai_compat_server.plan import Ending, Plan, Step
from fakes.openai_compat_server.scenario import (
    OK,
    Ends,
    Parameter,
    Play,
    Scenario,
    after,
    both,
    lasting,
)
from fakes.openai_compat_server.wire import Headers, Response, head

_Change = Callable[[Play, Response], Response]
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\n"
_BARE = b'"Internal Server Error"'
_GARBAGE = b"zz, not a size\r\n"
_LONGER_BYTES = 1_000
_HEADER_BYTES = 1_000


def _status(
    status: int, message: str, code: str | None = None, headers: Headers = ()
) -> Callable[[Play, Response], Response]:
    """A refusal with the dialect's own error body."""

    def refuse(play: Play, response: Response) -> Response:
        refused = play.dialect.refusal(status, message, None, code)
        all_headers = (*play.dialect.response_headers, *headers)
        return _instead(response, status, refused.body, refused.content_type, all_headers)

    return refuse


def _body(status: int, body: bytes, kind: str) -> _Change:
    return lambda _play, response: _instead(response, status, body, kind)


def _instead(
    response: Response, status: int, body: bytes, kind: str, headers: Headers = ()
) -> Response:
    about = (("content-type", kind), ("content-length", str(len(body))))
    kept = tuple(h for h in response.headers if h[0] == "connection")
    return Response(status, (*about, *headers, *kept), (Step(0.0, body),), response.ending)


def _rate_limited_for(play: Play, response: Response) -> Response:
    # The header has whole seconds, and a client must not come back before it was asked to. What
    # is rounded away first is what floats add to a time in milliseconds.
    wait = (("retry-after", str(math.ceil(round(play.seconds("for"), 6)))),)
    return _status(429, "Rate limit reached.", "rate_limit_exceeded", wait)(play, response)


def _bodiless(status: int, *headers: tuple[str, str]) -> _Change:
    return lambda _play, response: Response(status, headers, (), response.ending)


def _with(response: Response, name: str, value: str) -> Headers:
    """The headers with this one in the place of its namesake."""
    return tuple((given, value if given == name else it) for given, it in response.headers)


def _wrong_type(_: Play, response: Response) -> Response:
    return evolve(response, headers=_with(response, "content-type", "text/plain; charset=utf-8"))


def _of_length(measure: Callable[[int], int]) -> _Change:
    """The whole body under a Content-Length that is not its length."""

    def mislead(_: Play, response: Response) -> Response:
        length = str(measure(sum(len(piece.data) for piece in response.body)))
        named = (("content-length", length), ("connection", "close"))
        kept = _without_framing(response.headers)
        return evolve(response, headers=(*kept, *named), ending=Ending.CLOSE)

    return mislead


def _without_framing(headers: Headers) -> Headers:
    framing = ("content-length", "transfer-encoding", "connection")
    return tuple(header for header in headers if header[0] not in framing)


def _badly_chunked(tail: bytes, cut: bool) -> _Change:
    """A chunked body that ends in `tail`, after all its events or (`cut`) before the last ones."""

    def break_off(play: Play, response: Response) -> Response:
        kept = _without_framing(response.headers)
        headers = (*kept, ("transfer-encoding", "chunked"), ("connection", "close"))
        body = response.body
        if cut:
            body = body[: play.at] if play.stream else _halved(body)[:1]
        return evolve(response, headers=headers, body=body, tail=tail, ending=Ending.CLOSE)

    return break_off


def _halved(body: tuple[Step, ...]) -> tuple[Step, Step]:
    (whole,) = body
    half = len(whole.data) // 2
    return Step(whole.delay_s, whole.data[:half]), Step(0.0, whole.data[half:])


def _half_gzipped(_: Play, response: Response) -> Response:
    """The body compressed, and only half of what came of it; framed as if that were all."""
    whole = gzip.compress(b"".join(piece.data for piece in response.body), mtime=0)
    half = whole[: len(whole) // 2]
    headers = (("content-encoding", "gzip"), *_with(response, "content-length", str(len(half))))
    delay_s = sum(piece.delay_s for piece in response.body)
    return evolve(response, headers=headers, body=(Step(delay_s, half),))


def _padded(play: Play, response: Response) -> Response:
    """Headers of a thousand bytes each, names and line ends included, up to `size`."""
    count = play.count("size") // _HEADER_BYTES
    names = [f"x-padding-{number:05}" for number in range(count)]
    padding = tuple((name, "a" * (_HEADER_BYTES - len(name) - 4)) for name in names)
    return evolve(response, headers=(*padding, *response.headers))


def _preceded(play: Play, plan: Plan) -> Plan:
    hint = head(103, [("link", "</style.css>; rel=preload")])
    first, *rest = plan.steps
    return evolve(
        plan,
        steps=(Step(first.delay_s, hint * play.count("count") + first.data), *rest),
    )


_BUSY = "The server is overloaded, try again later."
_LOST = both(ReasonCode.PROVIDER_DISCONNECTED)
_STATUSES: tuple[tuple[str, str, ReasonCode, _Change], ...] = (
    ("status-400", "400, for a reason of the server's own", ReasonCode.PROVIDER_BAD_REQUEST,
     _status(400, "Unsupported value.", "unsupported_value")),
    ("status-401", "401, a wrong key", ReasonCode.PROVIDER_AUTH,
     _status(401, "Incorrect API key provided.", "invalid_api_key")),
    ("status-403", "403, a region or a key without the right", ReasonCode.PROVIDER_AUTH,
     _status(403, "Country, region, or territory not supported.")),
    ("status-404", "404, a model nobody has", ReasonCode.PROVIDER_MODEL_NOT_FOUND,
     _status(404, "The model does not exist.", "model_not_found")),
    ("status-408", "408, a request that took too long", ReasonCode.PROVIDER_UNEXPECTED_STATUS,
     _status(408, "Request timeout.")),
    ("status-413", "413, a request too large", ReasonCode.PROVIDER_UNEXPECTED_STATUS,
     _status(413, "Request too large.")),
    ("status-422", "422, a request that makes no sense", ReasonCode.PROVIDER_BAD_REQUEST,
     _status(422, "Unprocessable entity.")),
    ("status-429", "429 without `Retry-After`", ReasonCode.PROVIDER_RATE_LIMITED,
     _status(429, "Rate limit reached.", "rate_limit_exceeded")),
    ("status-500", "500", ReasonCode.PROVIDER_SERVER_ERROR,
     _status(500, "The server had an error.")),
    ("status-502", "502", ReasonCode.PROVIDER_SERVER_ERROR, _status(502, "Bad gateway.")),
    ("status-503-busy", "503, no place", ReasonCode.PROVIDER_OVERLOADED, _status(503, _BUSY)),
    ("status-503-loading", "503, the model is being loaded", ReasonCode.PROVIDER_LOADING,
     _status(503, "Loading model")),
    ("status-504", "504", ReasonCode.PROVIDER_SERVER_ERROR, _status(504, "Gateway timeout.")),
    ("context-overflow", "400, the prompt is over the model's window",
     ReasonCode.PROVIDER_CONTEXT_OVERFLOW,
     _status(400, "This model's maximum context length is 4096 tokens.",
             "context_length_exceeded")),
    ("error-as-string", "500, its body a bare JSON string", ReasonCode.PROVIDER_SERVER_ERROR,
     _body(500, _BARE, "application/json")),
    ("error-as-html", "502, its body a proxy's page", ReasonCode.PROVIDER_SERVER_ERROR,
     _body(502, _HTML, "text/html")),
    ("status-302", "302 to a login page", ReasonCode.PROVIDER_UNEXPECTED_STATUS,
     _bodiless(302, ("location", "/login"), ("content-length", "0"))),
    ("status-204", "204, and so no body", ReasonCode.PROVIDER_UNEXPECTED_STATUS, _bodiless(204)),
    ("status-101", "101, a protocol nobody asked for", ReasonCode.PROVIDER_DISCONNECTED,
     _bodiless(101, ("upgrade", "websocket"), ("connection", "upgrade"))),
)  # fmt: skip

_SIZE: Mapping[str, Parameter] = {"size": Parameter("size", "90KB")}
_COUNT: Mapping[str, Parameter] = {"count": Parameter("count", "1000")}

HTTP = (
    *(Scenario(name, about, both(code), response=do) for name, about, code, do in _STATUSES),
    Scenario(
        "status-429-retry-after", "429 with a `Retry-After` of `for`, rounded up to whole seconds",
        both(ReasonCode.PROVIDER_RATE_LIMITED), lasting("2s"), response=_rate_limited_for,
    ),
    Scenario(
        "wrong-content-type", "the answer under `text/plain`",
        Ends(OK, ReasonCode.PROVIDER_NOT_SSE), response=_wrong_type,
    ),
    Scenario(
        "short-content-length", "a Content-Length of half the body",
        Ends(ReasonCode.PROVIDER_INVALID_JSON, ReasonCode.PROVIDER_NO_FINISH),
        response=_of_length(lambda length: length // 2),
    ),
    Scenario(
        "long-content-length", f"a Content-Length {_LONGER_BYTES} bytes over the body's, then a"
        " close", Ends(ReasonCode.PROVIDER_DISCONNECTED, OK),
        response=_of_length(lambda length: length + _LONGER_BYTES),
    ),
    Scenario(
        "chunk-size-garbage", "a chunk whose size is no number, `after` events or half the body",
        _LOST, after(5), response=_badly_chunked(_GARBAGE, cut=True),
    ),
    Scenario(
        "chunk-cut", "a close inside a chunk, `after` events or half the body",
        _LOST, after(5), response=_badly_chunked(b"400\r\ndata: {", cut=True),
    ),
    Scenario(
        "no-final-chunk", "the whole answer, and a close in the place of the last chunk",
        Ends(ReasonCode.PROVIDER_DISCONNECTED, OK), response=_badly_chunked(b"", cut=False),
    ),
    Scenario(
        "gzip-truncated", "`content-encoding: gzip`, and half of the compressed body",
        both(ReasonCode.PROVIDER_INVALID_ENCODING), response=_half_gzipped,
    ),
    Scenario("long-headers", "`size` of headers", both(OK), _SIZE, response=_padded),
    Scenario(
        "interim-responses", "`count` times 103 Early Hints before the answer", both(OK), _COUNT,
        plan=_preceded,
    ),
)  # fmt: skip
