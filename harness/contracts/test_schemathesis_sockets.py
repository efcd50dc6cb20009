"""Goal: each service keeps to its own OpenAPI document, as a stranger's tool reads it.

Method: Schemathesis against the real processes over real ports: good, bad and missing everything,
by the document that `contracts/openapi.py` makes; the same requests on every run. Of what the
document calls good, only what JSON Schema cannot say may be refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    positive_data_acceptance,
    response_schema_conformance,
)

from contracts import openapi
from contracts.chat import ErrorBody
from contracts.codec import decode
from contracts.reasons import ReasonCode
from harness.stack import Stack, open_stack
from harness.wire_schemas import streamed

DOCUMENTS = {"apt.md": "# Packages\n\nRun `dpkg -S filename` to find which package a file is of.\n"}
CHECKS = {
    # No time left is a status of the page's own (x-deadline-ms: 0), and no failure of the server.
    "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "504"]},
    # A body may keep to every bound of its schema and yet be over its size in bytes.
    # Nor need it arrive within the millisecond that x-deadline-ms gives it.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "408", "413", "504"]},
    "negative_data_rejection": {
        "expected-statuses": ["400", "404", "405", "408", "413", "415", "504"]
    },
}
CONFIG = schemathesis.Config.from_dict(
    {"generation": {"deterministic": True}, "checks": CHECKS, "seed": 1}
)
# What no JSON Schema can say: the documents say it in words, and 1.0 is an integer to JSON Schema.
UNSAYABLE = re.compile(
    "must be empty where session_id is given|must be left out where history is given"
    "|must not be empty where citations are required"
    "|stands more than once|the last message must be the user's"
    "|expected an integer, got a number with a fraction"
)
BY_NAME = {
    service.name: schemathesis.openapi.from_dict(openapi.document(service), config=CONFIG)
    for service in openapi.SERVICES
}
BFF, QS, LLMGW = BY_NAME["bff"], BY_NAME["qs"], BY_NAME["llmgw"]
QUICK = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All four programs, the model server in no hurry to be slow."""
    folder: Path = tmp_path_factory.mktemp("stack")
    with open_stack(folder, DOCUMENTS) as running:
        running.start("fake", "--latency", "ttft=0ms,itl=0ms")
        for name in ("llmgw", "qs", "bff"):
            running.start(name)
        yield running


def keeps_to_its_document(
    case: schemathesis.Case,  # type: ignore[type-arg]  # its parameters are the tool's own
    stack: Stack,
    name: str,
) -> None:
    response = case.call(base_url=f"http://127.0.0.1:{stack[name].port}")
    beside: list[schemathesis.CheckFunction] = []
    if response.status_code == 400 and is_unsayable(response.content):
        beside.append(positive_data_acceptance)
    if (
        response.status_code == 503
        and int(dict(case.headers or {"": ""}).get("x-deadline-ms", "9")) < 5
    ):
        # The time it had was over before the store could be asked.
        assert decode(response.content, ErrorBody).error.code is ReasonCode.STORE_UNAVAILABLE
        beside.extend((positive_data_acceptance, not_a_server_error))
    if response.headers.get("content-type", [""])[0].startswith("text/event-stream"):
        # OpenAPI 3.1 has no schema for one event, so the tool has none to judge it by; we do.
        beside.append(response_schema_conformance)
        streamed(response.content, cited=cited(case.body))
    case.validate_response(response, excluded_checks=beside)


def is_unsayable(body: bytes) -> bool:
    """Whether a refusal names nothing but what no schema can say."""
    details = decode(body, ErrorBody).error.details
    return all(UNSAYABLE.fullmatch(detail.problem) for detail in details)


def cited(body: object) -> bool:
    """Whether the answer to this body has citations."""
    assert isinstance(body, dict)
    return body.get("options", body).get("citations_required", True) is True


@BFF.parametrize()
@QUICK
def test_the_bff_keeps_to_its_document(
    case: schemathesis.Case,  # type: ignore[type-arg]  # its parameters are the tool's own
    stack: Stack,
) -> None:
    keeps_to_its_document(case, stack, "bff")


@QS.parametrize()
@QUICK
def test_qs_keeps_to_its_document(
    case: schemathesis.Case,  # type: ignore[type-arg]  # its parameters are the tool's own
    stack: Stack,
) -> None:
    keeps_to_its_document(case, stack, "qs")


@LLMGW.parametrize()
@QUICK
def test_the_gateway_keeps_to_its_document(
    case: schemathesis.Case,  # type: ignore[type-arg]  # its parameters are the tool's own
    stack: Stack,
) -> None:
    keeps_to_its_document(case, stack, "llmgw")
