"""Four real processes and a collector: it gets one trace of a call, and can harm nobody.

The collector is this test's own: it answers at once, or never, or there is none.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import cast
from urllib.request import Request, urlopen

import pytest

from harness.stack import Stack, free_ports, open_stack

DOCUMENTS = {"dpkg.md": "# Packages\n\nThe command `dpkg -S` finds the package of a file.\n"}
QUESTION = "Which command finds the package of a file?"
HOPS = ("llmgw", "qs", "bff")
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
GONE_S = 5.0
Span = dict[str, object]


@contextmanager
def collector(hold: Event) -> Iterator[tuple[str, list[tuple[str, Span]]]]:
    """Its address, and each span that it was sent with the service that sent it."""
    got: list[tuple[str, Span]] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            for resource in body["resourceSpans"]:
                names = {it["key"]: it["value"] for it in resource["resource"]["attributes"]}
                service = names["service.name"]["stringValue"]
                got.extend((service, it) for it in resource["scopeSpans"][0]["spans"])
            hold.wait()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", got
    finally:
        hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


def ask(stack: Stack, traceparent: str) -> tuple[dict[str, object], float]:
    """The answer, and the seconds it took."""
    body = json.dumps({"message": {"role": "user", "content": QUESTION}}).encode()
    headers = {"content-type": "application/json", "traceparent": traceparent}
    url = f"http://127.0.0.1:{stack['bff'].port}/chat"
    began = time.monotonic()
    with urlopen(Request(url, body, headers), timeout=30) as response:
        answer = json.load(response)
    return cast(dict[str, object], answer), time.monotonic() - began


def started(stack: Stack, endpoint: str) -> None:
    for name in ("fake", *HOPS):
        more = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} if name != "fake" else {}
        stack.start(name, **more)


def stopped(stack: Stack) -> float:
    """Drain all three at once; the seconds until the last is gone."""
    began = time.monotonic()
    for name in HOPS:
        stack[name].terminate()
    for name in HOPS:
        assert stack[name].wait_ended() == 0
    return time.monotonic() - began


def unforeseen(stack: Stack) -> list[object]:
    return [it for name in HOPS for it in stack[name].lines() if it["event"] == "unforeseen"]


def test_the_collector_gets_one_trace_below_the_callers(tmp_path: Path) -> None:
    taking = Event()
    taking.set()
    with collector(taking) as (url, got), open_stack(tmp_path, DOCUMENTS) as stack:
        started(stack, url)
        answer, _ = ask(stack, CALLER)
        unsampled, _ = ask(stack, CALLER[:-2] + "00")
        assert (answer["status"], unsampled["status"]) == ("ok", "ok")
        assert stopped(stack) < GONE_S
        assert unforeseen(stack) == []
    _, trace_id, caller, _ = CALLER.split("-")
    spans = {str(span["spanId"]): (service, span) for service, span in got}
    assert {span["traceId"] for _, span in got} == {trace_id}
    assert answer["trace_id"] == trace_id
    assert [service for service, _ in got].count("bff") == 2, "one call, its own and the onward one"
    assert {service for service, _ in got} == set(HOPS)
    (root,) = [span for _, span in got if span["parentSpanId"] not in spans]
    assert root["parentSpanId"] == caller
    now = time.time_ns()
    for _, span in got:
        began, ended = (int(str(span[f"{end}TimeUnixNano"])) for end in ("start", "end"))
        assert now - 120 * 10**9 < began <= ended < now


@pytest.mark.parametrize("fault", ["hangs", "refuses"])
def test_a_collector_that_does_not_answer_costs_nobody_anything(tmp_path: Path, fault: str) -> None:
    nobody = free_ports(("collector",))["collector"]
    with collector(Event()) as (url, _), open_stack(tmp_path, DOCUMENTS) as stack:
        started(stack, url if fault == "hangs" else f"http://127.0.0.1:{nobody}")
        took = [ask(stack, CALLER)[1] for _ in range(3)]
        time.sleep(6.0)  # past the first sending
        answer, last = ask(stack, CALLER)
        assert answer["status"] == "ok"
        assert max(*took, last) < 3.0
        assert stopped(stack) < GONE_S
        assert unforeseen(stack) == []
        for name in HOPS:
            said = [it for it in stack[name].lines() if it["event"] == "spans are not taken"]
            assert len(said) <= 1
            assert bool(said) is (fault == "refuses"), name
