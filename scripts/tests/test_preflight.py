"""What preflight says about a machine that lacks something: one line each, all at once."""

import ast
import re
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts import ports, preflight


@pytest.mark.parametrize("module", ["__init__", "preflight", "ports"])
def test_source_parses_on_python_3_6(module: str) -> None:
    source = Path(preflight.__file__).with_name(f"{module}.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))


def test_old_interpreter_is_named_with_what_was_found() -> None:
    (line,) = preflight.interpreter_problems((3, 9, 2), "/usr/bin/python3")
    assert line.startswith("Python 3.11 or newer is needed; /usr/bin/python3 is 3.9.2: ")
    assert re.search(r": (install one, then )?call make with PYTHON=python3\.1\d$", line)
    assert preflight.interpreter_problems((3, 11, 0), "python3") == []


def test_venv_is_complete_here() -> None:
    assert preflight.venv_problems((3, 11, 0)) == []


def test_little_space_is_named_in_megabytes() -> None:
    (line,) = preflight.space_problems(12_500_000, 500, Path("/here"))
    assert line == "/here has 12 MB free and 500 MB are needed: make some room"
    assert preflight.space_problems(500_000_000, 500, Path("/here")) == []


def test_settings_file_is_read_as_the_programs_read_it() -> None:
    lines = [
        "# BFF_PORT=1",
        "BFF_PORT=9088",
        "export QS_PORT = '9001'",
        'LLMGW_PORT="9010" # why',
        "FAKE_PORT=9020 # why",
        "no setting",
        "LLM_BASE_URL=",
    ]
    assert preflight.read_settings(lines) == {
        "BFF_PORT": "9088",
        "QS_PORT": "9001",
        "LLMGW_PORT": "9010",
        "FAKE_PORT": "9020",
        "LLM_BASE_URL": "",
    }


@pytest.mark.parametrize("text", ["80a8", "0", "65536", "-1"])
def test_port_that_is_none_is_named(text: str) -> None:
    (line,) = preflight.port_problems({"BFF_PORT": text} | other_ports("BFF_PORT"))
    assert line == f"BFF_PORT is {text!r}: a port is a number from 1 to 65535"


def test_port_given_twice_is_named_once() -> None:
    twice = other_ports("BFF_PORT")
    (line,) = preflight.port_problems(twice | {"BFF_PORT": twice["QS_PORT"]})
    assert line.startswith("QS_PORT and BFF_PORT are both ")


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({}, True),
        ({"LLM_BASE_URL": ""}, True),
        ({"LLM_BASE_URL": "http://127.0.0.1:11434/v1"}, False),
        ({"LLM_PROVIDER": "toy"}, False),
    ],
)
def test_fake_is_started_only_where_no_other_model_answers(
    settings: dict[str, str], starts: bool
) -> None:
    assert ports.starts_fake(settings) is starts


@pytest.mark.parametrize("llm", ["", "llamacpp", "http://127.0.0.1:1/v1", "HTTPS://box/v1"])
def test_llm_that_can_be_used_is_no_problem(llm: str) -> None:
    assert ports.llm_problems({"LLM": llm}) == []


@pytest.mark.parametrize(
    "llm",
    ["ollama", "llama.cpp", "LLAMACPP", "127.0.0.1:11434", "ftp://a/v1", "http://", "http://a b"],
)
def test_llm_that_names_no_server_is_named(llm: str, tmp_path: Path) -> None:
    found = preflight.problems("run", tmp_path, {"LLM": llm} | other_ports())
    assert found[0].startswith(f"LLM is {llm!r}: it is `llamacpp` for llama.cpp's own server ")
    assert len(found) == 1


def test_a_port_counts_only_where_its_program_is_started() -> None:
    taken = other_ports() | {"LLAMACPP_PORT": "x", "FAKE_PORT": "y"}
    (line,) = preflight.port_problems(taken)
    assert line.startswith("FAKE_PORT is 'y'")
    (line,) = preflight.port_problems(taken | {"LLM": "llamacpp"})
    assert line.startswith("LLAMACPP_PORT is 'x'")


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    (tmp_path / ".env.local").write_text("BFF_PORT=x\nQS_PORT=y\n")
    found = preflight.problems(
        "run", tmp_path, {"QS_PORT": "z"} | other_ports("BFF_PORT", "QS_PORT")
    )
    assert [line.split(":")[0] for line in found] == ["BFF_PORT is 'x'", "QS_PORT is 'z'"]


def other_ports(*but: str) -> dict[str, str]:
    """Ports that nobody has, so that whatever runs beside these tests does not disturb them."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in ports.PORTS]
        numbers = [str(probe.getsockname()[1]) for probe in probes]
    named = zip((variable for variable, _, _ in ports.PORTS), numbers, strict=True)
    return {variable: port for variable, port in named if variable not in but}
