"""Spans on their way to a collector that is well, wrong or dead: none of it is anybody's wait.

What was sent is read by OpenTelemetry's own classes, made from the protocol's definition.
"""

import base64
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as TheirSpan
from trio.testing import MockClock

from contracts.limits import SPANS_BATCH_MAX, SPANS_FLUSH_MS, SPANS_HELD_MAX
from harness.hop_stage import Play, ProbeSettings, Upstream, raw, whole
from harness.net import MemoryNetwork
from hop.log import make_log
from hop.metrics import Metrics
from hop.otlp import EVERY_S, Exporter
from hop.otlp_json import encode
from hop.settings import load
from hop.spans import Span
from hop.tracing import CallIds

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TAKEN = whole(200, {})


@define
class Sending:
    """An exporter that runs, its collector and what it logs."""

    exporter: Exporter
    collector: Upstream
    out: io.StringIO

    def end_spans(self, count: int) -> None:
        spans = self.exporter.spans(lambda digits: "1" * digits)
        for number in range(count):
            ids = CallIds("r", TRACE, "01", CALLER)
            Span(spans, f"part {number}", "server", ids.trace_id, ids.parent_id, "01").end()

    def sent(self) -> list[list[str]]:
        """The names in each batch that the collector was sent."""
        return [[span.name for span in spans_in(it.body)] for it in self.collector.asked]

    def counted(self) -> tuple[float, float]:
        """How many spans were sent and dropped."""
        read = self.exporter.metrics.registry.get_sample_value
        labels = ({"service": "probe", "outcome": outcome} for outcome in ("sent", "dropped"))
        sent, dropped = (read("bsl_spans_total", it) or 0 for it in labels)
        return sent, dropped

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


@asynccontextmanager
async def sending(play: Play, headers: str = "") -> AsyncIterator[Sending]:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/",
        "OTEL_EXPORTER_OTLP_HEADERS": headers,
    }
    out, collector = io.StringIO(), Upstream(play)
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(nursery)
        network.listen("collector", collector.serve)
        settings, _ = load(ProbeSettings, environ)
        exporter = Exporter.of(settings, make_log("probe", "debug", out), Metrics("probe"))
        assert exporter is not None
        exporter.transport = network.transport()
        async with exporter.running():
            yield Sending(exporter, collector, out)
        assert network.links == [] or all(link.client.closed for link in network.links)
        nursery.cancel_scope.cancel()


