"""The Debian FAQ in English, out of Debian's package `debian-faq`, as HTML documents by name.

It is taken from where the package is installed, else from `var/llm/debian-faq`, else downloaded
there by apt-get and unpacked, which needs no privileges. Where there is no apt-get, `NoFaq` says
what to do instead.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.tidy import ROOT

PACKAGE: Final = "debian-faq"
INSTALLED: Final = Path("usr/share/doc/debian/FAQ")
PAGES: Final = "*.en.html"
KEPT: Final = ROOT / "var/llm" / PACKAGE
LIMIT_S: Final = 300.0


class NoFaq(Exception):
    """The FAQ cannot be had; the message says why, and what to do."""


def documents(kept: Path = KEPT, root: Path = Path("/")) -> Mapping[str, str]:
    """The pages, by their names."""
    for folder in (root / INSTALLED, kept):
        if found := _pages_in(folder):
            return found
    _download(kept)
    if found := _pages_in(kept):
        return found
    raise NoFaq(f"the package {PACKAGE} has no {PAGES} in {INSTALLED}")


def _pages_in(folder: Path) -> Mapping[str, str]:
    return {f"faq-{page.name}": page.read_text("utf-8") for page in sorted(folder.glob(PAGES))}


def _download(kept: Path) -> None:
    missing = [program for program in ("apt-get", "dpkg-deb") if shutil.which(program) is None]
    if missing:
        raise NoFaq(
            f"the Debian FAQ comes from Debian's package {PACKAGE}, and this machine has no "
            f"{' and no '.join(missing)}: put the {PAGES} of that package into {kept}"
        )
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    _run("apt-get", "download", PACKAGE, cwd=kept)
    for package in kept.glob("*.deb"):
        _run("dpkg-deb", "--extract", package.name, "unpacked", cwd=kept)
    for page in (kept / "unpacked" / INSTALLED).glob(PAGES):
        page.replace(kept / page.name)


def _run(*command: str, cwd: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            command, cwd=cwd, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoFaq(f"`{' '.join(command)}` took more than {LIMIT_S:g} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise NoFaq(f"`{' '.join(command)}` failed: {lines[-1]} (`apt-get update` may help)")
