"""Goal: the table in code is the table on the page, column by column."""

import re
from pathlib import Path

import pytest

from contracts import reasons
from contracts.reasons import MessageKey, Modes, NextAction, ReasonCode

PAGE = (Path(reasons.__file__).parents[1] / "docs" / "contract.md").read_text("utf-8")
SECTION = PAGE.partition("## 7.")[2].partition("## 8.")[0]
ROWS = re.findall(r"^\| (?=[A-Z_]+ \|)(.*)$", SECTION, re.MULTILINE)
CELLS = [[cell.strip() for cell in row.split("|")] for row in ROWS]
TABLE = {code: (kind, key, retry) for code, kind, key, retry, *_ in CELLS}


def http_of(kind: str, pattern: str) -> int | None:
    found = re.search(pattern, kind)
    return int(found[1]) if found else None


def test_codes_are_the_pages_in_its_order() -> None:
    assert [code.value for code in ReasonCode] == list(TABLE)
    assert len(TABLE) > 70


@pytest.mark.parametrize("code", ReasonCode)
def test_row_is_the_pages(code: ReasonCode) -> None:
    kind, key, retry = TABLE[code]
    assert re.fullmatch(r"F(?:, E\d{3} elsewhere)?|log|E\d{3}(?: / F after 200)?", kind)
    assert code.http == http_of(kind, r"^E(\d{3})")
    assert code.elsewhere == http_of(kind, r"E(\d{3})")
    # An inner hop's ADMISSION_* becomes a fallback of the same code, says the end of the section.
    assert code.fallback is ("F" in kind or code.startswith("ADMISSION_"))
    assert (code.message or "") == key
    assert code.retry is (retry == "✓")
    assert code.when


def test_fallbacks_that_are_errors_too_are_those_the_page_names() -> None:
    assert "inner hop's ADMISSION_* and INTERNAL_ERROR become a fallback" in SECTION
    both = {code for code in ReasonCode if code.http and code.fallback}
    expected = {code for code in ReasonCode if code.startswith("ADMISSION_")}
    assert both == expected | {ReasonCode.INTERNAL_ERROR}


@pytest.mark.parametrize("key", MessageKey)
def test_next_action_of_a_message_is_the_pages(key: MessageKey) -> None:
    told = dict(re.findall(r"\*\*(\w+)\*\*\s+\([^;]*;\s+(?:next action\s+)?([A-Z_]+)\)", SECTION))
    assert told[key] == key.next_action
    assert key.text[0].isupper()
    assert key.text.endswith(".")


@pytest.mark.parametrize("code", [code for code in ReasonCode if code.message is None])
def test_code_that_is_only_logged_has_no_text(code: ReasonCode) -> None:
    assert (code.http, code.fallback, code.next_action) == (None, False, NextAction.NONE)
    with pytest.raises(ValueError, match="only ever logged"):
        _ = code.text


def test_code_that_can_be_told_has_its_messages_text_and_action() -> None:
    for code in ReasonCode:
        if code.message is not None:
            assert (code.text, code.next_action) == (code.message.text, code.message.next_action)


def test_code_is_its_name_in_json_and_in_text() -> None:
    assert {code.name: code.value for code in ReasonCode} == {code: code for code in TABLE}
    assert f"{ReasonCode.HOP_TIMEOUT}" == "HOP_TIMEOUT"
    assert f"{MessageKey.BUSY}" == "busy"


def test_only_streams_can_stall() -> None:
    streaming = {code for code in ReasonCode if code.modes is Modes.STREAMING}
    assert streaming == {
        ReasonCode.PROVIDER_FIRST_TOKEN_TIMEOUT,
        ReasonCode.PROVIDER_IDLE_TIMEOUT,
        ReasonCode.PROVIDER_NOT_SSE,
        ReasonCode.CLIENT_TOO_SLOW,
    }
