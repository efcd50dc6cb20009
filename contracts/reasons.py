# ruff: noqa: E501 - a row of the table is one line, so that the table can be read as one.
"""Why an answer is not `ok`: the closed set of reason codes, one row each (CONTRACT §7).

Every column a program needs stands in the row: the HTTP statuses, whether the code may end an
answer as a `fallback`, the message a person sees, what to do next, whether the gateway may try
again by itself, and in which modes it can occur. Nothing computes these anywhere else.
"""

from enum import Enum, StrEnum
from typing import NamedTuple


class NextAction(StrEnum):
    """What the client's user can do about it."""

    NONE = "NONE"
    RETRY = "RETRY"
    REFINE_QUERY = "REFINE_QUERY"


class MessageKey(StrEnum):
    """Which of the four texts a person sees; `text` is the English one, and fixed."""

    text: str
    next_action: NextAction

    def __new__(cls, key: str, text: str, next_action: NextAction) -> "MessageKey":
        """One member from its row."""
        member = str.__new__(cls, key)
        member._value_ = key
        member.text, member.next_action = text, next_action
        return member

    SOURCES = (
        "sources",
        "The answer is not in the documents that were searched. Try asking in other words.",
        NextAction.REFINE_QUERY,
    )
    BUSY = (
        "busy",
        "The service is busy or a part of it is not available. Please try again in a moment.",
        NextAction.RETRY,
    )
    UNVERIFIED = (
        "unverified",
        "No answer could be produced whose sources can be verified. Please try again.",
        NextAction.RETRY,
    )
    REQUEST = ("request", "This request cannot be served as it is.", NextAction.NONE)


class Modes(Enum):
    """In which of the two modes a code can occur."""

    PLAIN = "plain"
    STREAMING = "streaming"
    BOTH = "both"


class _Row(NamedTuple):
    code: str
    http: int | None
    elsewhere: int | None
    fallback: bool
    message: MessageKey | None
    retry: bool
    modes: Modes
    when: str


def _error(code: str, http: int, message: MessageKey, when: str, *, fallback: bool = False) -> _Row:
    """An error with an HTTP status; `fallback` where it may also end an answer (CONTRACT §7)."""
    return _Row(code, http, http, fallback, message, False, Modes.BOTH, when)


def _fallback(
    code: str,
    message: MessageKey,
    when: str,
    *,
    retry: bool = False,
    modes: Modes = Modes.BOTH,
    elsewhere: int | None = None,
) -> _Row:
    return _Row(code, None, elsewhere, True, message, retry, modes, when)


def _logged(code: str, when: str, *, modes: Modes = Modes.BOTH) -> _Row:
    """Nobody is left to be told: the code stands in the log only."""
    return _Row(code, None, None, False, None, False, modes, when)


SOURCES, BUSY = MessageKey.SOURCES, MessageKey.BUSY
UNVERIFIED, REQUEST = MessageKey.UNVERIFIED, MessageKey.REQUEST


