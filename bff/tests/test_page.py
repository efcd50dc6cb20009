"""The chat page as files: it needs no other host, no inline code, and never parses markup.

The browser enforces the same by the Content-Security-Policy the BFF sends; these tests say so
before a browser does, and hold the page's limits and texts to the contract's.
"""

import re
from html.parser import HTMLParser
from pathlib import Path

import attrs
import pytest

from contracts import limits
from contracts.events import EVENTS
from contracts.order import TRANSITIONS, State
from contracts.reasons import MessageKey

PAGE = Path(__file__).parents[1] / "page"
FILES = sorted(path for path in PAGE.rglob("*") if path.is_file())
SCRIPTS = {path.name: path.read_text("utf-8") for path in FILES if path.suffix == ".js"}
EVERY_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
EVERY_SCRIPT = pytest.mark.parametrize("name", SCRIPTS)

STYLES = ["page/answer.css", "page/dialogs.css", "page/page.css"]

FILE_MAX_BYTES = 16 * 1024
PAGE_MAX_BYTES = 96 * 1024

MARKUP_OR_CODE_FROM_TEXT = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|parseHTML|DOMParser|createContextualFragment"
    r"|document\.write|srcdoc|\beval\b|new Function|import\(|setAttribute\(\s*[\"'](style|on)"
)
STATIC_IMPORT = re.compile(r'^(?:import|export) (?:\{([^}]*)\} )?from "([^"]+)";', re.MULTILINE)
NAMED_EXPORT = re.compile(r"^export (?:async )?(?:function\*?|class|const) (\w+)", re.MULTILINE)


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text that stands inside scripts and styles."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline_code = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is not None:
            self.inline_code += data.strip()

    def values(self, attribute: str) -> list[str]:
        """The attribute's values, in the order of the page."""
        return [value for _, attrs in self.tags if (value := attrs.get(attribute)) is not None]


