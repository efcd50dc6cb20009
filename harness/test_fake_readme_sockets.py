"""Goal: what the fake's documents show works as it stands there, for somebody who only copies it.

Method: each of their Python blocks that holds a test is a suite of its own, run by pytest within
pytest, with the plugin and nothing else; the ports are real. Their TOML blocks are read.
"""

import re

import httpcore  # noqa: F401 - pytest within pytest drops what it was first to import: two copies
import pytest

from fakes.openai_compat_server import Ending, Rule, Script, Then, pytest_plugin, raw
from fakes.openai_compat_server.responses import check_playable
from fakes.openai_compat_server.script_file import parse_script
from harness.tidy import ROOT

pytest_plugins = ["pytester"]

FOLDER = ROOT / "fakes/openai_compat_server"
DOCUMENTS = {name: (FOLDER / name).read_text("utf-8") for name in ("README.md", "REFERENCE.md")}
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```", "\n".join(DOCUMENTS.values()), re.DOTALL | re.MULTILINE
)
SUITES = [text for language, text in BLOCKS if language == "python" and "def test_" in text]
FILES = [text for language, text in BLOCKS if language == "toml"]


def test_the_documents_show_what_is_tried_here() -> None:
    assert len(SUITES) == 7
    assert "def test_the_third_call_succeeds" in SUITES[0]
    assert len(FILES) == 2


@pytest.mark.parametrize(
    "suite", SUITES, ids=lambda text: "".join(re.findall(r"def (test_\w+)", text))
)
def test_an_example_passes_as_it_stands(suite: str, pytester: pytest.Pytester) -> None:
    (pytester.path / "test_example.py").write_text(suite)
    options = ("-W", "error", "--strict-markers", "-p", "no:cacheprovider")
    outcomes = pytester.runpytest_inprocess(*options, plugins=[pytest_plugin]).parseoutcomes()
    assert set(outcomes) == {"passed"}


def test_the_file_is_the_script_of_the_python_example() -> None:
    assert parse_script(FILES[0], "README.md", check_playable) == Script(
        rules=(
            Rule(play=("status-429", "ok"), model="gpt-test", header=("x-case", "retry")),
            Rule(play=("close-mid-stream?after=2",), text="capital of France", turn=1),
            Rule(play=("ok",), then=Then.LAST),
        ),
        strict=True,
    )


def test_the_file_plays_the_bytes_of_the_python_example() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    cut = raw(head, 0.1, b"7\r\ndata: {", ending=Ending.RESET)
    assert parse_script(FILES[1], "REFERENCE.md", check_playable) == Script(
        (Rule(("status-429", cut)),)
    )


def test_every_link_of_the_documents_leads_somewhere() -> None:
    for text in DOCUMENTS.values():
        for target in re.findall(r"\]\(([^)]+)\)", text):
            path, _, heading = target.partition("#")
            assert (FOLDER / path).exists(), target
            assert not heading or heading in _anchors(DOCUMENTS[path] if path else text), target


def _anchors(text: str) -> set[str]:
    """The headings as a page's links name them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
