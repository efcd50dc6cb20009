"""`smoke_chat.sh` against a BFF that works, and ones that do not: it tells them apart."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.local_settings import ROOT
from scripts.tests.standins import free_ports

SOURCES = [
    {"chunk_id": "doc#1", "title": 'A "quoted" [title], with {braces}', "snippet": "a\nb — c"},
    {"chunk_id": "doc#2", "title": None, "snippet": ""},
]
CITED = [{"chunk_id": "doc#2", "marker": "c1", "title": None, "url": None}]
OK = {"status": "ok", "reason_code": None, "citations": CITED, "sources": SOURCES}
ABSTAINED = {"status": "fallback", "reason_code": "MODEL_ABSTAINED", "citations": []}
INVALID = {"error": {"code": "INPUT_INVALID", "message": "…", "details": []}}
EVENTS: list[tuple[str, dict[str, object]]] = [
    ("meta", {"version": "v1"}),
    ("sources", {"sources": SOURCES}),
    ("citations", {"citations": CITED}),
    ("delta", {"delta": "Point LLM_BASE_URL "}),
    ("delta", {"delta": "at it [c1]."}),
    ("done", {"status": "ok", "reason_code": None, "citations": CITED}),
]


def stream(events: list[tuple[str, dict[str, object]]]) -> str:
    frames = (f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)
    return ": heartbeat\n\n" + "".join(frames)


WORKS = {
    "plain": (200, json.dumps(OK, ensure_ascii=False)),
    "stream": (200, stream(EVENTS)),
    "off topic": (200, json.dumps(ABSTAINED, indent=2)),
    "bad": (400, json.dumps(INVALID, separators=(",", ":"))),
}


@contextmanager
def bff(answers: dict[str, tuple[int, str]], key: str | None = None) -> Iterator[str]:
    """A BFF that answers from a table, and all who have its key; yields its address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(200, "{}")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            kind = "stream" if "stream=true" in self.path else "plain"
            kind = "off topic" if "Neptune" in body else kind
            taken = self.headers["x-api-key"] == key
            kind = "bad" if not body.endswith("}") else kind
            self.reply(*(answers[kind] if taken else (401, "{}")))

        def reply(self, status: int, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            del arguments

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


def smoke(url: str | None, cwd: Path = ROOT, key: str = "") -> "subprocess.CompletedProcess[str]":
    told = {} if url is None else {"BFF_URL": url}
    told |= {"SMOKE_API_KEY": key} if key else {}
    return subprocess.run(  # noqa: S603 - our own script
        ["/bin/sh", ROOT / "scripts/smoke_chat.sh"],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **told},
        capture_output=True,
        text=True,
    )


def test_stack_that_works_passes_every_check() -> None:
    with bff(WORKS) as url:
        result = smoke(url)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "ok    plain: 1 cited of 2 sources",
        "ok    streaming: meta, sources, citations, 2 deltas, done",
        "ok    streaming citations: 1 cited of 2 sources",
        "ok    off-topic: fallback MODEL_ABSTAINED",
        "ok    bad input: 400 INPUT_INVALID",
    ]


@pytest.mark.parametrize("key", ["sk-1", "with $ and `ticks` and 'quotes' and %s"])
def test_stack_that_needs_a_key_is_given_it(key: str) -> None:
    with bff(WORKS, key) as url:
        assert smoke(url, key=key).returncode == 0
        refused = smoke(url)
    assert refused.returncode == 1
    assert "plain: HTTP 401" in refused.stderr


INVENTED = {**OK, "citations": [{"chunk_id": "doc#9"}]}
FAILED: list[tuple[str, dict[str, object]]] = [
    *EVENTS[:4],
    ("error", {"code": "OUTPUT_TRUNCATED", "discard": True}),
    ("done", {"status": "fallback", "reason_code": "OUTPUT_TRUNCATED"}),
]
OFF = [
    ("plain", 200, json.dumps(ABSTAINED), "plain: status fallback, reason MODEL_ABSTAINED"),
    ("plain", 200, json.dumps(INVENTED), "plain: cited but not among the sources: doc#9"),
    ("plain", 200, json.dumps({**OK, "citations": []}), "plain: no citation"),
    ("plain", 503, "busy", "plain: HTTP 503: busy"),
    ("stream", 200, stream(EVENTS[:-1]), "streaming: events came as: meta sources citations delta"),
    ("stream", 200, stream(FAILED), "OUTPUT_TRUNCATED"),
    ("stream", 200, stream(EVENTS[:3] + EVENTS[4:]), "streaming: only 1 delta event"),
    ("off topic", 200, json.dumps(OK), "off-topic: HTTP 200, ok null"),
    ("bad", 500, "{}", "bad input: HTTP 500 without a code, 400 INPUT_INVALID expected"),
]


@pytest.mark.parametrize(("kind", "status", "text", "reason"), OFF)
def test_stack_that_is_off_fails_with_the_reason(
    kind: str, status: int, text: str, reason: str
) -> None:
    with bff({**WORKS, kind: (status, text)}) as url:
        result = smoke(url)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert reason in result.stderr


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