def spans_in(body: bytes) -> Sequence[TheirSpan]:
    """The spans of a request, read strictly. Its ids are hex where protobuf's own are base64."""
    asked = json.loads(body)
    for resource in asked["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    request = json_format.ParseDict(asked, ExportTraceServiceRequest())
    (resource,) = request.resource_spans
    names = {it.key: it.value.string_value for it in resource.resource.attributes}
    assert names == {"service.name": "probe", "service.namespace": "bsl"}
    (scope,) = resource.scope_spans
    spans: Sequence[TheirSpan] = scope.spans
    return spans


def one_span(now: Callable[[], float]) -> Span:
    log = make_log("probe", "info", io.StringIO())
    exporter = Exporter("probe", "http://c/", {}, log, Metrics("probe"), now=now)
    spans = exporter.spans(lambda digits: "ab12" * (digits // 4))
    span = Span(spans, "chat m", "client", TRACE, CALLER, "01")
    for value in ("text", 7, 0.5, True, ("stop",)):
        span.set(f"bsl.{type(value).__name__}", value)
    span.failed("PROVIDER_TIMEOUT")
    span.end()
    return span


def test_a_span_is_what_the_protocol_says_it_is() -> None:
    times = iter((1.5, 2.25))
    (span,) = spans_in(encode("probe", [one_span(lambda: next(times))], 1_000_000_000_000))
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
    assert (span.span_id.hex(), span.flags) == ("ab12" * 4, 1)
    assert (span.name, span.kind) == ("chat m", TheirSpan.SPAN_KIND_CLIENT)
    assert span.start_time_unix_nano == 1_001_500_000_000
    assert span.end_time_unix_nano == 1_002_250_000_000
    assert span.status.code == 2
    values = {it.key: it.value for it in span.attributes}
    assert values["bsl.str"].string_value == "text"
    assert values["bsl.int"].int_value == 7
    assert values["bsl.float"].double_value == 0.5
    assert values["bsl.bool"].bool_value is True
    assert [it.string_value for it in values["bsl.tuple"].array_value.values] == ["stop"]
    assert values["error.type"].string_value == "PROVIDER_TIMEOUT"


def test_there_is_no_exporter_when_no_collector_is_named() -> None:
    settings, _ = load(ProbeSettings, {})
    log = make_log("probe", "info", io.StringIO())
    assert Exporter.of(settings, log, Metrics("probe")) is None


async def test_spans_are_sent_in_turn_to_the_standards_path(autojump_clock: MockClock) -> None:
    async with sending(TAKEN, "x-team=a%20b, Authorization=Bearer%20k") as it:
        it.end_spans(2)
        assert it.sent() == [], "a call waits for nothing"
        await trio.sleep(EVERY_S + 0.1)
        (asked,) = it.collector.asked
        assert asked.line == "POST /v1/traces HTTP/1.1"
        assert asked.headers["content-type"] == "application/json"
        assert (asked.headers["x-team"], asked.headers["authorization"]) == ("a b", "Bearer k")
        assert "traceparent" not in asked.headers
        assert it.sent() == [["part 0", "part 1"]]
        assert it.counted() == (2, 0)
    assert it.lines() == []


async def test_a_full_batch_does_not_wait_for_its_turn(autojump_clock: MockClock) -> None:
    async with sending(TAKEN) as it:
        it.end_spans(SPANS_BATCH_MAX + 1)
        await trio.sleep(0.1)
        assert [len(batch) for batch in it.sent()] == [SPANS_BATCH_MAX, 1]


async def test_what_is_left_is_sent_when_the_program_ends(autojump_clock: MockClock) -> None:
    async with sending(TAKEN) as it:
        it.end_spans(3)
    assert [len(batch) for batch in it.sent()] == [3]
    assert it.counted() == (3, 0)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_was_not_taken_is_sent_again_and_said_once(
    autojump_clock: MockClock, status: int
) -> None:
    answers = iter([status, status])

    async def play(stream: object) -> None:
        await whole(next(answers, 200), {})(stream)  # type: ignore[arg-type]  # Upstream's own stream

    async with sending(play) as it:
        it.end_spans(1)
        await trio.sleep(3 * EVERY_S + 0.1)
        assert it.sent() == [["part 0"]] * 3
        assert it.counted() == (1, 0)
    assert [line["event"] for line in it.lines()] == ["spans are not taken", "spans are taken"]
    assert it.lines()[0]["detail"] == f"http://collector:4318/v1/traces: HTTP {status}"


@pytest.mark.parametrize("status", [302, 400, 401, 404, 413, 500])
async def test_what_was_refused_is_dropped_and_counted(
    autojump_clock: MockClock, status: int
) -> None:
    async with sending(whole(status, {})) as it:
        it.end_spans(2)
        await trio.sleep(EVERY_S * 3)
        assert it.sent() == [["part 0", "part 1"]]
        assert it.counted() == (0, 2)
    assert [line["event"] for line in it.lines()] == ["spans are not taken"]


@pytest.mark.parametrize("play", [raw("reset"), raw("eof"), raw("hang"), raw(b"nonsense\r\n\r\n")])
async def test_a_broken_collector_costs_a_bounded_queue_and_no_time(
    autojump_clock: MockClock, play: Play
) -> None:
    async with sending(play) as it:
        for _ in range(5):
            began = trio.current_time()
            it.end_spans(SPANS_HELD_MAX)
            assert trio.current_time() == began
            await trio.sleep(20)
        assert it.counted() == (0, 4 * SPANS_HELD_MAX)
        assert len(it.collector.asked) < 30, "it is not asked again and again"
        began = trio.current_time()
    assert trio.current_time() - began <= SPANS_FLUSH_MS / 1000 + 1e-6
    assert [line["event"] for line in it.lines()] == ["spans are not taken"]


async def test_a_span_that_can_not_be_written_ends_nothing_but_itself(
    autojump_clock: MockClock,
) -> None:
    async with sending(TAKEN) as it:
        bad = one_span(trio.current_time)
        bad.flags = "no flags"
        it.exporter.keep(bad)
        await trio.sleep(EVERY_S + 0.1)
        it.end_spans(1)
        await trio.sleep(EVERY_S + 0.1)
        assert it.sent() == [["part 0"]]
        assert it.counted() == (1, 1)
    assert it.lines()[0]["event"] == "unforeseen"
