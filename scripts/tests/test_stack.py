"""The plan of programs: what is started, in which order, and what each is told."""

from collections.abc import Mapping

import pytest

from scripts.stack import Plan, drain_warnings, merge, plan, stop_by


def planned(settings: Mapping[str, str]) -> Plan:
    return plan(settings, "python")


def test_environment_wins_over_local_file_and_bare_names_say_nothing() -> None:
    merged = merge({"A": "file", "B": "file", "C": None}, {"A": "environment"})
    assert merged == {"A": "environment", "B": "file"}


def test_defaults_start_all_four_innermost_first() -> None:
    it = planned({})
    assert [program.name for program in it.programs] == ["fake", "llmgw", "qs", "bff"]
    assert it.programs[0].argv == ("python", "-m", "fakes.openai_compat_server", "serve")
    assert [program.ready_url for program in it.programs] == [
        "http://127.0.0.1:8020/health",
        "http://127.0.0.1:8010/ready",
        "http://127.0.0.1:8001/ready",
        "http://127.0.0.1:8088/ready",
    ]


def test_every_program_is_told_the_address_of_the_next() -> None:
    environment = planned(
        {"QS_PORT": "9001", "LLMGW_PORT": "9010", "FAKE_PORT": "9020"}
    ).environment
    assert environment["BFF_QS_URL"] == "http://127.0.0.1:9001"
    assert environment["QS_LLM_URL"] == "http://127.0.0.1:9010"
    assert environment["LLM_BASE_URL"] == "http://127.0.0.1:9020/v1"
    assert environment["LLM_MODEL"] == "extractive"


def test_addresses_that_were_given_are_kept() -> None:
    given = {"BFF_QS_URL": "http://far:1", "LLM_MODEL": "fake:slow", "DRAIN_TIMEOUT_MS": "3000"}
    environment = planned(given).environment
    assert given.items() <= environment.items()


@pytest.mark.parametrize(
    ("text", "warns"), [("", False), ("2000", False), ("2001", True), ("3000", True), ("x", False)]
)
def test_long_drain_is_warned_of(text: str, warns: bool) -> None:
    warnings = drain_warnings(planned({"DRAIN_TIMEOUT_MS": text}).environment)
    assert len(warnings) == warns
    assert all(line.startswith(f"DRAIN_TIMEOUT_MS is {text}, over 2000: ") for line in warnings)


@pytest.mark.parametrize(
    "settings",
    [
        {"LLM_PROVIDER": "toy"},
        {"LLM_BASE_URL": "http://127.0.0.1:11434/v1"},
        {"LLM": "http://127.0.0.1:11434/v1"},
    ],
    ids=["toy", "real server", "real server by LLM"],
)
def test_no_fake_where_another_model_answers(settings: dict[str, str]) -> None:
    it = planned(settings)
    assert [program.name for program in it.programs] == ["llmgw", "qs", "bff"]
    assert "LLM_MODEL" not in it.environment


def test_llamacpp_is_started_first_where_it_is_chosen() -> None:
    it = planned({"LLM": "llamacpp", "LLM_BASE_URL": "http://127.0.0.1:9030/v1"})
    assert [program.name for program in it.programs] == ["llamacpp", "llmgw", "qs", "bff"]
    assert it.programs[0].argv[-4:] == ("--host", "127.0.0.1", "--port", "8030")
    assert it.programs[0].ready_url == "http://127.0.0.1:8030/health"
    assert not it.programs[0].logs_json


def test_empty_setting_counts_as_absent() -> None:
    assert planned({"LLM_BASE_URL": "", "BFF_PORT": ""}) == planned({})


@pytest.mark.parametrize(
    ("host", "called"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("box", "box")],  # noqa: S104 - a setting
)
def test_program_that_listens_everywhere_is_called_on_the_loopback(host: str, called: str) -> None:
    assert planned({"QS_HOST": host}).environment["BFF_QS_URL"] == f"http://{called}:8001"


def test_each_program_may_take_all_but_what_the_later_ones_need() -> None:
    assert stop_by(4, 4.0, 0.25) == (3.25, 3.5, 3.75, 4.0)
    assert stop_by(0, 4.0, 0.25) == ()
