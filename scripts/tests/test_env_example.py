"""`.env.example` says exactly what the programs read: every variable, with its default."""

import re
from io import StringIO

import pytest
from dotenv import dotenv_values

from bff.config import BffSettings
from hop.settings import HopSettings, variables_of
from llmgw.config import GatewaySettings
from qs.config import QueryServiceSettings
from scripts.local_settings import ROOT
from scripts.preflight import read_settings

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
LINES = [line[2:] for line in EXAMPLE.splitlines() if re.match(r"# [A-Z_]+=", line)]
SHOWN = read_settings(LINES)
FAKE = {"FAKE_DIALECT", "FAKE_HOST", "FAKE_PORT", "FAKE_SEED"}
LLAMACPP = {"LLAMACPP_HOST", "LLAMACPP_PORT"}
SERVICES = (BffSettings, QueryServiceSettings, GatewaySettings)


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_is_shown_with_its_default(service: type[HopSettings]) -> None:
    for variable in variables_of(service).values():
        default = variable.default
        text = str(default).lower() if isinstance(default, bool) else str(default)
        assert SHOWN.get(variable.name) == text, variable.name


def test_nothing_is_shown_that_no_program_reads() -> None:
    known = {v.name for service in SERVICES for v in variables_of(service).values()}
    assert set(SHOWN) - known == FAKE | LLAMACPP


def test_file_as_it_stands_sets_nothing() -> None:
    assert dotenv_values(ROOT / ".env.example") == {}


def test_preflight_reads_it_as_dotenv_does() -> None:
    assert dotenv_values(stream=StringIO("\n".join(LINES)), interpolate=False) == SHOWN
