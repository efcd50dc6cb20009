"""The admin face: the journal read and cleared, a script set and asked what it has not played.

    GET    /__admin/journal     the session's entries, oldest first, and how many were dropped
    DELETE /__admin/journal     forget them
    GET    /__admin/script      the script being played
    PUT    /__admin/script      play this one, TOML or JSON, from its first rule on
    DELETE /__admin/script      play what the server was started with again; a session, nothing
    GET    /__admin/unplayed    what no request came for, and the requests no rule had a part for
    GET    /__admin/            these, for whoever has forgotten them

`unmatched` beside `unplayed` is of a strict script: any other lets such requests pass.
`x-fake-session: NAME` says whose: requests that carry it see that session's script and journal
only. Everything answered is JSON; bytes are `utf8` where they are that, else `base64`. Refuses
web pages (403, `admin_access`), a script that can not be understood (400, with its line) and, once
a thousand have one, a further session's (400 too). Whether the client is one that may ask at all
is the connection's to know.
"""

import base64
from collections.abc import Callable, Mapping

from attrs import frozen

from fakes.openai_compat_server import wire
from fakes.openai_compat_server.admin_access import why_forbidden
from fakes.openai_compat_server.answers import connection
from fakes.openai_compat_server.control import (
    SESSION_CHARS_MAX,
    Entry,
    Journal,
    Sessions,
    TooManySessions,
)
from fakes.openai_compat_server.http_request import HttpRequest
from fakes.openai_compat_server.plan import Ending, Plan, Step
from fakes.openai_compat_server.responses import check_playable
from fakes.openai_compat_server.script import Script
from fakes.openai_compat_server.script_fields import ScriptFault, fields_of
from fakes.openai_compat_server.script_file import parse_script
from fakes.openai_compat_server.script_json import parse_json_script

_SESSION_HEADER = "x-fake-session"
_FOLDER = "/__admin/"
_BODY = "body"  # what a script's faults name where a file has its path

_Answer = tuple[int, Mapping[str, object]]


@frozen
class _Desk:
    """What one request may see and change."""

    session: str
    body: bytes
    journal: Journal
    sessions: Sessions
    now: float


def session_of(request: HttpRequest) -> str:
    """Whose request it is; the server's own session is empty."""
    return request.header(_SESSION_HEADER)


def plan_admin(
    request: HttpRequest, journal: Journal, sessions: Sessions, now: float
) -> Plan | None:
    """The admin face's own response, its work done; None where the request is not for it."""
    session = session_of(request)
    if len(session) > SESSION_CHARS_MAX:
        why = f"A session's name has at most {SESSION_CHARS_MAX} characters."
        return _plan(request, *_error(400, why))
    if request.path.startswith(_FOLDER) and (why := why_forbidden(request)):
        return _plan(request, *_error(403, why))
    methods = _ROUTES.get(request.path)
    if methods is None:
        return _plan(request, *_unknown(request)) if request.path.startswith(_FOLDER) else None
    method = "GET" if request.method == "HEAD" else request.method
    if method in methods:
        desk = _Desk(session, request.body, journal, sessions, now)
        return _plan(request, *methods[method](desk))
    allow = ", ".join(sorted(methods))
    return _plan(request, *_error(405, f"Only {allow} here."), ("allow", allow))


def plan_admin_off(request: HttpRequest) -> Plan | None:
    """What a server that was started without it says for its paths; None for all other paths."""
    if not request.path.startswith(_FOLDER):
        return None
    return _plan(request, *_error(404, "The admin API is off: start with --admin."))


def _unknown(request: HttpRequest) -> _Answer:
    return _error(404, f"No {request.path} here: {', '.join(_ROUTES)}.")


def _read_paths(_: _Desk) -> _Answer:
    return 200, {"paths": {path: sorted(methods) for path, methods in _ROUTES.items()}}


def _read_journal(desk: _Desk) -> _Answer:
    entries = [_entry_fields(entry) for entry in desk.journal.of(desk.session)]
    dropped = desk.journal.dropped[desk.session]
    return 200, {"now": desk.now, "entries_dropped": dropped, "entries": entries}


def _clear_journal(desk: _Desk) -> _Answer:
    desk.journal.clear(desk.session)
    return _read_journal(desk)


def _read_script(desk: _Desk) -> _Answer:
    return 200, fields_of(desk.sessions.playing(desk.session).script)


def _load_script(desk: _Desk) -> _Answer:
    try:
        desk.sessions.load(desk.session, _script(desk.body))
    except ScriptFault as fault:
        return _error(400, str(fault))
    except TooManySessions:
        return _error(400, "Too many sessions have a script: DELETE those that are done.")
    return _read_script(desk)


def _reset_script(desk: _Desk) -> _Answer:
    desk.sessions.reset(desk.session)
    return _read_script(desk)


def _read_unplayed(desk: _Desk) -> _Answer:
    playing = desk.sessions.playing(desk.session)
    return 200, {"unplayed": playing.unplayed, "unmatched": playing.unmatched}


_ROUTES: Mapping[str, Mapping[str, Callable[[_Desk], _Answer]]] = {
    _FOLDER: {"GET": _read_paths},
    "/__admin/journal": {"GET": _read_journal, "DELETE": _clear_journal},
    "/__admin/script": {"GET": _read_script, "PUT": _load_script, "DELETE": _reset_script},
    "/__admin/unplayed": {"GET": _read_unplayed},
}


def _script(body: bytes) -> Script:
    """No TOML begins with a brace or is one value, so that no header needs to tell them apart."""
    try:
        text = body.decode()
    except UnicodeDecodeError as fault:
        line = body[: fault.start].count(b"\n") + 1
        raise ScriptFault(f"{_BODY}:{line}: not UTF-8") from None
    parse = parse_json_script if text.lstrip().startswith("{") else parse_script
    return parse(text, _BODY, check_playable)


def _entry_fields(entry: Entry) -> Mapping[str, object]:
    return {
        "number": entry.number,
        "request_line": entry.request_line,
        "status": entry.status,
        "scenario": entry.scenario,
        "began_at": entry.began_at,
        "ended_at": entry.ended_at,
        "client_left_at": entry.client_left_at,
        "steps_planned": entry.steps_planned,
        "steps_sent": entry.steps_sent,
        "bytes_planned": entry.bytes_planned,
        "bytes_sent": entry.bytes_sent,
        "request": _bytes_fields(entry.request),
        "request_bytes_dropped": entry.request_bytes_dropped,
        "chunks": [{"at": chunk.at, **_bytes_fields(chunk.data)} for chunk in entry.chunks],
        "chunks_dropped": entry.chunks_dropped,
    }


def _bytes_fields(data: bytes) -> dict[str, str]:
    try:
        return {"utf8": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _error(status: int, message: str) -> _Answer:
    return status, {"error": {"message": message}}


def _plan(
    request: HttpRequest, status: int, payload: Mapping[str, object], *more: tuple[str, str]
) -> Plan:
    ending = Ending.KEEP if request.keeps_alive else Ending.CLOSE
    body = wire.to_json(payload)
    about = ("content-type", "application/json"), ("content-length", str(len(body)))
    head = wire.head(status, (*about, *more, connection(ending)))
    return Plan(status, (Step(0.0, head + (b"" if request.method == "HEAD" else body)),), ending)
