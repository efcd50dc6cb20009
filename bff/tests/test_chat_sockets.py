"""The terminal client against a server that a test plays, over a real socket and a real terminal.

Method: the client as a process; what it is answered is bytes of the test's own. Where a terminal
matters, it gets one, and Ctrl-C is pressed there.
"""

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Final

import pytest
from attrs import evolve

from contracts.chat import Citation, ErrorBody, ErrorInfo, Source
from contracts.codec import encode
from contracts.events import (
    CitationsProved,
    Delta,
    Done,
    Meta,
    SourcesFound,
    StreamEvent,
    failed,
    to_wire,
)
from contracts.limits import CHAT_BODY_BYTES
from contracts.reasons import NextAction, ReasonCode

ROOT: Final = Path(__file__).parents[2]
LIMIT_S: Final = 15.0
SSE: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
META: Final = Meta("v1", "ab" * 16, "r-1", "0f" * 16)
FOUND: Final = SourcesFound((Source("a#1", "a", "On \x1b]0;owned\x07lamps", None, "Turn.", 1.0),))
CITED: Final = CitationsProved((Citation("a#1", "c1", "On lamps", "https://a.example/"),))
SOURCE: Final = {
    "chunk_id": "a", "doc_id": "a", "title": None, "url": None, "snippet": "", "score": 1,
}  # fmt: skip
CITATION: Final = {"chunk_id": "a", "marker": "c1", "title": None, "url": None}
BUSY: Final = ReasonCode.PROVIDER_RATE_LIMITED
Part = bytes | float


def done(code: ReasonCode | None = None) -> Done:
    citations = CITED.citations if code is None else ()
    status, key, action = ("ok", None, NextAction.NONE) if code is None else _row(code)
    wait = None if code is None else 2_000
    return Done(status, code, key, action, wait, "m", citations, None, {})  # type: ignore[arg-type]


def _row(code: ReasonCode) -> tuple[str, object, NextAction]:
    return "fallback", code.message, code.next_action


def stream(*events: StreamEvent | float) -> list[Part]:
    return [SSE, *(one if isinstance(one, float) else to_wire(one) for one in events)]