class Spoken(HTMLParser):
    """The text that stands in each element whose text the table names."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.said: list[tuple[str, str]] = []
        self._open: str | None = None
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._open = dict(attrs).get("data-text")

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.said.append((self._open, data))
            self._open = None

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._open = None


TEXT_ATTRIBUTES = ("data-text", "data-label", "data-placeholder")
NAME_OF = {
    State.OPENING: "",
    State.STARTED: "meta",
    State.SEARCHED: "sources",
    State.PROVED: "citations",
    State.ANSWERING: "delta",
    State.FAILED: "error",
}
INDEX = Elements((PAGE / "index.html").read_text("utf-8"))


def imports_of(script: str) -> list[tuple[set[str], str]]:
    """The names and the specifier of each import."""
    return [
        ({name.strip() for name in names.split(",") if name.strip()}, specifier)
        for names, specifier in STATIC_IMPORT.findall(script)
    ]


def reachable_from(name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
    """The script and everything it imports, directly or not."""
    for _, specifier in imports_of(SCRIPTS[name]):
        if (imported := specifier.removeprefix("./")) not in seen:
            seen = reachable_from(imported, seen | {name, imported})
    return seen | {name}


def constant(script: str, name: str) -> int:
    """A numeric constant of a script; products such as `64 * 1024` are worked out."""
    found = re.search(rf"^(?:export )?const {name} = ([\d_ *]+);", SCRIPTS[script], re.MULTILINE)
    assert found is not None, f"{script} does not define {name}"
    product = 1
    for factor in found[1].split("*"):
        product *= int(factor)
    return product


def test_page_is_a_flat_folder_of_the_three_kinds_the_bff_serves() -> None:
    assert {path.suffix for path in FILES} == {".html", ".css", ".js"}
    assert {path.parent for path in FILES} == {PAGE}


def test_page_is_small_as_a_whole() -> None:
    assert sum(path.stat().st_size for path in FILES) <= PAGE_MAX_BYTES


@EVERY_FILE
def test_file_is_small_and_not_empty(path: Path) -> None:
    assert 0 < path.stat().st_size <= FILE_MAX_BYTES


@EVERY_FILE
def test_file_names_no_other_host(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.findall(r"\w+://[^\s]*|[\"'(=]//[^\s]*|\bdata:\w+/|\burl\(|@import", text) == []


def test_index_has_no_inline_code() -> None:
    assert INDEX.inline_code == ""
    assert {tag for tag, _ in INDEX.tags}.isdisjoint({"style", "iframe", "object", "embed", "base"})
    names = {name for _, attrs in INDEX.tags for name in attrs}
    assert [name for name in names if name == "style" or name.startswith("on")] == []


def test_index_loads_only_the_pages_own_files() -> None:
    loaded = INDEX.values("src") + INDEX.values("href")
    own = [path for path in loaded if not path.startswith("#")]
    assert sorted(own) == sorted([*STYLES, "page/chat.js"])
    assert all((PAGE / path.removeprefix("page/")).is_file() for path in own)


def test_index_finds_every_place_and_picture_that_it_links_to() -> None:
    links = {path[1:] for path in INDEX.values("href") if path.startswith("#")}
    assert links <= set(INDEX.values("id"))
    assert any(name.startswith("i-") for name in links)


def test_index_gives_each_id_once_and_refers_only_to_ids_it_has() -> None:
    ids = INDEX.values("id")
    assert len(ids) == len(set(ids))
    naming = ("for", "aria-describedby", "aria-labelledby")
    references = [value for name in naming for value in INDEX.values(name)]
    assert {name for value in references for name in value.split()} <= set(ids)


@EVERY_SCRIPT
def test_script_finds_every_element_and_template_it_asks_for(name: str) -> None:
    asked = set(re.findall(r'(?:getElementById|clone)\("([\w-]+)"\)', SCRIPTS[name]))
    if listed := re.search(r"fromEntries\(\s*\[([^\]]*)\]", SCRIPTS[name]):
        asked |= set(re.findall(r'"([\w-]+)"', listed[1]))
    assert asked <= set(INDEX.values("id"))


def test_turn_finds_every_part_of_its_template() -> None:
    names = re.search(r"const PARTS = \[([^\]]*)\]", SCRIPTS["turn.js"])
    assert names is not None
    classes = {name for value in INDEX.values("class") for name in value.split()}
    assert set(re.findall(r'"([\w-]+)"', names[1])) <= classes


@EVERY_SCRIPT
def test_script_never_makes_markup_or_code_from_text(name: str) -> None:
    assert MARKUP_OR_CODE_FROM_TEXT.findall(SCRIPTS[name]) == []


@EVERY_SCRIPT
def test_script_imports_only_what_its_neighbours_export(name: str) -> None:
    for names, specifier in imports_of(SCRIPTS[name]):
        neighbour = re.fullmatch(r"\./(\w+\.js)", specifier)
        assert neighbour is not None, f"{specifier} is not a neighbour"
        assert names <= set(NAMED_EXPORT.findall(SCRIPTS[neighbour[1]])), specifier


@EVERY_SCRIPT
def test_script_has_every_import_in_the_form_these_tests_can_read(name: str) -> None:
    lines = re.findall(r"^import\b", SCRIPTS[name], re.MULTILINE)
    assert len(lines) == len(imports_of(SCRIPTS[name]))


def test_every_script_is_reached_from_the_page() -> None:
    assert reachable_from("chat.js") == set(SCRIPTS)


def test_page_keeps_the_limits_of_the_contract() -> None:
    assert constant("conversation.js", "MESSAGE_MAX_CHARS") == limits.MESSAGE_CHARS
    assert constant("conversation.js", "HISTORY_MAX_MESSAGES") == limits.HISTORY_MESSAGES
    assert constant("conversation.js", "BODY_MAX_BYTES") == limits.CHAT_BODY_BYTES
    assert constant("panel.js", "SNIPPET_MAX_CHARS") == limits.SNIPPET_CHARS
    assert constant("events.js", "EVENT_MAX_CHARS") == limits.EVENT_BYTES


def test_page_waits_longer_than_the_servers_silence() -> None:
    assert constant("ask.js", "SILENCE_MAX_MS") >= 3 * limits.HEARTBEAT_MS


def rows() -> dict[str, dict[str, str]]:
    """The table of texts: each row's name, and its text in each language as the script has it."""
    table = re.search(r"export const TABLE = \{\n(.*?)\n\};", SCRIPTS["texts.js"], re.DOTALL)
    assert table is not None
    found = re.split(r'^  "([\w.]+)": ', table[1], flags=re.MULTILINE)[1:]
    language = re.compile(r'\b(en|ko): ("[^"]*"|\{[^}]*(?:\}[^}]*)*?\})', re.DOTALL)
    return {
        name: {code: text.strip('"') for code, text in language.findall(row)}
        for name, row in zip(found[::2], found[1::2], strict=True)
    }


