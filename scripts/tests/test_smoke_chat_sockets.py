"""`smoke_chat.sh` against a BFF that works, and ones that do not: it tells them apart."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from attrs import define, field

from scripts.local_settings import ROOT
from scripts.tests.standins import free_ports

SOURCES = [
    {"chunk_id": "doc#1", "title": 'A "quoted" [title], with {braces}', "snippet": "a\nb — c"},
    {"chunk_id": "doc#2", "title": None, "snippet": ""},
]
CITED = [{"chunk_id": "doc#2", "marker": "c1", "title": None, "url": None}]
OK = {
    "status": "ok",
    "reason_code": None,
    "request_id": "REQUEST-ID",
    "citations": CITED,
    "sources": SOURCES,
}
ABSTAINED = {"status": "fallback", "reason_code": "MODEL_ABSTAINED", "citations": []}
NO_CHUNKS = {
    "status": "fallback",
    "reason_code": "RAG_NO_CHUNKS",
    "message_key": "sources",
    "citations": [],
}
INVALID = {"error": {"code": "INPUT_INVALID", "message": "…", "details": []}}
EVENTS: list[tuple[str, dict[str, object]]] = [
    ("meta", {"version": "v1"}),
    ("sources", {"sources": SOURCES}),
    ("citations", {"citations": CITED}),
    ("delta", {"delta": "Point LLM_BASE_URL "}),
    ("delta", {"delta": "at "}),
    ("delta", {"delta": "it [c1]."}),
    ("done", {"status": "ok", "reason_code": None, "citations": CITED}),
]


NOTHING: list[tuple[str, dict[str, object]]] = [
    ("meta", {"version": "v1"}),
    ("error", {"code": "RAG_NO_CHUNKS"}),
    ("done", {"status": "fallback", "reason_code": "RAG_NO_CHUNKS"}),
]


def stream(events: list[tuple[str, dict[str, object]]]) -> str:
    frames = (f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    return ": heartbeat\n\n" + "".join(frames)


WORKS = {
    "plain": (200, json.dumps(OK, ensure_ascii=False)),
    "stream": (200, stream(EVENTS)),
    "no chunks": (200, json.dumps(NO_CHUNKS)),
    "no chunks, streamed": (200, stream(NOTHING)),
    "off topic": (200, json.dumps(ABSTAINED, indent=2)),
    "bad": (400, json.dumps(INVALID, separators=(",", ":"))),
}
Answers = dict[str, tuple[int, str]]


@define
class Bff:
    """A BFF that answers from a table, and all who have its key."""

    answers: Answers
    key: str | None = None
    pause_s: float = 0.04  # before each frame but the first
    notices: bool = True  # whether it counts who leaves
    at_first: Answers = field(factory=dict)  # what the first call of a kind is answered
    asked: list[str] = field(factory=list)
    log: list[dict[str, str]] = field(factory=list)
    left: int = 0

    def kind_of(self, path: str, body: str, key: str | None) -> str:
        """Which row of the table answers this."""
        if key != self.key:
            return "not let in"
        if not body.endswith("}"):
            return "bad"
        if "Neptune" in body:
            return "off topic"
        streamed = "stream=true" in path
        if "Qwxzv" in body:
            return "no chunks, streamed" if streamed else "no chunks"
        return "stream" if streamed else "plain"

    def answer(self, kind: str) -> tuple[int, str]:
        """The row, or what it is at first."""
        first = kind not in self.asked
        self.asked.append(kind)
        if first and kind in self.at_first:
            return self.at_first[kind]
        return self.answers.get(kind, (401, "{}"))

    @property
    def metrics(self) -> str:
        """As Prometheus reads them."""
        names = '{reason_code="CLIENT_DISCONNECTED",service="bff",status="gone"}'
        return f"bsl_requests_total{names} {float(self.left)}\n"

    def ended(self, request_id: str, reason: str | None) -> None:
        """The closing line of a call, in all three services."""
        for service in ("bff", "qs", "llmgw"):
            self.log.append({"service": service, "event": "call ended",
                "request_id": request_id, "reason_code": str(reason)})  # fmt: skip


@contextmanager
def serving(bff: Bff) -> Iterator[str]:
    """Yields its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(200, bff.metrics if self.path == "/metrics" else "{}")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            kind = bff.kind_of(self.path, body, self.headers["x-api-key"])
            request_id = self.headers["x-request-id"] or "none"
            status, text = bff.answer(kind)
            try:
                self.reply(status, text.replace("REQUEST-ID", request_id))
                if request_id.endswith("-left") and "event: delta" in text:
                    self.write_until_gone()
            except OSError:
                bff.left += bff.notices
                bff.ended(request_id, "CLIENT_DISCONNECTED")
            else:
                bff.ended(request_id, None)

        def reply(self, status: int, text: str) -> None:
            self.send_response(status)
            self.end_headers()
            for number, frame in enumerate(text.split("\n\n")):
                time.sleep(bff.pause_s if number > 1 else 0)
                self.wfile.write(("\n\n" * (number > 0) + frame).encode())

        def write_until_gone(self) -> None:
            """As for a model that has much to say: who leaves has all the time that they need."""
            for _ in range(500):
                time.sleep(0.02)
                self.wfile.write(b": heartbeat\n\n")

        def log_message(self, *arguments: object) -> None:
            del arguments

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def smoke(
    url: str | None, cwd: Path = ROOT, key: str = "", **told: str
) -> "subprocess.CompletedProcess[str]":
    told |= {} if url is None else {"BFF_URL": url}
    told |= {"SMOKE_API_KEY": key} if key else {}
    return subprocess.run(  # noqa: S603 - our own script
        ["/bin/sh", ROOT / "scripts/smoke_chat.sh"],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **told},
        capture_output=True,
        text=True,
    )


