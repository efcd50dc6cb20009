"""What the fake's tests share: requests as bytes, prompts as LLMGW frames them, responses read."""

import json
from collections.abc import Mapping, Sequence

from contracts.framing import FramedChunk, encode
from fakes.openai_compat_server import HttpRequest

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
BOUNDARY = "0123456789abcdef"
CHAT = "/v1/chat/completions"


def framed(question: str, *passages: str, titles: Sequence[str] = ()) -> str:
    """A prompt with the passages as c1, c2, …"""
    names = [*titles, *[""] * (len(passages) - len(titles))]
    chunks = [
        FramedChunk(f"c{number}", title, passage)
        for number, (title, passage) in enumerate(zip(names, passages, strict=True), start=1)
    ]
    return encode(chunks, question, BOUNDARY)


def chat(content: str = "hello", **fields: object) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **fields}


def tool(name: str = "weather", parameters: object = WEATHER) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def named(name: str) -> dict[str, object]:
    """A `tool_choice` of one tool."""
    return {"type": "function", "function": {"name": name}}


def posted(body: bytes | Mapping[str, object], **headers: str) -> HttpRequest:
    """A chat request as it stands after parsing."""
    given = {"host": "x", "content-type": "application/json", **headers}
    return HttpRequest("POST", CHAT, "1.1", tuple(given.items()), _bytes(body))


def on_the_wire(
    body: bytes | Mapping[str, object], method: str = "POST", path: str = CHAT
) -> bytes:
    """A request as a client sends it."""
    data = _bytes(body)
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


def dechunked(body: bytes) -> bytes:
    """A chunked body's content; asserts that it ends as it must."""
    content = b""
    while True:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n"
        if length == 0:
            assert rest == b"\r\n"
            return content
        content, body = content + rest[:length], rest[length + 2 :]


def events(stream: bytes) -> list[str]:
    """The data of each event of an SSE stream."""
    assert stream.endswith(b"\n\n")
    return [part.removeprefix("data: ") for part in stream.decode().split("\n\n")[:-1]]


def frames(stream: bytes) -> list[dict[str, object]]:
    """The JSON events of an SSE stream, which must end in `[DONE]`."""
    *found, last = events(stream)
    assert last == "[DONE]"
    return [json.loads(frame) for frame in found]


def _bytes(body: bytes | Mapping[str, object]) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()
