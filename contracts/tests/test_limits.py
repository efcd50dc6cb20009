"""Goal: the caps and limits are those of the page, and each says its unit."""

import re
from pathlib import Path

from contracts import limits

PAGE = (Path(limits.__file__).parents[1] / "docs" / "contract.md").read_text("utf-8")
NAMED = {name: value for name, value in vars(limits).items() if name.isupper()}
UNITS = ("BYTES", "CHARS", "MS", "MAX", "MIN", "DEFAULT", "MESSAGES", "CHUNKS", "LISTED", "DEPTH")


def test_default_is_the_pages_when_the_page_names_it() -> None:
    section = PAGE.partition("## 6.")[2].partition("## 7.")[0]
    told = dict(re.findall(r"`([A-Z_]+)` ([0-9]+(?:,[0-9]+)*)", section))
    named = {name: int(value.replace(",", "")) for name, value in told.items() if name in NAMED}
    assert len(named) >= 12
    assert named == {name: NAMED[name] for name in named}


def test_cap_is_the_pages_when_the_page_names_it() -> None:
    section = PAGE.partition("## 5.")[2].partition("## 6.")[0]
    told = dict(re.findall(r"`([A-Z_]+)`\s+([0-9]+(?:,[0-9]+)*)", section))
    expected = {"HOLD_MAX_CHARS": "4,096", "GUARD_HOLD_CHARS": "256", "ANSWER_MAX_CHARS": "8,192"}
    assert told == expected | {"CITATIONS_MAX": "6"}
    for name, value in told.items():
        assert NAMED[name] == int(value.replace(",", ""))


def test_name_ends_in_its_unit() -> None:
    assert [name for name in NAMED if not name.endswith(UNITS)] == []