PASSED = [
    "ok    plain: 1 cited of 2 sources",
    "ok    streaming: meta, sources, citations, 3 deltas within SPAN ms, done",
    "ok    streaming citations: 1 cited of 2 sources",
    "ok    no chunks: fallback RAG_NO_CHUNKS, plain and streamed",
    "ok    off-topic: fallback MODEL_ABSTAINED",
    "ok    bad input: 400 INPUT_INVALID",
    "ok    leaving: the BFF saw the client go",
]


def told(result: "subprocess.CompletedProcess[str]") -> list[str]:
    """The lines, without the one figure that differs."""
    return re.sub(r"within \d+ ms", "within SPAN ms", result.stdout).splitlines()


def test_stack_that_works_passes_every_check(tmp_path: Path) -> None:
    with serving(Bff(WORKS)) as url:
        result = smoke(url, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert told(result) == [*PASSED, "--    ids in the logs: no logs of this chain within reach"]


def test_time_between_the_first_delta_and_the_last_is_measured(tmp_path: Path) -> None:
    with serving(Bff(WORKS, pause_s=0.2)) as url:
        (span,) = re.findall(r"3 deltas within (\d+) ms", smoke(url, tmp_path).stdout)
    assert 390 <= int(span) < 2_000


@pytest.mark.parametrize("key", ["sk-1", "with $ and `ticks` and 'quotes' and %s"])
def test_stack_that_needs_a_key_is_given_it(key: str, tmp_path: Path) -> None:
    with serving(Bff(WORKS, key)) as url:
        assert smoke(url, tmp_path, key).returncode == 0
        refused = smoke(url, tmp_path)
    assert refused.returncode == 1
    assert "plain: HTTP 401" in refused.stderr


def test_ids_are_looked_for_in_logs_within_reach(tmp_path: Path) -> None:
    bff = Bff(WORKS)
    lines = tmp_path / "lines"
    # The command is run again until the lines are there, so it may well be asked before they are.
    with serving(bff) as url, written(bff, lines):
        result = smoke(url, tmp_path, SMOKE_LOGS=f"cat {lines}")
    assert (result.returncode, result.stderr) == (0, "")
    assert told(result) == [
        *PASSED,
        "ok    ids in the logs: bff, qs and llmgw closed the streamed call,"
        " and the one whose client left",
    ]


def test_ids_that_one_service_did_not_log_fail(tmp_path: Path) -> None:
    bff = Bff(WORKS)
    lines = tmp_path / "lines"
    with serving(bff) as url, written(bff, lines):
        result = smoke(url, tmp_path, SMOKE_LOGS=f"grep -v qs {lines}")
    assert result.returncode == 1
    assert result.stderr == "FAIL  ids in the logs: only in those of: bff llmgw \n"


@contextmanager
def written(bff: Bff, lines: Path) -> Iterator[None]:
    """Its log as a file that is kept up to date, and whole whenever it is read."""
    done = threading.Event()
    draft = lines.with_suffix(".draft")

    def keep() -> None:
        while not done.wait(0.02):
            draft.write_text("".join(json.dumps(line) + "\n" for line in [*bff.log]))
            draft.replace(lines)

    thread = threading.Thread(target=keep)
    thread.start()
    yield
    done.set()
    thread.join()


INVENTED = {**OK, "citations": [{"chunk_id": "doc#9"}]}
FAILED: list[tuple[str, dict[str, object]]] = [
    *EVENTS[:4],
    ("error", {"code": "OUTPUT_TRUNCATED", "discard": True}),
    ("done", {"status": "fallback", "reason_code": "OUTPUT_TRUNCATED"}),
]
ONE_DELTA = stream(EVENTS[:4] + EVENTS[6:])
WITHDRAWN = (200, stream(FAILED))
REFUSED = (200, json.dumps({**ABSTAINED, "reason_code": "PROVIDER_UNREACHABLE"}))
OFF = [
    ("plain", 200, json.dumps(ABSTAINED), "plain: status fallback, reason MODEL_ABSTAINED"),
    ("plain", 200, json.dumps(INVENTED), "plain: cited but not among the sources: doc#9"),
    ("plain", 200, json.dumps({**OK, "citations": []}), "plain: no citation"),
    ("plain", 200, json.dumps({**OK, "request_id": "x"}), "answered as x"),
    ("plain", 503, "busy", "plain: HTTP 503: busy"),
    ("stream", 200, stream(EVENTS[:-1]), "streaming: events came as: meta sources citations delta"),
    ("stream", 200, ONE_DELTA, "streaming: only 1 delta event"),
    ("no chunks", 200, json.dumps(ABSTAINED), "no chunks: HTTP 200, fallback MODEL_ABSTAINED"),
    ("no chunks", 200, json.dumps({**NO_CHUNKS, "citations": CITED}), "cites something"),
    ("no chunks, streamed", 200, stream(EVENTS), "no chunks: streamed: meta sources citations"),
    ("off topic", 200, json.dumps(OK), "off-topic: HTTP 200, ok null"),
    ("bad", 500, "{}", "bad input: HTTP 500 without a code, 400 INPUT_INVALID expected"),
]


@pytest.mark.parametrize(("kind", "status", "text", "reason"), OFF)
def test_stack_that_is_off_fails_with_the_reason(
    kind: str, status: int, text: str, reason: str, tmp_path: Path
) -> None:
    with serving(Bff({**WORKS, kind: (status, text)})) as url:
        result = smoke(url, tmp_path)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert reason in result.stderr


def test_text_that_comes_all_at_once_fails_though_it_is_a_stream(tmp_path: Path) -> None:
    with serving(Bff(WORKS, pause_s=0)) as url:
        result = smoke(url, tmp_path)
        taken = smoke(url, tmp_path, SMOKE_MARGIN_MS="0")
    assert "before the last: somebody collects them" in result.stderr
    assert "somebody" not in taken.stderr


def test_client_that_leaves_unnoticed_fails(tmp_path: Path) -> None:
    with serving(Bff(WORKS, notices=False)) as url:
        result = smoke(url, tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        "FAIL  leaving: the BFF did not notice within two seconds that its client had left\n"
    )


def test_model_that_did_badly_once_is_asked_again_and_it_is_said(tmp_path: Path) -> None:
    first = {"plain": (200, json.dumps(ABSTAINED)), "stream": WITHDRAWN}
    bff = Bff(WORKS, at_first=first)
    with serving(bff) as url:
        result = smoke(url, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert told(result)[0] == "ok    plain (asked 2 times): 1 cited of 2 sources"
    assert told(result)[1].startswith("ok    streaming (asked 2 times): meta")
    assert bff.asked.count("plain") == 2


def test_model_that_does_badly_each_time_fails_with_its_code(tmp_path: Path) -> None:
    bff = Bff({**WORKS, "stream": WITHDRAWN}, pause_s=0.01)
    with serving(bff) as url:
        result = smoke(url, tmp_path, SMOKE_ATTEMPTS="2")
    assert result.returncode == 1
    first = result.stderr.splitlines()[0]
    assert "OUTPUT_TRUNCATED" in first
    assert first.endswith("(asked 2 times)")


def test_chain_that_did_badly_once_is_not_asked_again(tmp_path: Path) -> None:
    bff = Bff(WORKS, at_first={"plain": REFUSED})
    with serving(bff) as url:
        result = smoke(url, tmp_path)
    assert result.returncode == 1
    assert result.stderr == "FAIL  plain: status fallback, reason PROVIDER_UNREACHABLE\n"
    assert bff.asked.count("plain") == 1


@pytest.mark.parametrize(
    "line", ["BFF_PORT={}", "export BFF_PORT='{}'", ' export  BFF_PORT = "{}"']
)
def test_port_is_read_from_the_settings_file(line: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    (tmp_path / ".env.local").write_text(f"{line.format(port)}\nQS_PORT=1\n")
    assert f"http://127.0.0.1:{port} " in smoke(None, tmp_path).stderr


def test_nothing_listening_is_said_so() -> None:
    (port,) = free_ports(1)
    result = smoke(f"http://127.0.0.1:{port}")
    assert result.returncode == 1
    assert result.stderr.startswith(f"FAIL  nothing answers at http://127.0.0.1:{port} ")
