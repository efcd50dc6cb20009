"""What one server's dialect of the OpenAI API consists of.

A dialect says how a server reads a request and writes an answer, a list, a refusal and a failure;
it never decides what is answered or when. Everything here is data in, data out.
"""

import string
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Protocol

from attrs import frozen

from fakes.openai_compat_server.chat_request import ChatRequest
from fakes.openai_compat_server.seeded import Draw

JsonObject = Mapping[str, object]
Headers = tuple[tuple[str, str], ...]
ALPHABET = string.ascii_letters + string.digits
EPOCH_S = 1_750_000_000
_YEAR_S = 31_536_000


@frozen
class Call:
    """A tool's call: its arguments are JSON in text, in the pieces a model writes them in."""

    id: str
    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


@frozen
class Completion:
    """A finished answer, cut into tokens, with what the wire says around it.

    `reasoning` holds the tokens of a thought before the answer, for models that show one; `calls`
    stand in the place of tokens.
    """

    id: str
    created_s: int
    model: str
    tokens: tuple[str, ...]
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    reasoning: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    @property
    def thought(self) -> str | None:
        """The whole of the reasoning; None where there is none."""
        return "".join(self.reasoning) or None

    @property
    def pieces(self) -> int:
        """How many pieces the model wrote, in words or in calls."""
        return len(self.tokens) + sum(len(call.pieces) for call in self.calls)

    @property
    def usage(self) -> JsonObject:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


@frozen
class Refused:
    """A response in the place of an answer: status, body to the byte, and what the body is."""

    status: int
    body: bytes
    content_type: str
    headers: Headers = ()


@frozen
class KeepAlive:
    """What a silent stream sends, and how many seconds of silence bring it about."""

    data: bytes
    every_s: float


class Mute(Enum):
    """How a server says nothing while it loads its model."""

    CLOSED = auto()  # its port is not open yet
    SILENT = auto()  # it takes the request, and sends not a byte before it is ready


class Dialect(Protocol):
    """How one server speaks. Its values are constants, its methods pure."""

    @property
    def name(self) -> str: ...

    @property
    def json_type(self) -> str:
        """The content-type of a JSON body."""

    @property
    def response_headers(self) -> Headers:
        """What stands on every response."""

    @property
    def stream_headers(self) -> Headers:
        """What stands on a streamed answer besides, its content-type included."""

    @property
    def done_event(self) -> bytes:
        """What ends the stream of a completed answer."""

    @property
    def keep_alive(self) -> KeepAlive | None:
        """What the server sends while an answer is silent; None: nothing."""

    @property
    def window_tokens(self) -> int | None:
        """The longest prompt a server takes that nobody configured; None: as long as you like."""

    @property
    def closes_after_error(self) -> bool:
        """Whether a refusal ends the connection."""

    @property
    def wrong_type_status(self) -> int | None:
        """To a POST that is not called JSON; None: it is read, whatever it is called."""

    def chat_id(self, draw: Draw) -> str: ...

    def call_id(self, draw: Draw, at: int, /) -> str:
        """The id of the answer's call number `at`, from 0."""

    def read_chat(self, body: bytes, /) -> ChatRequest:
        """The body of a chat request, with what this server minds; raises Refusal."""

    def to_json(self, payload: JsonObject) -> bytes:
        """A JSON body, with the escapes, and the line end, that the server puts on one."""

    def event(self, payload: JsonObject) -> bytes:
        """One server-sent event."""

    def plain_body(self, done: Completion) -> JsonObject: ...

    def opening_frames(self, done: Completion, include_usage: bool, /) -> Iterator[JsonObject]:
        """What comes before the first token."""

    def token_frames(self, done: Completion, include_usage: bool, /) -> Iterator[JsonObject]:
        """One frame to a token, reasoning first; of calls, the frames that follow the opening."""

    def closing_frames(self, done: Completion, include_usage: bool, /) -> Iterator[JsonObject]:
        """The finish, and usage where it was asked for; `done_event` follows."""

    def failure(self, done: Completion, message: str, /) -> bytes:
        """How a stream that has begun ends in an error: every byte from there to the end.

        After it the body ends in good order.
        """

    def models_body(self, models: Sequence[str]) -> JsonObject: ...

    def error_body(
        self, status: int, message: str, param: str | None = None, code: str | None = None, /
    ) -> JsonObject:
        """The body of a refusal; a dialect leaves out what it has no place for."""

    def refusal(
        self, status: int, message: str, param: str | None = None, code: str | None = None, /
    ) -> Refused:
        """The same as a response."""

    def unknown_path(self, line: str, /) -> Refused:
        """To `line`, a method and a target that lead nowhere."""

    def wrong_method(self, line: str, allowed: Sequence[str], /) -> Refused: ...

    def loading(self) -> Refused | Mute:
        """While the model is being loaded."""

    def busy(self) -> Refused | None:
        """When there is no place; None: the request waits for one."""

    def too_long(self, prompt_tokens: int, window_tokens: int, /) -> Refused | None:
        """To a prompt over the window; None: it is cut in silence, and only usage shows it."""


def letters(draw: Draw, name: str, chars: int, alphabet: str = ALPHABET) -> str:
    """An id's random part, 32 characters at most."""
    number, drawn = int(draw.hex(name, 64), 16), ""
    for _ in range(chars):
        number, at = divmod(number, len(alphabet))
        drawn += alphabet[at]
    return drawn


def created_s(draw: Draw) -> int:
    """A believable time that no clock had a part in."""
    return EPOCH_S + int(draw.fraction("created") * _YEAR_S)
