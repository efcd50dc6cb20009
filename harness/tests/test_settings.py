"""Settings: what is read, what is refused and how it is said. Tables in, results out."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.config import BffSettings
from hop.settings import HopSettings, SettingsError, integer, load, number, url, variables_of
from llmgw.config import GatewaySettings
from qs.config import QueryServiceSettings

PROGRAMS: list[type[HopSettings]] = [BffSettings, QueryServiceSettings, GatewaySettings]


def lines_of(kind: type[HopSettings], environ: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(kind, environ)
    return caught.value.lines


@pytest.mark.parametrize("kind", PROGRAMS)
def test_defaults_are_used_when_nothing_is_set(kind: type[HopSettings]) -> None:
    settings, warnings = load(kind, {})
    assert warnings == ()
    for field, variable in variables_of(kind).items():
        assert getattr(settings, field) == variable.default


@pytest.mark.parametrize("kind", PROGRAMS)
def test_defaults_are_readable_by_their_own_parsers(kind: type[HopSettings]) -> None:
    for variable in variables_of(kind).values():
        default = variable.default
        written = str(default).lower() if isinstance(default, bool) else str(default)
        assert variable.parse(written) == default


def test_every_fault_is_listed_when_several_values_are_unusable() -> None:
    lines = lines_of(
        BffSettings,
        {"BFF_PORT": "eighty", "BFF_QS_URL": "localhost:8001", "LOG_CONTENT": "yes"},
    )
    assert len(lines) == 3
    assert any(line.startswith("BFF_PORT='eighty': ") for line in lines)
    assert any(line.startswith("BFF_QS_URL=") for line in lines)
    assert "LOG_CONTENT='yes': must be true or false" in lines


def test_an_unknown_name_is_a_warning_only_in_the_programs_own_namespace() -> None:
    _, warnings = load(GatewaySettings, {"LLM_MODLE": "x", "BFF_NOPE": "1", "PATH": "/bin"})
    assert warnings == ("LLM_MODLE is set but means nothing here",)


def test_contradicting_limits_are_refused_naming_both_when_both_are_explicit() -> None:
    (line,) = lines_of(
        GatewaySettings, {"LLM_TIMEOUT_MS": "4000", "LLM_FIRST_TOKEN_TIMEOUT_MS": "6000"}
    )
    assert "LLM_FIRST_TOKEN_TIMEOUT_MS=6000" in line
    assert "LLM_TIMEOUT_MS=4000" in line


def test_default_limits_shrink_when_the_outer_one_is_short() -> None:
    settings, _ = load(GatewaySettings, {"LLM_TIMEOUT_MS": "1500"})
    assert settings.first_token_timeout_ms == 1500
    assert settings.idle_timeout_ms == 1500
    assert settings.connect_timeout_ms == 1500


def test_a_default_outer_limit_never_grows_when_an_inner_one_is_long() -> None:
    settings, _ = load(GatewaySettings, {"LLM_FIRST_TOKEN_TIMEOUT_MS": "30000"})
    assert settings.timeout_ms == 15_000


def test_a_secret_is_not_shown_when_its_value_is_unusable() -> None:
    for variable in variables_of(GatewaySettings).values():
        if variable.name == "LLM_API_KEY":
            assert "hunter2" not in variable.shown("hunter2")
            return
    raise AssertionError("LLM_API_KEY is gone")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ftp://x",
        "http://",
        "http://x:99999",
        "//x",
        "http://u:p@x",
        "http://:p@x",
        "http://@x",
        "http://x?q=1",
        "http://x:0",
    ],
)
def test_an_address_is_refused_when_it_is_none(value: str) -> None:
    with pytest.raises(ValueError, match="must be an http or https address, like "):
        url(value)


def test_an_address_loses_its_trailing_slash() -> None:
    assert url("http://127.0.0.1:8020/v1/") == "http://127.0.0.1:8020/v1"


@given(st.text(max_size=20))
def test_an_integer_is_plain_digits_in_range_or_refused(value: str) -> None:
    try:
        parsed = integer(1, 500)(value)
    except ValueError as error:
        assert "1" in str(error)
    else:
        assert 1 <= parsed <= 500
        assert value.isascii()
        assert value.isdigit()


@pytest.mark.parametrize("value", ["nan", "inf", "-0.1", "2.1", "x", ""])
def test_a_number_is_refused_when_it_is_out_of_range_or_none(value: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        number(0, 2)(value)
