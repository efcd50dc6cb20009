"""What can be seen from outside is what the handbook, the dashboard and the standard say.

A few calls are played through the chain, in both modes and with things going wrong. The metrics
and spans that come of them are then held against docs/operating.md, compose/observability and
OpenTelemetry's own list of names, in both directions.
"""

import importlib
import json
import pkgutil
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from math import inf
from pathlib import Path

import opentelemetry.semconv.attributes as stable
import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from contracts.reasons import ReasonCode
from harness.checkers.telemetry import waiting_is_counted
from harness.evidence import PROGRAMS, Evidence
from harness.plans import from_json
from harness.play import run
from harness.telemetry import SpanTold
from hop import metrics as hop_metrics
from llmgw import gen_ai
from llmgw.config import GatewaySettings
from llmgw.providers.port import ModelCall, UsageReport

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/operating.md").read_text("utf-8")
DASHBOARD = json.loads((ROOT / "compose/observability/dashboard.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ONE_CALL = '{"calls": [{}]}'
MANY = """{"calls": [
    {"model": "status-503-busy", "model_times": 1},
    {"topic": 1, "at_s": 5, "stream": false},
    {"topic": 2, "at_s": 10, "client": "unknown-key"},
    {"topic": 3, "at_s": 15, "search": "nothing"},
    {"topic": 4, "at_s": 20, "model": "finish-length"}
]}"""
# Prometheus's own, of the target and not of the program.
_OF_PROMETHEUS = {"up"}
_METRIC = re.compile(r"\b(?:bsl|gen_ai_client)_[a-z_]+\b")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


@cache
def played(plan: str) -> Evidence:
    return run(from_json(plan))


def base(name: str) -> str:
    """A metric's own name: histograms have several samples."""
    return _SUFFIX.sub("", name)


def metrics_there_are() -> set[str]:
    told = played(MANY).told.values()
    spans = {"bsl_spans_total"}  # counted where a collector is named
    names = {name for it in told for name, _ in it.figures if not name.endswith("_created")}
    return spans | {base(name) for name in names}


def labels_in(text: str) -> set[str]:
    """What stands in braces after a metric's name."""
    return {
        label for labels in re.findall(r"\b\w+\{([a-z_,]+)\}", text) for label in labels.split(",")
    }


def expressions() -> list[str]:
    return [target["expr"] for panel in PANELS for target in panel["targets"]]


# The handbook.


def test_handbook_names_every_metric_and_no_other() -> None:
    table = PAGE[PAGE.index("### Which metrics there are") : PAGE.index("### What to alert on")]
    assert {base(name) for name in _METRIC.findall(table)} == metrics_there_are()
    assert {base(name) for name in _METRIC.findall(PAGE)} <= metrics_there_are()


def test_handbook_names_every_label_and_no_other() -> None:
    told = played(MANY).told.values()
    found = {label for it in told for _, labels in it.figures for label, _ in labels}
    assert labels_in(PAGE) == found | {"outcome"}


def tree_of(spans: Sequence[SpanTold]) -> Iterator[str]:
    """Each span below the one it hangs on, in the order in which they began."""
    order = sorted(spans, key=lambda it: (it.began, PROGRAMS.index(it.program)))

    def below(parent_id: str, depth: int) -> Iterator[str]:
        for span in order:
            if span.parent_id == parent_id:
                yield f"{span.program:6}{'  ' * depth}{span.name}".ljust(50) + span.kind
                yield from below(span.span_id, depth + 1)

    yield from below("", 0)


def of_one_call() -> Evidence:
    """The world of one call, without the one that asks whether all is well."""
    return played(ONE_CALL)


def test_handbook_shows_the_spans_of_one_call() -> None:
    told = of_one_call().told
    (first,) = {
        span.trace_id
        for it in told.values()
        for span in it.spans
        if span.attributes.get("bsl.request_id") == "call-0"
    }
    spans = [span for it in told.values() for span in it.spans if span.trace_id == first]
    assert "\n".join(tree_of(spans)) in PAGE


def test_handbook_shows_the_lines_of_one_call() -> None:
    """The same programs, in the same order, with the same events and keys."""
    shown = re.search(r"### One call in the logs\n.*?```json\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    lines = json.loads(f"[{shown[1].replace('}', '},').strip().rstrip(',')}]")
    logged = [
        (program, line["event"], list(line))
        for program in ("llmgw", "qs", "bff")
        for line in of_one_call().logs[program]
        if line["request_id"] == "call-0"
    ]
    assert [(it["service"], it["event"], list(it)) for it in lines] == logged
    assert len({(it["trace_id"], it["request_id"]) for it in lines}) == 1


def test_handbook_shows_the_metrics_of_one_call() -> None:
    """Each sample that the call set going in the gateway, but for buckets."""
    shown = re.search(r"### One call in the metrics\n.*?```text\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    names = set(re.findall(r"^(\w+)\{", shown[1], re.MULTILINE))
    moved = {
        name
        for (name, _), value in of_one_call().told["llmgw"].figures.items()
        if value and not name.endswith(("_created", "_sum"))
    }
    assert names == moved


@pytest.mark.parametrize("name", ["bsl.", "gen_ai.", "http.", "url.", "server.", "error."])
def test_handbook_names_every_attribute_of_spans_and_no_other(name: str) -> None:
    table = PAGE[PAGE.index("### Which attributes spans have") :].partition("\n### ")[0]
    shown = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", table))
    assert {it for it in shown if it.startswith(name)} == {
        it for it in attributes_there_are() if it.startswith(name)
    }


def test_a_call_is_all_waiting_where_work_takes_no_time() -> None:
    told = played(MANY)
    assert list(waiting_is_counted(told)) == []
    for it in told.told.values():
        assert it.total("bsl_overhead_seconds_count") > 0
        assert it.total("bsl_request_duration_seconds_sum") > 0


# The dashboard.


def test_dashboard_asks_for_every_metric_and_no_other() -> None:
    asked = {base(name) for expr in expressions() for name in _METRIC.findall(expr)}
    assert asked == metrics_there_are()


def test_dashboard_asks_by_labels_that_there_are() -> None:
    known = {*hop_metrics.LABELS, "gen_ai_token_type", "error_type", "le", "job", "instance"}
    for panel in PANELS:
        for target in panel["targets"]:
            by = re.findall(r"\bby \(([a-z_, ]+)\)", target["expr"])
            of = re.findall(r"[{,]\s*([a-z_]+)\s*(?:=|!=|=~)\s*\"", target["expr"])
            shown = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            used = {*of, *shown, *(label.strip() for labels in by for label in labels.split(","))}
            assert used <= known, panel["title"]


def test_dashboard_has_what_an_operator_asks_first() -> None:
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    assert {
        "Calls by status", "Reason codes", "Time to first delta", "Gaps between deltas",
        "Slots and queue", "Open upstream streams", "Overhead",
    } <= set(titles)  # fmt: skip
    assert all(panel["description"] for panel in PANELS)


def test_every_reason_code_has_its_panel() -> None:
    words = tomllib.loads((ROOT / "docs/reason-codes.toml").read_text("utf-8"))
    named = {
        code: told["panel"]
        for page in words["page"]
        for section in page["section"]
        for code, told in section["code"].items()
    }
    assert set(named) == set(ReasonCode)
    assert set(named.values()) <= {panel["title"] for panel in PANELS}


def test_handbook_names_every_panel() -> None:
    section = PAGE[PAGE.index("## The dashboard") :].partition("\n## ")[0]
    assert set(re.findall(r"^\| (.+?) \|", section, re.MULTILINE)) - {"panel", "---"} == {
        panel["title"] for panel in PANELS
    }


# OpenTelemetry's names.


def constants(module: object) -> set[str]:
    return {value for value in vars(module).values() if isinstance(value, str)}


def standard_attributes() -> set[str]:
    modules = [
        importlib.import_module(f"{stable.__name__}.{found.name}")
        for found in pkgutil.iter_modules(stable.__path__)
    ]
    return set().union(*map(constants, [*modules, gen_ai_attributes]))


def attributes_there_are() -> set[str]:
    spans = [span for it in played(MANY).told.values() for span in it.spans]
    faults = {"error.type"} if any(span.fault for span in spans) else set()
    return faults.union(*(span.attributes for span in spans))


def test_every_attribute_is_the_standards_or_under_our_own_name() -> None:
    strangers = attributes_there_are() - standard_attributes()
    assert strangers == {it for it in attributes_there_are() if it.startswith("bsl.")}
    assert {
        "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model",
        "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
    } <= attributes_there_are()  # fmt: skip


def values_of(name: str) -> set[object]:
    spans = [span for it in played(MANY).told.values() for span in it.spans]
    return {span.attributes[name] for span in spans if name in span.attributes}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gen_ai.operation.name", gen_ai_attributes.GenAiOperationNameValues),
        ("gen_ai.provider.name", gen_ai_attributes.GenAiProviderNameValues),
        ("gen_ai.output.type", gen_ai_attributes.GenAiOutputTypeValues),
    ],
)
def test_values_are_the_standards_words(name: str, words: type[Enum]) -> None:
    found = values_of(name)
    assert found and found <= {word.value for word in words}


def test_a_model_calls_span_is_named_as_the_standard_says() -> None:
    spans = [
        span
        for span in played(MANY).told["llmgw"].spans
        if "gen_ai.operation.name" in span.attributes
    ]
    assert spans
    for span in spans:
        about = span.attributes
        assert span.name == f"{about['gen_ai.operation.name']} {about['gen_ai.request.model']}"
        assert span.kind == "client"
        assert {"server.address", "server.port"} <= set(about)


def test_metrics_of_the_model_have_the_standards_names() -> None:
    found = {name for name in metrics_there_are() if name.startswith("gen_ai_")}
    theirs = {name.replace(".", "_") for name in constants(gen_ai_metrics)}
    assert {name.removesuffix("_seconds") for name in found} <= theirs


# The boundaries stand in the conventions' pages; the package does not have them.
BOUNDARIES: Mapping[str, Sequence[float]] = {
    "gen_ai_client_token_usage": [4**power for power in range(14)],
    "gen_ai_client_operation_duration_seconds": [0.01 * 2**power for power in range(14)],
    "bsl_request_duration_seconds": [0.01 * 2**power for power in range(14)],
    "bsl_time_to_first_delta_seconds": [
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    ],
    "bsl_delta_gap_seconds": [
        0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDARIES)
def test_buckets_are_the_standards(name: str) -> None:
    metrics = hop_metrics.Metrics("llmgw")
    call = ModelCall("m", (), max_tokens=1, temperature=0.0, stream=True, schema=None)
    with gen_ai.ModelFigures(GatewaySettings(), metrics).asking(call, lambda: 0.0) as asking:
        asking.heard(UsageReport(1, 2))
    buckets = re.findall(rf"^{name}_bucket{{(.*)}} ", metrics.exposition().decode(), re.MULTILINE)
    found = dict.fromkeys(float(re.findall(r'le="([^"]+)"', labels)[0]) for labels in buckets)
    assert [*found][:-1] == pytest.approx(list(BOUNDARIES[name]))
    assert [*found][-1] == inf
