"""Who is measured: a row is an address, the two questions for it, and the marks of its answers.

Ours are asked by the contract, everybody else as an OpenAI-compatible server, about passages of the
same length; the model's reply is the same for all (`upstream.py`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import field, frozen

from harness.bench.load import Answer
from harness.bench.upstream import ANSWER, REPLY

QUESTION: Final = "How is a result passed on by the parts of the stack?"
PASSAGE: Final = (
    "The stack is a set of four small parts. Each part passes a result on as it comes, and none of"
    " them keeps it. What one part has proved is held against the law again by the next one. "
) * 4
PASSAGES: Final = 6

DIRECT, RELAY, PASS_THROUGH = "asked directly", "TCP relay", "pass-through"
RELAYS: Final = "three TCP relays"  # as many hops as the chain has
LLMGW, CHAIN = "LLMGW", "whole chain"
LITELLM, PORTKEY = "LiteLLM", "Portkey"
FAKE: Final = "the fake itself"


class WrongAnswer(Exception):
    """A row answered what it should not have: its figures would mean nothing."""


@frozen
class Marks:
    """What an answer shows: each event with text in it, the first of them, a good end."""

    text: "re.Pattern[bytes]"
    first: bytes
    stream_end: bytes
    plain: bytes


OURS: Final = Marks(
    re.compile(rb'event: delta\ndata: \{"delta":"((?:[^"\\]|\\.)+)"\}'),
    b"event: delta",
    b'"status":"ok"',
    b'"status":"ok"',
)
OPENAIS: Final = Marks(
    re.compile(rb'"content": ?"((?:[^"\\]|\\.)+)"'),
    b'"content":"{',
    b"data: [DONE]",
    ANSWER[-40:].encode(),
)


@frozen
class Row:
    """One subject. `pids`: its processes by name; `texts` is how many events a stream must have."""

    name: str
    port: int
    plain: bytes
    stream: bytes
    marks: Marks
    pids: Mapping[str, int] = field(factory=dict)

    def check_stream(self, answer: Answer) -> int:
        """How many events with text came; WrongAnswer unless all of the text did, and its end."""
        data = _unchunked(answer.data)
        if not data.startswith(b"HTTP/1.1 200") or self.marks.stream_end not in data[-2000:]:
            raise WrongAnswer(f"{self.name}: {data[:300]!r} … {data[-300:]!r}")
        texts = self.marks.text.findall(data)
        if not b"".join(texts).endswith((ANSWER.encode(), ANSWER.encode() + rb"\"}")):
            raise WrongAnswer(f"{self.name}: the text is not the model's: {texts!r}"[:600])
        return len(texts)

    @property
    def texts_due(self) -> int:
        """How many events with text a whole stream has."""
        return len(ANSWER.split())

    def texts_in(self, answer: Answer) -> int:
        """How many there are in an answer that may have been cut."""
        return len(self.marks.text.findall(answer.data))

    def text_times(self, answer: Answer) -> list[float]:
        """When each event with text had come."""
        times: list[float] = []
        rest = b""
        for at, piece in answer.pieces:
            rest += piece
            ends = [found.end() for found in self.marks.text.finditer(rest)]
            times += [at] * len(ends)
            rest = rest[ends[-1] if ends else 0 :]
        return times

    def check_plain(self, answer: Answer) -> None:
        """WrongAnswer unless it is whole."""
        data = answer.data
        if not data.startswith(b"HTTP/1.1 200") or self.marks.plain not in data:
            raise WrongAnswer(f"{self.name}: {data[:600]!r}")


def _unchunked(data: bytes) -> bytes:
    """Head and body, without the sizes of its chunks, which may stand anywhere in an event."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return data
    body = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return head + blank + b"".join(body)


def _post(path: str, body: Mapping[str, object], headers: Mapping[str, str]) -> bytes:
    data = json.dumps(body, separators=(",", ":")).encode()
    lines = {"host": "127.0.0.1", "content-type": "application/json", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}content-length: {len(data)}\r\n\r\n".encode() + data


def openai_row(
    name: str,
    port: int,
    pids: Mapping[str, int],
    *,
    model: str = "bench",
    headers: Mapping[str, str] | None = None,
) -> Row:
    """A subject that speaks as OpenAI's servers do."""
    said = [
        {"role": "system", "content": PASSAGE * PASSAGES},
        {"role": "user", "content": QUESTION},
    ]
    asked = {"model": model, "messages": said, "max_tokens": 512, "temperature": 0.2}
    path, given = "/v1/chat/completions", headers or {}
    usage = {"stream_options": {"include_usage": True}}
    stream = _post(path, {**asked, "stream": True, **usage}, given)
    return Row(name, port, _post(path, asked, given), stream, OPENAIS, pids)


def fake_row(port: int, pids: Mapping[str, int]) -> Row:
    """The fake, made to say the same reply: only to see how fast it is."""
    said = [{"role": "user", "content": REPLY}]
    asked = {"model": "bench", "messages": said, "max_tokens": 4096}
    path = "/v1/chat/completions"
    stream = _post(path, {**asked, "stream": True}, {})
    return Row(FAKE, port, _post(path, asked, {}), stream, OPENAIS, pids)


def gateway_row(port: int, pids: Mapping[str, int]) -> Row:
    """Our LLMGW alone, with passages, citations required."""
    chunks = [
        {"chunk_id": f"doc-{number}", "title": f"Part {number}", "content": PASSAGE}
        for number in range(PASSAGES)
    ]
    asked: dict[str, object] = {
        "messages": [{"role": "user", "content": QUESTION}],
        "context": {"chunks": chunks},
    }
    plain = _post("/v1/generate", asked, {})
    return Row(LLMGW, port, plain, _post("/v1/generate", {**asked, "stream": True}, {}), OURS, pids)


def chain_row(port: int, pids: Mapping[str, int]) -> Row:
    """The whole chain, by the client's one call."""
    asked = {"message": {"role": "user", "content": QUESTION}}
    plain = _post("/chat", asked, {})
    return Row(CHAIN, port, plain, _post("/chat?stream=true", asked, {}), OURS, pids)


def documents() -> dict[str, str]:
    """What the chain's index holds: passages that answer the question."""
    return {f"part-{number}.md": f"# Part {number}\n\n{PASSAGE}\n" for number in range(PASSAGES)}


def named(rows: Sequence[Row], name: str) -> Row | None:
    """The row of this name, where it is measured."""
    return next((row for row in rows if row.name == name), None)
