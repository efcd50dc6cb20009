"""Writes the handbook's pages of reason codes: `python -m scripts.write_reason_codes`.

Whatever a program computes with is the table's (`contracts.reasons`): status, message, next step,
retries, modes. What it means, what to do about it and which panel of the dashboard shows it is in
`docs/reason-codes.toml`. With `--check`
nothing is written, the pages that are stale are named, and it exits 1 where there is one.

Refuses (PagesError) a code without its words, and words without their code.
"""

import argparse
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from contracts.codec import structure
from contracts.reasons import MessageKey, Modes, ReasonCode

FOLDER: Final = Path(__file__).parent.parent / "docs"
SOURCE: Final = "reason-codes.toml"
LINE_CHARS: Final = 120

_MODES: Final = {Modes.PLAIN: " Plain only.", Modes.STREAMING: " Streaming only.", Modes.BOTH: ""}


class PagesError(Exception):
    """The words and the table do not fit together."""


@frozen
class Words:
    """What is said of one code: whole sentences, the first of them begun on the page.

    `panel` is the dashboard's to look at first.
    """

    means: str
    advice: str
    panel: str


@frozen
class Section:
    """The codes with one prefix."""

    prefix: str
    title: str
    opening: str
    code: dict[str, Words]


@frozen
class Page:
    """One page; `{messages}` in its opening is where the four messages stand."""

    file: str
    title: str
    opening: str
    section: list[Section]


@frozen
class Source:
    """The whole of `docs/reason-codes.toml`."""

    page: list[Page]


def expected(source: Source) -> dict[str, str]:
    """The text of every page, by name."""
    _must_fit(source)
    return {page.file: "\n\n".join(_page(page)) + "\n" for page in source.page}


def read(folder: Path) -> Source:
    """The words that stand in the folder. Raises ContractViolation for words out of shape."""
    return structure(tomllib.loads((folder / SOURCE).read_text("utf-8")), Source)


def stale(folder: Path) -> list[str]:
    """The names of pages that are missing or different."""
    pages = expected(read(folder))
    return sorted(name for name, text in pages.items() if _found(folder / name) != text)


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.write_reason_codes")
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    only_check = parser.parse_args(arguments).check
    pages = expected(read(folder))
    names = stale(folder)
    for name in names:
        if only_check:
            print(f"stale: {folder.name}/{name} (`make reason-codes` writes it)", file=sys.stderr)
        else:
            (folder / name).write_text(pages[name], "utf-8")
            print(f"wrote {folder.name}/{name}")
    return 1 if names and only_check else 0


def _must_fit(source: Source) -> None:
    sections = [section for page in source.page for section in page.section]
    told = [(section.prefix, code) for section in sections for code in section.code]
    strays = sorted(code for prefix, code in told if not code.startswith(prefix))
    missing = sorted(set(ReasonCode) - {code for _, code in told})
    unknown = sorted({code for _, code in told} - set(ReasonCode))
    twice = len(told) - len({code for _, code in told})
    if strays or missing or unknown or twice:
        raise PagesError(
            f"in the wrong section: {strays}; without words: {missing}; no code: {unknown}; "
            f"told twice: {twice}"
        )


def _page(page: Page) -> Iterator[str]:
    yield f"# {page.title}"
    for paragraph in page.opening.strip().split("\n\n"):
        if paragraph == "{messages}":
            yield "\n".join(_item(_message(key)) for key in MessageKey)
        else:
            yield _wrapped(paragraph)
    for section in page.section:
        yield f"## {section.title}"
        yield _wrapped(section.opening)
        for code in ReasonCode:
            if code in section.code:
                yield from _told(code, section.code[code])


def _message(key: MessageKey) -> str:
    return f"`{key}`, next action `{key.next_action}`: “{key.text}”"


def _told(code: ReasonCode, words: Words) -> Iterator[str]:
    yield f"### {code}"
    yield _wrapped(f"`{code}` means that {words.means}")
    items = [
        f"**Arrives as:** {_arrival(code)}{_MODES[code.modes]}",
        f"**The person sees:** {_seen(code)}",
    ]
    if code.retry:
        items.append("**Tried again:** by the gateway, as long as no part of an answer was sent.")
    items.append(f"**Panel to look at:** {words.panel}.")
    items.append(f"**What an operator does about `{code}`:** {words.advice}")
    yield "\n".join(map(_item, items))


def _arrival(code: ReasonCode) -> str:
    if code.http and code.fallback:
        otherwise = "a fallback where a 200 was sent already or an inner hop raised it"
        return f"an error with HTTP status {code.http}; {otherwise}."
    if code.http:
        return f"an error with HTTP status {code.http}."
    if code.elsewhere:
        return (
            "a fallback in an HTTP 200 answer; an error with HTTP status "
            f"{code.elsewhere} on the routes of sessions and feedback."
        )
    if code.fallback:
        return "a fallback in an HTTP 200 answer."
    return "only in the log, because nobody is left to be told."


def _seen(code: ReasonCode) -> str:
    if code.message is None:
        return "nothing."
    return f"the `{code.message}` message; next action `{code.next_action}`."


def _wrapped(text: str) -> str:
    return text if text.startswith("#") else _filled(text, "")


def _item(text: str) -> str:
    return _filled(f"- {text}", "  ")


def _filled(text: str, indent: str) -> str:
    return textwrap.fill(
        text,
        LINE_CHARS,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _found(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