def test_every_text_is_there_in_every_language() -> None:
    assert len(rows()) > 60
    lacking = [name for name, row in rows().items() if set(row) != {"en", "ko"}]
    assert lacking == []
    assert [name for name, row in rows().items() if not all(row.values())] == []


def test_korean_texts_are_korean() -> None:
    hangul = re.compile("[가-힣]")
    without = {name for name, row in rows().items() if not hangul.search(row["ko"])}
    assert without == {"count"}


def test_each_message_of_the_contract_has_its_text_title_and_next_step() -> None:
    table = rows()
    for key in MessageKey:
        assert table[f"message.{key}"]["en"] == key.text
        assert {f"title.{key}", f"next.{key}"} <= table.keys()


def test_page_takes_the_messages_of_the_contract_and_no_other() -> None:
    listed = re.search(r"const MESSAGE_KEYS = \[(.*)\];", SCRIPTS["ask.js"])
    assert listed is not None
    assert set(re.findall(r'"(\w+)"', listed[1])) == set(MessageKey)


def test_index_says_what_the_table_says() -> None:
    """What stands in the page before a script runs is the table's English."""
    table, spoken = rows(), Spoken((PAGE / "index.html").read_text("utf-8"))
    named = {name for key in TEXT_ATTRIBUTES for name in INDEX.values(key)}
    assert named <= table.keys()
    assert spoken.said
    for name, said in spoken.said:
        assert said in ("", table[name]["en"])


def test_every_text_is_used_somewhere() -> None:
    used = {name for key in TEXT_ATTRIBUTES for name in INDEX.values(key)}
    calls = [script for name, script in SCRIPTS.items() if name != "texts.js"]
    used |= {name for script in calls for name in re.findall(r'"([a-z]+(?:\.[a-z]+)*)"', script)}
    made = re.compile(r"(message|title|next)\.\w+|request|reason|model")
    assert [name for name in rows() if name not in used and not made.fullmatch(name)] == []


def test_every_text_that_is_asked_for_is_in_the_table() -> None:
    asked = {
        name for script in SCRIPTS.values() for name in re.findall(r'\btext\("([^"]+)"', script)
    }
    assert asked
    assert asked <= rows().keys()


def test_page_keeps_the_order_of_the_contract() -> None:
    """Its own table, in which a `done` that is wrong is told by what went before."""
    table = re.search(r"const AFTER = \{\n(.*?)\n\};", SCRIPTS["ask.js"], re.DOTALL)
    assert table is not None
    lines = re.findall(r'"(\w*)": \[(.*?)\]', table[1])
    told = {name: set(re.findall(r'"(\w+)"', after)) for name, after in lines}
    assert told == {
        NAME_OF[state]: {step.value.split()[0] for step in steps}
        for state, steps in TRANSITIONS.items()
        if steps
    }


def test_turn_reads_of_each_event_what_the_contract_puts_there() -> None:
    read = re.findall(r'name === "(\w+)"\).*\bdata\.(\w+)', SCRIPTS["turn.js"])
    assert {name for name, _ in read} == {"sources", "citations", "delta"}
    for name, key in read:
        assert key in attrs.fields_dict(EVENTS[name]), f"`{name}` has no `{key}`"
