"""Running a program: what it says of itself, and how it refuses to start."""

import json
from io import StringIO
from typing import ClassVar

import pytest
from attrs import frozen
from quart import Response

from contracts.chat import ChatRequest
from harness.hop_stage import ProbeSettings, probe
from hop.incoming import Call, Received
from hop.log import make_log
from hop.run import run, serving_limits
from hop.settings import load, name, port, setting, variables_of


@frozen
class Settings(ProbeSettings):
    """A probe that can be told where to listen."""

    ABOUT: ClassVar[str] = "Nothing: 100 % of it."
    NAMESPACES: ClassVar[tuple[str, ...]] = ("PROBE_",)

    host: str = setting("PROBE_HOST", "127.0.0.1", name, "the address")
    port: int = setting("PROBE_PORT", 0, port, "the port")


async def never(_: Call, __: Received[ChatRequest]) -> Response:
    raise AssertionError


def test_help_names_every_variable_and_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        run(Settings, probe(never), {}, ["--help"])
    said = capsys.readouterr().out
    assert exited.value.code == 0
    assert "python -m probe" in said
    assert "Nothing: 100 % of it." in said
    for variable in variables_of(Settings).values():
        assert f"  {variable.name}=" in said
        assert variable.help in said
    assert "LOG_CONTENT=false" in said


def test_an_unknown_argument_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        run(Settings, probe(never), {}, ["--port", "1"])
    assert exited.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_each_unusable_setting_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"PROBE_PORT": "70000", "LOG_LEVEL": "loud", "PROBE_HOST": " ", "BODY_TIMEOUT_MS": ""}
    assert run(Settings, probe(never), environ, []) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("probe: ") for line in lines)
    assert {line.removeprefix("probe: ").partition("=")[0] for line in lines} == set(environ)


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "nosuch.invalid"])
def test_a_host_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str], host: str) -> None:
    assert run(Settings, probe(never), {"PROBE_HOST": host}, []) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("probe: ")
    assert err.count("\n") == 1
    assert host in err


def test_what_is_odd_but_usable_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"PROBE_HOST": "a..b", "PROBE_HOTS": "x", "OTHER": "y"}
    assert run(Settings, probe(never), environ, []) == 1
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["level"], line["event"]) == ("warning", "setting ignored")
    assert line["detail"] == "PROBE_HOTS is set but means nothing here"


def test_the_serving_limits_are_the_settings() -> None:
    environ = {"CLIENT_STALL_TIMEOUT_MS": "1500", "DRAIN_TIMEOUT_MS": "2500"}
    limits = serving_limits(load(Settings, environ)[0])
    assert (limits.stall_s, limits.drain_s) == (1.5, 2.5)


def test_a_log_line_can_be_written_whatever_the_outputs_encoding() -> None:
    out = StringIO()
    make_log("probe", "info", out).info("x", path="/\u20ac\ud800\n")
    assert out.getvalue().isascii()
    assert out.getvalue().count("\n") == 1
    assert json.loads(out.getvalue())["path"] == "/\u20ac\ud800\n"
