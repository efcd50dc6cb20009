"""Goal: the command line says what is wrong with it in one line.

Method: arguments and a mapping in; options, or exit status and text, out.
"""

import re
import sys
from pathlib import Path

import pytest

from fakes.openai_compat_server import Latency
from fakes.openai_compat_server.dialects import OPENAI
from fakes.openai_compat_server.options import Options, parse_options, program_name


def test_defaults_are_a_working_server() -> None:
    usual = Options("127.0.0.1", 8020, 0, "extractive", Latency(0.08, 0.008), False, OPENAI)
    assert parse_options([], {}) == parse_options(["serve"], {"FAKE_PORT": " "}) == usual
    assert usual == Options()


def test_serving_is_meant_when_no_command_is_named() -> None:
    options = ["--port", "1", "--persona", "echo"]
    assert parse_options(options, {}) == parse_options(["serve", *options], {})


def test_a_window_is_given_in_tokens() -> None:
    assert parse_options(["--window-tokens", "512"], {}).window_tokens == 512
    assert parse_options([], {}).window_tokens is None


def test_arguments_win_over_the_environment() -> None:
    environment = {"FAKE_HOST": "::1", "FAKE_PORT": "1", "FAKE_SEED": "-3"}
    options = parse_options(["--port", "2", "--persona", "echo", "--quiet"], environment)
    assert options == Options("::1", 2, -3, "echo", Latency(), True, OPENAI)
    assert parse_options(["serve", "--latency=ttft=1s"], {}).latency == Latency(1.0, 0.008)


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (["--port", "x"], {}, "--port"),
        (["--port", "65536"], {}, "--port"),
        (["--port", "-1"], {}, "--port"),
        (["--seed", "1.5"], {}, "--seed"),
        (["--persona", "poet"], {}, "--persona"),
        (["--latency", "fast"], {}, "--latency"),
        (["--scenario", "stal"], {}, "Near names: stall"),
        (["--scenario", "stall?for=3"], {}, "'for' of 'stall'"),
        (["--json"], {}, "--json"),
        (["serve", "--json"], {}, "--json"),
        (["scenarios", "--port", "1"], {}, "--port"),
        (["--window-tokens", "0"], {}, "1 or more"),
        (["--window-tokens", "-1"], {}, "1 or more"),
        (["scenarios", "--json", "--markdown"], {}, "--markdown"),
        (["--admin", "--host", "0.0.0.0"], {}, "--admin is for loopback only"),  # noqa: S104  (refused)
        (["--admin", "--host", "::"], {}, "--admin is for loopback only"),
        (["--admin"], {"FAKE_HOST": "example.com"}, "--admin is for loopback only"),
        (["--tls-ca", "ca.pem"], {}, "--tls-ca goes with --tls"),
        (["--tls-host", "model"], {}, "--tls-host goes with --tls"),
        (["dance"], {}, "dance"),
        (["--nonsense"], {}, "--nonsense"),
        ([], {"FAKE_PORT": "http"}, "FAKE_PORT"),
        ([], {"FAKE_SEED": "a"}, "FAKE_SEED"),
        (["--dialect", "klingon"], {}, "--dialect"),
        ([], {"FAKE_DIALECT": "klingon"}, "FAKE_DIALECT"),
    ],
)
def test_one_line_names_what_is_wrong(
    arguments: list[str],
    environment: dict[str, str],
    named: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        parse_options(arguments, environment)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert named in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["stall?after=3", "refused", "ok"])
def test_a_scenario_is_played_for_all(name: str) -> None:
    assert parse_options(["--scenario", name], {}).scenario == name


def test_scenarios_are_listed_in_a_form_and_by_words() -> None:
    listings = [parse_options(["scenarios", *form], {}).listing for form in ([], ["--json"])]
    assert listings == ["text", "json"]
    assert parse_options(["scenarios", "429", "wait", "--json"], {}).words == ("429", "wait")
    assert parse_options(["serve"], {}).listing == ""


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse_options(["--version"], {})
    assert left.value.code == 0
    assert re.fullmatch(r"openai-fake of .*\bbsl\b.*\n", capsys.readouterr().out)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
def test_the_admin_face_is_there_when_asked_for_on_loopback(host: str) -> None:
    assert parse_options(["--admin", "--host", host], {}).admin
    assert not parse_options(["--host", host], {}).admin


def test_tls_is_spoken_when_asked_for_and_when_the_scenario_needs_it() -> None:
    assert not parse_options(["--scenario", "stall"], {}).tls
    options = parse_options(["--tls", "--tls-ca=ca.pem", "--tls-host=a", "--tls-host=b"], {})
    assert (options.tls, options.tls_ca, options.tls_hosts) == (True, Path("ca.pem"), ("a", "b"))
    assert parse_options(["--scenario", "tls-expired", "--tls-ca", "ca.pem"], {}).tls


@pytest.mark.parametrize("arguments", [["--tls"], ["--scenario", "tls-wrong-host"]])
def test_what_to_install_is_said_when_tls_can_not_be_spoken(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(SystemExit) as left:
        parse_options(arguments, {})
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert "pip install '.[fake,tls]'" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("started_as", "program"),
    [
        ("/srv/fakes/openai_compat_server/__main__.py", "python -m fakes.openai_compat_server"),
        ("/usr/local/bin/openai-fake", "openai-fake"),
        ("openai-fake.exe", "openai-fake"),
    ],
)
def test_the_program_is_called_what_it_was_started_as(
    started_as: str, program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--help"], ["scenarios", "--help"], ["serve", "--help"], ["--port", "x"]):
        with pytest.raises(SystemExit):
            parse_options(arguments, {}, program_name(started_as))
    said = capsys.readouterr()
    assert said.out.startswith(f"usage: {program} [serve] [options]\n")
    assert f"\n  {program} serve --port 8020" in said.out
    assert f"\n  {program} scenarios 429" in said.out
    assert f"usage: {program} serve [options]\n" in said.out
    assert said.err.startswith(f"{program} serve: ")
    other = {"python -m fakes.openai_compat_server", "openai-fake"} - {program}
    assert not any(name in said.out + said.err for name in other)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], "serve scenarios --version /v1/chat/completions /v1/completions /v1/embeddings "
             "/v1/models /health"),
        (["serve"], "--host --port --seed --persona --dialect --latency --window-tokens --script "
                    "--scenario --tls --tls-ca --tls-host --quiet --admin FAKE_PORT prefill"),
        (["scenarios"], "WORD --json --markdown"),
    ],
)  # fmt: skip
def test_help_explains_a_command(
    command: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        parse_options([*command, "--help"], {})
    assert left.value.code == 0
    said = capsys.readouterr().out
    for word in words.split():
        assert word in said
