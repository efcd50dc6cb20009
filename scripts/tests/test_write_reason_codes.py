"""Goal: the pages of reason codes say what the table says, and what to do about every code."""

import re
import shutil
from pathlib import Path

import attrs
import pytest

from contracts.reasons import ReasonCode
from scripts.write_reason_codes import (
    FOLDER,
    SOURCE,
    PagesError,
    Section,
    Source,
    Words,
    expected,
    main,
    read,
    stale,
)

PAGES = "".join(expected(read(FOLDER)).values())


def test_pages_are_what_the_table_says() -> None:
    assert stale(FOLDER) == [], "run `make reason-codes`"


@pytest.mark.parametrize("code", ReasonCode)
def test_section_says_what_to_do(code: ReasonCode) -> None:
    (section,) = re.findall(rf"^### {code}\n\n(.*?)(?=\n\n#|\Z)", PAGES, re.DOTALL | re.MULTILINE)
    text = " ".join(section.split())
    assert f"`{code}` means that " in text
    assert re.search(rf"What an operator does about `{code}`:\*\* [A-Z].{{20,}}\.$", text)
    assert (f"HTTP status {code.elsewhere}" in text) is bool(code.elsewhere)
    assert ("a fallback" in text) is code.fallback
    assert ("**Tried again:**" in text) is code.retry
    shown = f"the `{code.message}` message; next action `{code.next_action}`"
    assert (shown in text) is (code.message is not None)


def without(section: Section, code: str) -> Section:
    return attrs.evolve(section, code={c: w for c, w in section.code.items() if c != code})


def with_words(section: Section, code: str) -> Section:
    return attrs.evolve(section, code={**section.code, code: Words("x.", "y.", "Tokens")})


def changed(section: Section) -> Source:
    page, *others = read(FOLDER).page
    return Source([attrs.evolve(page, section=[section, *page.section[1:]]), *others])


INPUT = read(FOLDER).page[0].section[0]


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (without(INPUT, "INPUT_INVALID"), "INPUT_INVALID"),
        (with_words(INPUT, "INPUT_UNHEARD_OF"), "INPUT_UNHEARD_OF"),
        (with_words(INPUT, "RAG_TIMEOUT"), "RAG_TIMEOUT"),
    ],
    ids=["without words", "without code", "twice"],
)
def test_words_are_refused_when_they_do_not_fit_the_table(section: Section, told: str) -> None:
    with pytest.raises(PagesError, match=told):
        expected(changed(section))


def test_stale_pages_are_named_and_put_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(FOLDER / SOURCE, tmp_path / SOURCE)
    (tmp_path / "reason-codes.md").write_text("# Old", "utf-8")
    assert main(["--check"], tmp_path) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
