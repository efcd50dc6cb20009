"""Goal: the handbook's table names every variable of every program, as the code has it."""

import re
from pathlib import Path

import pytest

from fakes.openai_compat_server.options import parse_options
from hop.settings import variables_of
from scripts.write_settings import PAGE, SERVICES, main

TABLE = PAGE.read_text("utf-8")
ROWS = re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \| ([^|]+) \| (.+) \|$", TABLE, re.MULTILINE)


def test_page_is_what_the_code_says() -> None:
    assert main(["--check"]) == 0, "run `make settings-table`"


def test_every_variable_of_every_program_stands_in_one_row() -> None:
    known = {v.name for kind in SERVICES.values() for v in variables_of(kind).values()}
    fake = {"FAKE_HOST", "FAKE_PORT", "FAKE_SEED", "FAKE_DIALECT"}
    assert sorted(name for name, *_ in ROWS) == sorted(known | fake)
    assert all(about.strip() for *_, about in ROWS)


def test_row_says_which_programs_read_it() -> None:
    readers = {name: programs for name, programs, *_ in ROWS}
    for name, programs in readers.items():
        reading = [
            program for program, kind in SERVICES.items()
            if name in {v.name for v in variables_of(kind).values()}
        ]  # fmt: skip
        assert programs == (", ".join(reading) or "the fake"), name


def test_defaults_of_the_fake_are_the_fakes() -> None:
    told = {
        name: default.strip("`") for name, programs, default, _ in ROWS if programs == "the fake"
    }
    usual = parse_options([], {})
    assert told == {
        "FAKE_HOST": usual.host,
        "FAKE_PORT": str(usual.port),
        "FAKE_SEED": str(usual.seed),
        "FAKE_DIALECT": usual.dialect.name,
    }


def test_stale_page_is_named_and_put_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "settings.md"
    page.write_text("# Old\n", "utf-8")
    assert main(["--check"], page) == 1
    assert "make settings-table" in capsys.readouterr().err
    assert page.read_text("utf-8") == "# Old\n"
    assert main([], page) == 0
    assert page.read_text("utf-8") == TABLE
