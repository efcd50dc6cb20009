"""How OpenAI-compatible servers say no: refused statuses, and errors inside a 200.

Reads all shapes the dialects use: `{"error": {…}}`, `{"error": "…"}`, vLLM's older flat
`{"object": "error", …}`, and llama.cpp's bare `error:` line. The detail of a fault carries only
the server's `type` and `code`: its message may quote the prompt, or the key.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from contracts import sse
from contracts.limits import RETRY_AFTER_MAX_MS
from contracts.reasons import ReasonCode
from llmgw.faults import GenerationFault

_WORDS: Final = ("code", "type", "param", "message")
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SECONDS: Final = re.compile(r"[0-9]{1,9}")

_SAYS_LOADING: Final = re.compile(r"\bloading\b", re.IGNORECASE)
_SAYS_OVERFLOW: Final = re.compile(
    r"context[ _](?:length|size|window)|maximum (?:model|allowed) length|"
    r"(?:prompt|input) is too long",
    re.IGNORECASE,
)
_SAYS_SCHEMA: Final = re.compile(
    r"schema|grammar|response[ _]?format|guided|structured[ _]output", re.IGNORECASE
)

_BY_STATUS: Final[Mapping[int, ReasonCode]] = {
    400: ReasonCode.PROVIDER_BAD_REQUEST,
    401: ReasonCode.PROVIDER_AUTH,
    403: ReasonCode.PROVIDER_AUTH,
    404: ReasonCode.PROVIDER_MODEL_NOT_FOUND,
    422: ReasonCode.PROVIDER_BAD_REQUEST,
    429: ReasonCode.PROVIDER_RATE_LIMITED,
    503: ReasonCode.PROVIDER_OVERLOADED,
}


def fault_of_status(
    status: int, retry_after: str | None, body: bytes, now: float
) -> GenerationFault:
    """What a status that is not 200 means. `retry_after` is the header; `now` in epoch seconds."""
    error = _error_of_body(body)
    return GenerationFault(
        _code(status, _words(error)),
        f"HTTP {status}{_names(error)}",
        retry_after_ms=_retry_after_ms(retry_after, now) if status in (429, 503) else None,
    )


def rejects_schema(status: int, body: bytes) -> bool:
    """Whether the server refused the call because of the schema it was given."""
    words = _words(_error_of_body(body))
    return _code(status, words) is ReasonCode.PROVIDER_BAD_REQUEST and bool(
        _SAYS_SCHEMA.search(words)
    )


def is_error_body(body: bytes) -> bool:
    """Whether this body is an error object: some servers send one as a 200."""
    return _error_of(_loads(body)) is not None


def is_error_frame(frame: sse.Frame) -> bool:
    """Whether a frame is an error by its very fields, before any JSON is read."""
    return frame.event == "error" or any(
        name == b"error" or name.startswith(b'{"error"') for name, _ in frame.others
    )


def raise_if_error(root: Mapping[str, object]) -> None:
    """Refuses (GenerationFault) an error object in the place of a reply."""
    error = _error_of(root)
    if error is not None:
        raise GenerationFault(ReasonCode.PROVIDER_ERROR_EVENT, f"an error object{_names(error)}")


def _code(status: int, words: str) -> ReasonCode:
    code = _BY_STATUS.get(status)
    if code is ReasonCode.PROVIDER_BAD_REQUEST and _SAYS_OVERFLOW.search(words):
        return ReasonCode.PROVIDER_CONTEXT_OVERFLOW
    if code is ReasonCode.PROVIDER_OVERLOADED and _SAYS_LOADING.search(words):
        return ReasonCode.PROVIDER_LOADING
    if code is not None:
        return code
    if 500 <= status < 600:
        return ReasonCode.PROVIDER_SERVER_ERROR
    return ReasonCode.PROVIDER_UNEXPECTED_STATUS


def _error_of_body(body: bytes) -> object:
    """The error in a refusal's body; FastAPI's `detail` and a bare JSON string count as one."""
    value = _loads(body)
    error = _error_of(value)
    if error is None and isinstance(value, dict):
        return value.get("detail", value)
    return value if error is None else error


def _error_of(value: object) -> object:
    if not isinstance(value, dict):
        return None
    return value if value.get("object") == "error" else value.get("error")


def _loads(body: bytes) -> object:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value


def _words(error: object) -> str:
    """All an error says, to look for words in."""
    if isinstance(error, dict):
        return "\n".join(str(error[name]) for name in _WORDS if isinstance(error.get(name), str))
    if isinstance(error, list):
        return "\n".join(_words(one) for one in error if isinstance(one, dict))
    return error if isinstance(error, str) else ""


def _names(error: object) -> str:
    """`type` and `code`, where they are names, for the log."""
    if not isinstance(error, dict):
        return ""
    named = [f"{key}={error[key]}" for key in ("type", "code") if _is_name(error.get(key))]
    return "".join(f" {each}" for each in named)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(_NAME.fullmatch(value))


def _retry_after_ms(value: str | None, now: float) -> int | None:
    """Seconds or an HTTP date, as RFC 9110 §10.2.3 has it; None where it is neither, an hour at
    most."""
    if value is None:
        return None
    if _SECONDS.fullmatch(seconds := value.strip()):
        return min(int(seconds) * 1000, RETRY_AFTER_MAX_MS)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # the latter for numbers of twenty digits
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(0, round((until.timestamp() - now) * 1000)), RETRY_AFTER_MAX_MS)
