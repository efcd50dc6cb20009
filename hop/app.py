"""The HTTP face every program has: `/health`, `/ready`, `/metrics`, JSON errors, and one rescue.

A program adds what it is called for with `answer_calls` and `answer_named`; whatever those raise
ends here, once: a `Refusal` as its own error body, anything else as INTERNAL_ERROR with its cause
in the log.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import trio
from attrs import frozen
from quart import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from contracts.chat import ErrorBody, ErrorInfo
from contracts.codec import encode
from contracts.reasons import ReasonCode
from hop.incoming import Call, Outcome, Received, Refusal, receive, receive_head
from hop.lifetime import HopApp, current_request
from hop.log import bind_call
from hop.metrics import CONTENT_TYPE
from hop.program import Program
from hop.tracing import CallIds, ids_of

T = TypeVar("T")
Check = Callable[[], Awaitable[tuple[bool, str]]]
Answer = Callable[[Call, Received[T]], Awaitable[Response]]
AnswerNamed = Callable[[Call, str], Awaitable[Response]]
Admit = Callable[[Call], None]
"""Whether a call is let in, by its head alone; raises Refusal. It runs before a body is read."""
_CHECK_TIMEOUT_S = 1.0
_OK, _NO_CONTENT = 200, 204
_SHOWN_CHARS = 200
_ROUTING = {NotFound: ReasonCode.INPUT_NOT_FOUND, MethodNotAllowed: ReasonCode.INPUT_METHOD}


def make_app(
    program: Program,
    *,
    body_bytes: int,
    own: Mapping[str, Check],
    neighbours: Mapping[str, Check],
) -> HopApp:
    """An app with the common routes. `own` checks decide `/ready`; `neighbours` only show in it."""

    def unforeseen(cause: BaseException) -> None:
        program.log.error("unforeseen", exc_info=cause)

    def unserved(status: int | None) -> None:
        code = ReasonCode.CLIENT_DISCONNECTED if status is None else None
        ended = Outcome("refused" if status else "gone", code)
        _closed_at_once(program, "not served", ended, http_status=status)

    app = HopApp(
        program.settings.SERVICE,
        on_error=unforeseen,
        max_body_bytes=body_bytes,
        on_unserved=unserved,
    )
    app.url_map.merge_slashes = False  # it would redirect, and nothing here is anywhere else

    @app.before_request
    async def path_as_sent() -> None:
        # werkzeug takes `//health` for `/health`; another program on the way may not.
        if current_request().scope["path"].startswith("//"):
            raise NotFound

    @app.get("/health")
    async def health() -> Response:
        return json_response(200, {"status": "ok", "service": program.settings.SERVICE})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(program.metrics.exposition(), content_type=CONTENT_TYPE)

    @app.get("/ready")
    async def ready() -> Response:
        found = await run_checks(program, {**own, **neighbours})
        usable = not program.drain.draining and all(found[name][0] for name in own)
        checks = {name: {"ok": ok, "detail": detail} for name, (ok, detail) in found.items()}
        return json_response(200 if usable else 503, {"ready": usable, "checks": checks})

    @app.after_request
    async def completed(response: Response) -> Response:
        request = current_request()
        if "x-request-id" not in response.headers:
            response.headers.update(ids_of(request.headers.get, program.new_hex).response())
        response.headers.update(request.answer_headers)
        if request.method == "OPTIONS" and response.status_code == _OK:
            response.status_code = _NO_CONTENT
            del response.headers["content-type"], response.headers["content-length"]
        return response

    @app.errorhandler(HTTPException)
    async def routing(error: HTTPException) -> Response:
        return _not_routed(program, error)

    return app


@frozen
class Route(Generic[T]):
    """One POST path: the body it takes and its cap, and the query keys it may have."""

    path: str
    kind: type[T]
    body_bytes: int
    query: frozenset[str] = frozenset()


def answer_calls(
    app: HopApp, program: Program, route: Route[T], admit: Admit, answer: Answer[T]
) -> None:
    """Serve one route: what was proved goes to `answer`, whatever goes wrong is rescued."""

    async def handle(call: Call) -> Response:
        admit(call)
        received = await receive(call, route.kind, route.body_bytes, route.query)
        return await answer(call, received)

    _serve(app, program, "POST", route.path, handle)


def answer_named(
    app: HopApp, program: Program, method: str, path: str, admit: Admit, answer: AnswerNamed
) -> None:
    """Serve what is at `path` under a name, and takes no body: `answer` gets the name."""

    async def handle(call: Call) -> Response:
        admit(call)
        receive_head(call)
        named = call.request.view_args or {}
        return await answer(call, str(named["name"]))

    _serve(app, program, method, f"{path}/<name>", handle)


def _serve(
    app: HopApp,
    program: Program,
    method: str,
    path: str,
    answer: Callable[[Call], Awaitable[Response]],
) -> None:
    """Serve a path; whatever goes wrong is rescued here."""

    async def handle(**_: str) -> Response:
        call = Call.arrive(program, current_request())
        current_request().lifetime.enter_context(call)
        try:
            return await answer(call)
        except Refusal as refusal:
            return refuse(call, refusal)
        except Exception:
            program.log.exception("unforeseen", phase=call.phase)
            return refuse(call, Refusal(ReasonCode.INTERNAL_ERROR, "something unforeseen happened"))

    app.add_url_rule(path, f"{method} {path}", handle, methods=[method])


def refuse(call: Call, refusal: Refusal) -> Response:
    """The error body of a call that is not served."""
    call.outcome = Outcome("error", refusal.code)
    return error_response(refusal, call.ids)


def error_response(refusal: Refusal, ids: CallIds) -> Response:
    """A refusal on the wire: its HTTP status, both ids, `Retry-After` where one is known."""
    info = ErrorInfo(refusal.code, refusal.message, refusal.details)
    body = encode(ErrorBody(info, ids.trace_id, ids.request_id))
    status = refusal.code.elsewhere
    assert status is not None, f"{refusal.code} is not an HTTP error"
    headers = ids.response()
    if refusal.retry_after_ms is not None:
        headers["retry-after"] = str(math.ceil(refusal.retry_after_ms / 1000))
    return Response(body, status, headers, content_type="application/json")


def body_response(body: bytes, ids: CallIds) -> Response:
    """An answer that is already encoded, with both ids in its headers."""
    return Response(body, headers=ids.response(), content_type="application/json")


def empty_response(call: Call) -> Response:
    """That it is done, with both ids: 204."""
    call.answers = _NO_CONTENT
    response = Response(b"", _NO_CONTENT, call.ids.response())
    del response.headers["content-type"], response.headers["content-length"]
    return response


def json_response(status: int, body: Mapping[str, object]) -> Response:
    """A small body of our own making."""
    return Response(encode(body), status, content_type="application/json")


async def run_checks(program: Program, checks: Mapping[str, Check]) -> dict[str, tuple[bool, str]]:
    """What each check finds, side by side, each within a second; one that fails is not ok."""
    found: dict[str, tuple[bool, str]] = {}

    async def run(name: str, check: Check) -> None:
        found[name] = (False, f"no answer within {_CHECK_TIMEOUT_S:g} s")
        with trio.move_on_after(_CHECK_TIMEOUT_S):
            try:
                found[name] = await check()
            except Exception:
                found[name] = (False, "the check itself failed; its cause is in the log")
                program.log.exception("unforeseen", check=name)

    async with trio.open_nursery() as nursery:
        for name, check in checks.items():
            nursery.start_soon(run, name, check)
    return {name: found[name] for name in checks}


def _not_routed(program: Program, error: HTTPException) -> Response:
    """404 and 405 as JSON."""
    request = current_request()
    ids = ids_of(request.headers.get, program.new_hex)
    bind_call(ids.request_id, ids.trace_id)
    code = next((c for kind, c in _ROUTING.items() if isinstance(error, kind)), None)
    if code is None:
        program.log.error("unforeseen", cause=repr(error))
        code = ReasonCode.INTERNAL_ERROR
    asked = f"{request.method} {request.path[:200]} is not served here"
    response = error_response(Refusal(code, asked), ids)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["allow"] = ", ".join(sorted(error.valid_methods))
    _closed_at_once(program, "not routed", Outcome("error", code), path=_begun(request.path))
    return response


def _closed_at_once(program: Program, event: str, ended: Outcome, **more: object) -> None:
    """The figures and the closing line of a call that no handler ever had."""
    program.metrics.call_ended(ended.status, ended.reason_code, 0.0, None, None)
    program.log.info(
        event,
        **more,
        status=ended.status,
        reason_code=ended.reason_code,
        phase="receiving",
        duration_ms=0,
        ttft_ms=None,
    )


def _begun(path: str) -> str:
    """The path's first part: what follows may be an id, and is not for the log."""
    first, slash, _ = path[1:_SHOWN_CHARS].partition("/")
    return f"/{first}{slash and '/…'}"