@contextmanager
def answering(parts: Sequence[Part], heard: list[bytes] | None = None) -> Iterator[str]:
    """The address of a server that answers every call so; a number is a pause of so many seconds.

    What it is asked, and that its client left, it puts into `heard`.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    said = [] if heard is None else heard

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                said.append(_request(connection))
                try:
                    for part in parts:
                        if isinstance(part, float):
                            connection.settimeout(part)
                            try:
                                said.append(b"left" if connection.recv(1) == b"" else b"more")
                            except TimeoutError:
                                continue
                            break
                        connection.sendall(part)
                except OSError:
                    said.append(b"left")

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(LIMIT_S)


def _request(connection: socket.socket) -> bytes:
    """A whole request; its body is the last that comes."""
    raw = connection.recv(65_536)
    while raw and not raw.endswith(b"}"):
        raw += connection.recv(65_536)
    return raw


def run(
    url: str, *arguments: str, out: int = subprocess.PIPE, typed: bytes = b"", **environ: str
) -> "subprocess.CompletedProcess[str]":
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "bff.chat", "--url", url, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        input=typed,
        stdout=out,
        stderr=subprocess.PIPE,
        timeout=LIMIT_S,
    )
    said, told = (ended.stdout or b"").decode(), ended.stderr.decode()
    return subprocess.CompletedProcess(ended.args, ended.returncode, said, told)


ANSWER: Final = (META, FOUND, CITED, Delta("Turn it [c"), Delta("1] nineteen times."), done())


def test_answer_is_printed_with_its_citations_by_number() -> None:
    heard: list[bytes] = []
    with answering(stream(*ANSWER), heard) as url:
        ended = run(url, "How?", CHAT_API_KEY="sesame")
    assert ended.returncode == 0
    assert ended.stdout == "Turn it [1] nineteen times.\n[1] On lamps  https://a.example/\n"
    assert b"x-api-key: sesame" in heard[0].lower()
    assert b'"content":"How?"' in heard[0]


FALLBACKS: Final = {
    "before any text": [META, FOUND, failed(BUSY, discard=False), done(BUSY)],
    "in the middle": [*ANSWER[:5], failed(BUSY, discard=True), done(BUSY)],
}


@pytest.mark.parametrize("events", FALLBACKS.values(), ids=FALLBACKS.keys())
def test_fallback_says_so_and_prints_nothing_of_an_answer(events: list[StreamEvent]) -> None:
    with answering(stream(*events)) as url:
        ended = run(url, "How?")
    assert ended.returncode == 3
    assert ended.stdout == ""
    assert BUSY.text in ended.stderr
    assert "Try again in 2 s." in ended.stderr
    assert "request r-1" in ended.stderr


BROKEN: Final = {
    "no done": stream(*ANSWER[:5]),
    "text before its citations": stream(META, FOUND, Delta("x"), CITED, done()),
    "ok after an error": stream(META, failed(BUSY, discard=False), done()),
    "another code than the error's": stream(
        META, failed(BUSY, discard=False), done(ReasonCode.INTERNAL_ERROR)
    ),
    "an event nobody knows": [SSE, b"event: ping\ndata: {}\n\n"],
    "no JSON": [SSE, b"event: meta\ndata: {\n\n"],
    "no stream": [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"],
    "an error without a reason": [b"HTTP/1.1 502 X\r\ncontent-length: 4\r\n\r\n<p>X"],
    "nothing": [],
}


@pytest.mark.parametrize("parts", BROKEN.values(), ids=BROKEN.keys())
def test_answer_that_breaks_the_contract_is_none(parts: list[Part]) -> None:
    with answering(parts) as url:
        ended = run(url, "How?")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "HOP_DISCONNECTED" in ended.stderr or "HOP_PROTOCOL_ERROR" in ended.stderr
    assert "Traceback" not in ended.stderr


def refusing(status: str, code: ReasonCode, *heads: str) -> list[Part]:
    body = encode(ErrorBody(ErrorInfo(code, "because", ()), "ab" * 16, "r-9"))
    head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *heads, "", ""])
    return [head.encode() + body]


def test_refusal_is_told_in_the_servers_words() -> None:
    parts = refusing("429 X", ReasonCode.ADMISSION_RATE_LIMITED, "retry-after: 7")
    with answering(parts) as url:
        ended = run(url, "How?")
    assert ended.returncode == 1
    for told in ("ADMISSION_RATE_LIMITED: because", "Try again in 7 s.", "request r-9"):
        assert told in ended.stderr


def test_server_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    ended = run(url, "How?")
    assert ended.returncode == 1
    assert f"HOP_UNREACHABLE: nobody answers at {url}" in ended.stderr


def plain(status: str, code: ReasonCode | None, answer: str = "Turn it.\x9b\u202e") -> list[Part]:
    text = answer if code is None else code.text
    body = {
        "version": "v1", "trace_id": "ab" * 16, "request_id": "r-1", "session_id": None,
        "status": status, "reason_code": code, "message_key": code.message if code else None,
        "answer": {"role": "assistant", "content": text},
        "citations": [] if code else [CITATION],
        "sources": [] if code else [SOURCE], "next_action": code.next_action if code else "NONE",
        "retry_after_ms": None, "model": None, "usage": None, "timings_ms": {},
    }  # fmt: skip
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
    )
    return [head.encode() + raw]


@pytest.mark.parametrize(
    ("status", "code", "exit_status"), [("ok", None, 0), ("fallback", BUSY, 3)]
)
def test_json_is_the_apis_own(status: str, code: ReasonCode | None, exit_status: int) -> None:
    heard: list[bytes] = []
    with answering(plain(status, code), heard) as url:
        ended = run(url, "How?", "--json")
    assert ended.returncode == exit_status
    assert json.loads(ended.stdout)["status"] == status
    assert not re.search("[\x9b\u202e]", ended.stdout)
    assert heard[0].startswith(b"POST /chat HTTP/1.1")


def test_json_of_a_refusal_is_the_error_body() -> None:
    with answering(refusing("401 X", ReasonCode.INPUT_UNAUTHORIZED)) as url:
        ended = run(url, "How?", "--json")
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["error"]["code"] == "INPUT_UNAUTHORIZED"


def test_wait_is_never_told_shorter_than_it_is() -> None:
    events = (META, failed(BUSY, discard=False), evolve(done(BUSY), retry_after_ms=1_200))
    with answering(stream(*events)) as url:
        assert "Try again in 2 s." in run(url, "How?").stderr


WIDE: Final = "Tür € 😀"
WIDE_ANSWER: Final = (META, FOUND, CITED, Delta(f"{WIDE} [c1]"), done())


def test_answer_is_printed_as_far_as_the_outputs_encoding_goes() -> None:
    with answering(stream(*WIDE_ANSWER)) as url:
        ended = run(url, "How?", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("T?r ? ? [1]\n")


def test_json_is_utf_8_whatever_the_outputs_encoding_is() -> None:
    with answering(plain("ok", None, WIDE)) as url:
        ended = run(url, "How?", "--json", PYTHONIOENCODING="ascii")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["answer"]["content"] == WIDE


@pytest.mark.parametrize(
    ("parts", "arguments"),
    [(stream(*ANSWER), []), (plain("ok", None), ["--json"])],
    ids=["text", "json"],
)
def test_reader_that_left_is_an_error_and_no_traceback(
    parts: list[Part], arguments: list[str]
) -> None:
    """As in `… | head -0`: the pipe is closed when the answer comes."""
    reader, writer = os.pipe()
    os.close(reader)
    with answering(parts) as url:
        ended = run(url, "How?", *arguments, out=writer)
    os.close(writer)
    assert ended.returncode == 1
    assert ended.stderr == ""


def test_line_that_is_no_text_is_told_and_the_next_one_is_asked() -> None:
    heard: list[bytes] = []
    with answering(stream(evolve(META, session_id=None), *ANSWER[1:]), heard) as url:
        ended = run(url, typed=b"How?\n\xff\nHow?\n", PYTHONIOENCODING="utf-8")
    assert ended.returncode == 0, ended.stderr
    assert "the question is no text" in ended.stderr
    assert [b'"content":"How?"' in one for one in heard] == [True, True]


UNUSABLE: Final = {
    "no address": (["How?", "--url", "ftp://x"], "no http or https address"),
    "no port": (["How?", "--url", "http://a:b"], "no http or https address"),
    "no name": (["How?", "--url", "http://a..b"], "no http or https address"),
    "no international name": (["How?", "--url", "http://xn---"], "no http or https address"),
    "no text": (["\udcff"], "the question is no text"),
    "no IPv6 address": (["How?", "--url", "http://[x]"], "no http or https address"),
    "empty": ([" "], "the question is empty"),
    "too long": (["a" * 4_001], "over 4,000 characters"),
    "json of nothing": (["--json"], "--json needs a question"),
    "too many": (["How?", "--top-k", "99"], "$.options.top_k"),
}


@pytest.mark.parametrize(("arguments", "said"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_arguments_that_cannot_be_used_are_named(arguments: list[str], said: str) -> None:
    ended = run("http://127.0.0.1:9", *arguments)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_help_says_what_there_is() -> None:
    ended = run("http://127.0.0.1:9", "--help")
    assert ended.returncode == 0
    for word in ("--json", "CHAT_API_KEY", "Ctrl-C", "exit status", "/new"):
        assert word in ended.stdout


@contextmanager
def terminal(url: str, *arguments: str) -> Iterator["Terminal"]:
    """The client in a terminal of its own."""
    mine, its = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "bff.chat", "--url", url, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "200"},
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    try:
        yield Terminal(mine, process)
    finally:
        process.kill()
        process.wait(LIMIT_S)
        os.close(mine)


class Terminal:
    """What a person sees and types."""

    def __init__(self, fd: int, process: "subprocess.Popen[bytes]") -> None:
        self.fd, self.process, self.seen = fd, process, ""
        self.received = b""  # all of it, as it came

    def wait_for(self, text: str) -> None:
        """Until this stands there, after all that was waited for before."""
        until, raw = time.monotonic() + LIMIT_S, b""
        while text not in self.seen:
            assert time.monotonic() < until, self.seen
            if select.select([self.fd], [], [], 0.2)[0]:
                raw += (piece := os.read(self.fd, 65_536))
                self.received += piece
            self.seen = raw.decode(errors="replace")
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def press_ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)


def test_ctrl_c_leaves_the_answer_and_not_the_conversation() -> None:
    heard: list[bytes] = []
    with answering(stream(*ANSWER[:5], 15.0), heard) as url, terminal(url) as seen:
        seen.wait_for("› ")
        seen.type("How?\n")
        seen.wait_for("nineteen times.")
        began = time.monotonic()
        seen.press_ctrl_c()
        seen.wait_for("Stopped. This answer is incomplete.")
        assert time.monotonic() - began < 3
        seen.type("And?\n")
        seen.wait_for("nineteen times.")
        assert heard[1] == b"left"
        assert b'"session_id"' not in heard[0]
        assert b'"session_id":"' + b"0f" * 16 in heard[2]
        seen.press_ctrl_c()
        seen.wait_for("Stopped.")
        seen.type("\x04")
        assert seen.process.wait(LIMIT_S) == 0


def test_ctrl_c_of_a_single_question_ends_it() -> None:
    with answering(stream(*ANSWER[:5], 15.0)) as url, terminal(url, "How?") as seen:
        seen.wait_for("nineteen times.")
        seen.press_ctrl_c()
        assert seen.process.wait(LIMIT_S) == 130


def test_withdrawn_text_is_said_to_be_where_it_was_already_seen() -> None:
    events = (*ANSWER[:5], 0.3, failed(BUSY, discard=True), done(BUSY))
    with answering(stream(*events)) as url, terminal(url, "How?") as seen:
        seen.wait_for("nineteen times.")
        seen.wait_for("was withdrawn")
        assert seen.process.wait(LIMIT_S) == 3


def test_nothing_that_a_document_says_is_obeyed_by_the_terminal() -> None:
    with answering(stream(*ANSWER)) as url, terminal(url) as seen:
        seen.wait_for("› ")
        seen.type("How?\n")
        seen.wait_for("On lamps")
        seen.type("/sources\n")
        seen.wait_for("On �]0;owned�lamps")
        assert b"\x1b]0;" not in seen.received


def test_conversation_the_server_does_not_keep_goes_on_however_long_it_gets() -> None:
    """As much of it goes along as a request has room for, the newest."""
    long = Delta("가" * 4_000)
    events = (evolve(META, session_id=None), FOUND, CITED, long, done())
    heard: list[bytes] = []
    with answering(stream(*events), heard) as url:
        ended = run(url, typed=b"".join(b"Question %d\n" % number for number in range(7)))
    assert ended.stderr.count("INPUT") == 0
    assert len(heard) == 7
    bodies = [one.partition(b"\r\n\r\n")[2] for one in heard]
    assert max(map(len, bodies)) <= CHAT_BODY_BYTES
    asked = [one["content"] for one in json.loads(bodies[-1])["history"] if one["role"] == "user"]
    assert asked == [f"Question {number}" for number in range(1, 6)]
