"""The seed questions: in turn one on the handbook and one on the Debian FAQ.

Those on the handbook are the first of each page in docs/questions.toml, then the second of each;
so the first dozen are a fair choice of all.
"""

import tomllib
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from harness.tidy import ROOT

_HANDBOOK: Final = ROOT / "docs/questions.toml"
_FAQ: Final = Path(__file__).with_name("debian_faq.toml")


def seed_questions() -> Sequence[str]:
    """All of them, in their order."""
    pages = [page["questions"] for page in tomllib.loads(_HANDBOOK.read_text("utf-8"))["page"]]
    handbook = chain.from_iterable(zip(*pages, strict=False))
    faq: list[str] = tomllib.loads(_FAQ.read_text("utf-8"))["questions"]
    return list(chain.from_iterable(zip(handbook, faq, strict=False)))
