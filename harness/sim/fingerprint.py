"""One word for all that decides what a world comes to: a world judged by other code does not count.

It is a hash of every file of the packages that programs and harness are made of, their tests left
out, of the contract's page, which checkers read, and of the versions of Python and every library.
"""

import hashlib
import platform
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from harness.tidy import ROOT

_PACKAGES: Final = ("contracts", "hop", "bff", "qs", "llmgw", "fakes", "harness")
_KINDS: Final = frozenset({".py", ".json", ".toml"})
_DIGITS: Final = 12


def fingerprint(root: Path = ROOT) -> str:
    """The same for the same code and libraries, on any machine."""
    digest = hashlib.sha256()
    for path in (root / "docs/contract.md", *_sources(root)):
        digest.update(f"\0{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
    found = sorted(f"{it.metadata['Name']} {it.version}" for it in distributions())
    digest.update("\n".join([platform.python_version(), *found]).encode())
    return digest.hexdigest()[:_DIGITS]


def _sources(root: Path) -> Iterator[Path]:
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in _KINDS and "tests" not in path.parts:
                yield path
