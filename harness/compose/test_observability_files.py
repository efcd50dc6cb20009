"""Goal: what watches the stack comes up beside it, finds it, and is reached from here alone.

Method: the real Compose resolves both files; what Prometheus and Grafana read is held against that.
"""

import re
from typing import Final, cast

import pytest

from harness.compose.resolved import PROFILES, WHOLE, Compose, Service, environment
from harness.tidy import ROOT

FOLDER: Final = ROOT / "compose/observability"
OURS: Final = ("bff", "qs", "llm-gateway-service")
WATCHERS: Final = ("prometheus", "grafana", "jaeger")
EXACT: Final = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+")


def services(compose: Compose, profile: str = "fake") -> dict[str, Service]:
    config = compose.config(WHOLE, profile, watched=True)
    return cast(dict[str, Service], config["services"])


@pytest.mark.parametrize("profile", PROFILES[WHOLE])
def test_watchers_come_up_beside_the_stack(compose: Compose, profile: str) -> None:
    found = services(compose, profile)
    assert set(found) > {*OURS, *WATCHERS}
    plain = cast(dict[str, Service], compose.config(WHOLE, profile)["services"])
    for name in plain.keys() - set(OURS):
        assert _placeless(found[name]) == _placeless(plain[name]), "nobody else is changed"


def _placeless(service: Service) -> str:
    """Without the folder that each reading of the files has of its own."""
    return re.sub(r"/tmp\w+", "", repr(service))  # noqa: S108 - a pattern, not a place


def test_each_service_sends_its_spans_to_jaeger(compose: Compose) -> None:
    for name in OURS:
        assert environment(services(compose)[name])["OTEL_EXPORTER_OTLP_ENDPOINT"] == (
            "http://jaeger:4318"
        )


def test_images_are_pinned_and_nothing_more_can_be_reached(compose: Compose) -> None:
    for name in WATCHERS:
        service = services(compose)[name]
        assert EXACT.fullmatch(str(service["image"])), name
        assert service["cap_drop"] == ["ALL"]
        for port in cast(list[dict[str, str]], service.get("ports", [])):
            assert port["host_ip"] == "127.0.0.1", name


def test_every_file_that_is_mounted_is_there(compose: Compose) -> None:
    mounted = [
        str(volume["source"])
        for name in WATCHERS
        for volume in cast(list[dict[str, object]], services(compose)[name].get("volumes", []))
        if volume["type"] == "bind"
    ]
    names = {source.rpartition("/compose/observability/")[2] for source in mounted}
    assert names == {it.name for it in FOLDER.iterdir()} - {"observability.yaml"}


def test_prometheus_asks_each_service_where_it_listens(compose: Compose) -> None:
    text = (FOLDER / "prometheus.yaml").read_text("utf-8")
    assert re.findall(r'"([a-z-]+:[0-9]+)"', text) == [
        "bff:8088", "qs:8001", "llm-gateway-service:8000",
    ]  # fmt: skip
    plain = services(compose)
    assert environment(plain["bff"])["BFF_QS_URL"] == "http://qs:8001"
    assert environment(plain["qs"])["QS_LLM_URL"] == "http://llm-gateway-service:8000"
    assert [it["target"] for it in cast(list[dict[str, object]], plain["bff"]["ports"])] == [8088]


def test_dashboard_and_its_sources_belong_together() -> None:
    sources = (FOLDER / "datasources.yaml").read_text("utf-8")
    assert re.findall(r"uid: (\w+)", sources) == ["prometheus", "jaeger"]
    assert re.findall(r"url: http://(\w+):", sources) == ["prometheus", "jaeger"]
    assert '"uid": "prometheus"' in (FOLDER / "dashboard.json").read_text("utf-8")
