"""What is counted: the names of CONTRACT §8, and labels from closed sets only."""

import re

import pytest
from quart import Response
from trio.testing import MockClock

from contracts.chat import ChatRequest
from contracts.reasons import ReasonCode
from harness.hop_stage import ProbeSettings, chat, open_stage, probe
from hop.app import json_response
from hop.incoming import Call, Outcome, Received, Refusal
from hop.metrics import Metrics

NAMES = {
    "bsl_requests_total",
    "bsl_request_duration_seconds",
    "bsl_time_to_first_delta_seconds",
    "bsl_delta_gap_seconds",
    "bsl_overhead_seconds",
    "bsl_spans_total",
    "bsl_in_flight_calls",
    "bsl_open_upstream_streams",
    "bsl_tokens_total",
}


def series(exposition: str) -> list[tuple[str, dict[str, str]]]:
    """Each sample's name and labels."""
    found = re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", exposition, re.MULTILINE)
    return [
        (name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))) for name, labels in found
    ]


def used() -> Metrics:
    metrics = Metrics("probe")
    metrics.call_ended("ok", None, 0.2, 0.1, 0.002)
    metrics.call_ended("fallback", ReasonCode.RAG_TIMEOUT, 1.5, None, None)
    metrics.delta_gap.observe(0.04)
    metrics.spans("sent", 5)
    metrics.tokens(3, 4)
    metrics.in_flight.inc()
    return metrics


def test_each_figure_has_its_name_and_the_services_label() -> None:
    found = series(used().exposition().decode())
    names = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name, _ in found}
    assert {name.removesuffix("_total") for name in NAMES} == {
        name.removesuffix("_total") for name in names
    }
    assert {labels["service"] for _, labels in found} == {"probe"}
    assert {key for _, labels in found for key in labels} == {
        "service", "status", "reason_code", "kind", "outcome", "le",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("bsl_requests_total", {"status": "ok", "reason_code": ""}, 1),
        ("bsl_requests_total", {"status": "fallback", "reason_code": "RAG_TIMEOUT"}, 1),
        ("bsl_request_duration_seconds_count", {}, 2),
        ("bsl_request_duration_seconds_sum", {}, 1.7),
        ("bsl_time_to_first_delta_seconds_count", {}, 1),
        ("bsl_delta_gap_seconds_sum", {}, 0.04),
        ("bsl_overhead_seconds_count", {}, 1),
        ("bsl_overhead_seconds_sum", {}, 0.002),
        ("bsl_spans_total", {"outcome": "sent"}, 5),
        ("bsl_tokens_total", {"kind": "prompt"}, 3),
        ("bsl_tokens_total", {"kind": "completion"}, 4),
        ("bsl_in_flight_calls", {}, 1),
        ("bsl_open_upstream_streams", {}, 0),
    ],
)
def test_a_figure_counts_what_it_says(name: str, labels: dict[str, str], value: float) -> None:
    found = used().registry.get_sample_value(name, {"service": "probe", **labels})
    assert found == pytest.approx(value)


def test_two_programs_in_one_process_do_not_share_figures() -> None:
    one, other = Metrics("probe"), Metrics("probe")
    one.in_flight.inc()
    assert other.registry.get_sample_value("bsl_in_flight_calls", {"service": "probe"}) == 0


async def in_turn(call: Call, received: Received[ChatRequest]) -> Response:
    """The message says how the call ends."""
    match received.body.message.content:
        case "ok":
            call.outcome = Outcome("ok", None)
        case "refuse":
            raise Refusal(ReasonCode.ADMISSION_QUEUE_FULL, received.body.message.content)
        case _:
            raise RuntimeError
    return json_response(200, {})


async def test_no_label_holds_what_a_client_sent(autojump_clock: MockClock) -> None:
    async with open_stage(ProbeSettings, probe(in_turn)) as stage:
        for number, content in enumerate(["ok", "refuse", "fail", ""] * 5):
            headers = {"x-request-id": f"id-{number}", "user-agent": f"agent-{number}"}
            await stage.post(
                chat(content), f"/chat?odd{number}=1" if number % 3 else "/chat", headers
            )
            await stage.client.get(f"http://hop/path-{number}")
        found = series((await stage.client.get("http://hop/metrics")).text)
    ends = {(s["status"], s["reason_code"]) for name, s in found if name == "bsl_requests_total"}
    assert ends <= {
        ("error", "INPUT_NOT_FOUND"),
        ("ok", ""),
        ("error", "ADMISSION_QUEUE_FULL"),
        ("error", "INTERNAL_ERROR"),
        ("error", "INPUT_INVALID"),
    }
    values = {value for _, labels in found for key, value in labels.items() if key != "le"}
    assert values <= {"probe", "ok", "error", "", "prompt", "completion", *ReasonCode}
