"""The documents that list the scenarios, each with what it should be.

`python -m fakes.openai_compat_server.tests.scenario_tables` writes them, for whoever changed a
scenario; `test_fake_catalogue.py` holds the documents against the code.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from fakes.openai_compat_server.listing import content_page, readme_table

FOLDER = Path(__file__).parents[1]
README = FOLDER / "README.md"
_BEGIN, _END = "<!-- scenarios: begin -->\n", "\n<!-- scenarios: end -->"


def _listed(readme: str) -> str:
    """The README with the table between its marks."""
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    assert begin, "the README has lost its marks"
    assert end, "the README has lost its second mark"
    return f"{before}{begin}{readme_table()}{end}{after}"


# From what a document says to what it should say.
DOCUMENTS: Mapping[Path, Callable[[str], str]] = {
    README: _listed,
    FOLDER / "CONTENT_SCENARIOS.md": lambda _: content_page(),
}

if __name__ == "__main__":
    for path, told in DOCUMENTS.items():
        text = path.read_text("utf-8") if path.exists() else ""
        path.write_text(told(text), "utf-8")