class ReasonCode(StrEnum):
    """One reason, and its row of the table as attributes.

    `http` is its status where it refuses a question, `elsewhere` where it ends any other call.
    """

    http: int | None
    elsewhere: int | None
    fallback: bool
    message: MessageKey | None
    retry: bool
    modes: Modes
    when: str

    def __new__(
        cls,
        code: str,
        http: int | None,
        elsewhere: int | None,
        fallback: bool,
        message: MessageKey | None,
        retry: bool,
        modes: Modes,
        when: str,
    ) -> "ReasonCode":
        """One member from its row."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.http, member.elsewhere = http, elsewhere
        member.fallback, member.message = fallback, message
        member.retry, member.modes, member.when = retry, modes, when
        return member

    @property
    def text(self) -> str:
        """The fixed text a person sees. Codes that are only logged have none (ValueError)."""
        if self.message is None:
            raise ValueError(f"{self} is only ever logged")
        return self.message.text

    @property
    def next_action(self) -> NextAction:
        """What a person can do; NONE for codes that are only logged."""
        return self.message.next_action if self.message else NextAction.NONE

    # fmt: off
    INPUT_INVALID = _error("INPUT_INVALID", 400, REQUEST, "body breaks the contract; details lists every $.path")
    INPUT_TOO_LARGE = _error("INPUT_TOO_LARGE", 413, REQUEST, "body over its size in bytes")
    INPUT_TIMEOUT = _error("INPUT_TIMEOUT", 408, REQUEST, "the body did not arrive in time")
    INPUT_MEDIA_TYPE = _error("INPUT_MEDIA_TYPE", 415, REQUEST, "not application/json")
    INPUT_METHOD = _error("INPUT_METHOD", 405, REQUEST, "the path does not take this method")
    INPUT_FORBIDDEN = _error("INPUT_FORBIDDEN", 403, REQUEST, "origin not allowed")
    INPUT_UNAUTHORIZED = _error("INPUT_UNAUTHORIZED", 401, REQUEST, "key missing or wrong")
    INPUT_NOT_FOUND = _error("INPUT_NOT_FOUND", 404, REQUEST, "unknown path, session or turn")
    ADMISSION_RATE_LIMITED = _error("ADMISSION_RATE_LIMITED", 429, BUSY, "per-key rate; Retry-After", fallback=True)
    ADMISSION_QUEUE_FULL = _error("ADMISSION_QUEUE_FULL", 503, BUSY, "no slot, queue full; Retry-After", fallback=True)
    ADMISSION_QUEUE_TIMEOUT = _error("ADMISSION_QUEUE_TIMEOUT", 503, BUSY, "waited too long for a slot", fallback=True)
    ADMISSION_DEADLINE_EXPIRED = _error("ADMISSION_DEADLINE_EXPIRED", 504, BUSY, "arrived with no time left", fallback=True)
    ADMISSION_SHUTTING_DOWN = _error("ADMISSION_SHUTTING_DOWN", 503, BUSY, "draining", fallback=True)
    RAG_NO_CHUNKS = _fallback("RAG_NO_CHUNKS", SOURCES, "nothing retrieved; the model is not called")
    RAG_LOW_SCORE = _fallback("RAG_LOW_SCORE", SOURCES, "best score under the threshold; not called")
    RAG_UNAVAILABLE = _fallback("RAG_UNAVAILABLE", BUSY, "search engine refused, down or answering 5xx/429")
    RAG_TIMEOUT = _fallback("RAG_TIMEOUT", BUSY, "search over its limit")
    RAG_BAD_RESPONSE = _fallback("RAG_BAD_RESPONSE", BUSY, "search engine's answer not understood, or partial")
    RAG_INDEX_NOT_READY = _fallback("RAG_INDEX_NOT_READY", BUSY, "index missing or being built")
    STORE_UNAVAILABLE = _fallback("STORE_UNAVAILABLE", BUSY, "what is kept of conversations cannot be read or changed, or not in time", elsewhere=503)
    HOP_UNREACHABLE = _fallback("HOP_UNREACHABLE", BUSY, "next hop refused, unresolvable, or not connected in time", elsewhere=502)
    HOP_TIMEOUT = _fallback("HOP_TIMEOUT", BUSY, "this hop's own deadline", elsewhere=504)
    HOP_DISCONNECTED = _fallback("HOP_DISCONNECTED", BUSY, "next hop's stream ended without done, or its body was cut", elsewhere=502)
    HOP_PROTOCOL_ERROR = _fallback("HOP_PROTOCOL_ERROR", BUSY, "next hop broke this contract", elsewhere=502)
    PROVIDER_UNREACHABLE = _fallback("PROVIDER_UNREACHABLE", BUSY, "DNS, refused", retry=True)
    PROVIDER_CONNECT_TIMEOUT = _fallback("PROVIDER_CONNECT_TIMEOUT", BUSY, "not connected in time", retry=True)
    PROVIDER_TLS_ERROR = _fallback("PROVIDER_TLS_ERROR", BUSY, "the TLS handshake or the certificate failed")
    PROVIDER_FIRST_TOKEN_TIMEOUT = _fallback("PROVIDER_FIRST_TOKEN_TIMEOUT", BUSY, "no content in time", modes=Modes.STREAMING)
    PROVIDER_IDLE_TIMEOUT = _fallback("PROVIDER_IDLE_TIMEOUT", BUSY, "a stream that stalled", modes=Modes.STREAMING)
    PROVIDER_TIMEOUT = _fallback("PROVIDER_TIMEOUT", BUSY, "the whole generation over its limit")
    PROVIDER_DISCONNECTED = _fallback("PROVIDER_DISCONNECTED", BUSY, "connection lost, or HTTP framing broken (101 included), before or during the answer", retry=True)
    PROVIDER_AUTH = _fallback("PROVIDER_AUTH", UNVERIFIED, "401, 403")
    PROVIDER_MODEL_NOT_FOUND = _fallback("PROVIDER_MODEL_NOT_FOUND", UNVERIFIED, "404")
    PROVIDER_BAD_REQUEST = _fallback("PROVIDER_BAD_REQUEST", UNVERIFIED, "400, 422 (a rejected schema is retried once without it)")
    PROVIDER_CONTEXT_OVERFLOW = _fallback("PROVIDER_CONTEXT_OVERFLOW", REQUEST, "prompt over the model's window")
    PROVIDER_PROMPT_TRUNCATED = _fallback("PROVIDER_PROMPT_TRUNCATED", UNVERIFIED, "the server silently dropped part of the prompt: usage reports > 0 and fewer tokens than characters sent / 16")
    PROVIDER_RATE_LIMITED = _fallback("PROVIDER_RATE_LIMITED", BUSY, "429; Retry-After honoured within the deadline", retry=True)
    PROVIDER_OVERLOADED = _fallback("PROVIDER_OVERLOADED", BUSY, "503", retry=True)
    PROVIDER_LOADING = _fallback("PROVIDER_LOADING", BUSY, "model still loading", retry=True)
    PROVIDER_SERVER_ERROR = _fallback("PROVIDER_SERVER_ERROR", BUSY, "other 5xx", retry=True)
    PROVIDER_UNEXPECTED_STATUS = _fallback("PROVIDER_UNEXPECTED_STATUS", UNVERIFIED, "2xx without meaning here, 3xx, other 4xx")
    PROVIDER_CIRCUIT_OPEN = _fallback("PROVIDER_CIRCUIT_OPEN", BUSY, "failing fast after repeated failures")
    PROVIDER_NOT_SSE = _fallback("PROVIDER_NOT_SSE", UNVERIFIED, "asked for a stream, got something else", modes=Modes.STREAMING)
    PROVIDER_INVALID_ENCODING = _fallback("PROVIDER_INVALID_ENCODING", UNVERIFIED, "not UTF-8, or undecodable content-encoding")
    PROVIDER_INVALID_JSON = _fallback("PROVIDER_INVALID_JSON", UNVERIFIED, "an event or body that is no JSON; half a surrogate pair, escaped, is JSON")
    PROVIDER_INVALID_SHAPE = _fallback("PROVIDER_INVALID_SHAPE", UNVERIFIED, "JSON without what the API promises")
    PROVIDER_ERROR_EVENT = _fallback("PROVIDER_ERROR_EVENT", BUSY, '{"error": …} inside a 200', retry=True)
    PROVIDER_NO_FINISH = _fallback("PROVIDER_NO_FINISH", UNVERIFIED, "ended without a finish_reason")
    PROVIDER_TOO_LARGE = _fallback("PROVIDER_TOO_LARGE", UNVERIFIED, "one event or the whole body over its cap")
    OUTPUT_EMPTY = _fallback("OUTPUT_EMPTY", UNVERIFIED, "no content at all")
    OUTPUT_ONLY_REASONING = _fallback("OUTPUT_ONLY_REASONING", UNVERIFIED, "nothing but reasoning, in a field of its own or in <think> blocks")
    OUTPUT_TRUNCATED = _fallback("OUTPUT_TRUNCATED", UNVERIFIED, "finish_reason: length, even if the JSON parses")
    OUTPUT_CONTENT_FILTER = _fallback("OUTPUT_CONTENT_FILTER", REQUEST, "finish_reason: content_filter")
    OUTPUT_REFUSAL = _fallback("OUTPUT_REFUSAL", REQUEST, "message.refusal")
    OUTPUT_TOOL_CALL = _fallback("OUTPUT_TOOL_CALL", UNVERIFIED, "tool calls instead of text")
    OUTPUT_NOT_JSON = _fallback("OUTPUT_NOT_JSON", UNVERIFIED, "no object found")
    OUTPUT_MALFORMED_JSON = _fallback("OUTPUT_MALFORMED_JSON", UNVERIFIED, "an object that breaks JSON's grammar")
    OUTPUT_INCOMPLETE_JSON = _fallback("OUTPUT_INCOMPLETE_JSON", UNVERIFIED, "ended inside the object")
    OUTPUT_AMBIGUOUS = _fallback("OUTPUT_AMBIGUOUS", UNVERIFIED, "more than one candidate object")
    OUTPUT_DUPLICATE_KEY = _fallback("OUTPUT_DUPLICATE_KEY", UNVERIFIED, "a key stands twice in one object")
    OUTPUT_SCHEMA_MISMATCH = _fallback("OUTPUT_SCHEMA_MISMATCH", UNVERIFIED, "wrong types, extra keys")
    OUTPUT_ANSWER_MISSING = _fallback("OUTPUT_ANSWER_MISSING", UNVERIFIED, "absent or blank")
    OUTPUT_TOO_LONG = _fallback("OUTPUT_TOO_LONG", UNVERIFIED, "over ANSWER_MAX_CHARS, or exactly the maxLength that was sent: the schema may have cut it")
    OUTPUT_WHITESPACE_LOOP = _fallback("OUTPUT_WHITESPACE_LOOP", UNVERIFIED, "> 64 structural blanks in a row")
    OUTPUT_INVALID_UNICODE = _fallback("OUTPUT_INVALID_UNICODE", UNVERIFIED, "lone surrogate, NUL: escaped in the model's text or in the server's JSON around it")
    OUTPUT_HOLD_EXCEEDED = _fallback("OUTPUT_HOLD_EXCEEDED", UNVERIFIED, "answer-first, longer than the hold")
    OUTPUT_BLOCKED_CONTENT = _fallback("OUTPUT_BLOCKED_CONTENT", UNVERIFIED, "a Markdown image, a tag of a known HTML element, or a url that is neither a source's nor standing in a retrieved chunk")
    CITATIONS_MISSING = _fallback("CITATIONS_MISSING", UNVERIFIED, "absent or empty")
    CITATIONS_MALFORMED = _fallback("CITATIONS_MALFORMED", UNVERIFIED, "wrong shape")
    CITATIONS_INVALID = _fallback("CITATIONS_INVALID", UNVERIFIED, "any id outside the retrieved set; mixed lists fail closed")
    CITATIONS_TOO_MANY = _fallback("CITATIONS_TOO_MANY", UNVERIFIED, "over the cap")
    CITATIONS_UNKNOWN_MARKER = _fallback("CITATIONS_UNKNOWN_MARKER", UNVERIFIED, "the answer's text cites what citations does not")
    MODEL_ABSTAINED = _fallback("MODEL_ABSTAINED", SOURCES, "the model said none of the sources answer it")
    CLIENT_DISCONNECTED = _logged("CLIENT_DISCONNECTED", "the client went away")
    CLIENT_TOO_SLOW = _logged("CLIENT_TOO_SLOW", "the client stopped reading", modes=Modes.STREAMING)
    INTERNAL_ERROR = _error("INTERNAL_ERROR", 500, UNVERIFIED, "anything unforeseen; logged with its cause", fallback=True)
    # fmt: on


assert all(code.name == code.value for code in ReasonCode)
assert all(code.http or code.fallback or code.message is None for code in ReasonCode)
