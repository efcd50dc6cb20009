"""The corpora: FAQs out of Debian's packages, fetched by apt and unpacked without root."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from harness.tidy import ROOT

FOLDER: Final = ROOT / "var/eval"
PACKAGES: Final = (
    "debian-faq",
    "debian-faq-ko",
    "debian-faq-ja",
    "debian-faq-zh-cn",
    "python3.11-doc",
)
_FETCH_S: Final = 600.0


@frozen
class Corpus:
    """One corpus: where its pages are, and the best of plain FTS5 when it was first measured
    (FTS5's own tokenizer, or pairs of characters): what the default engine has to be above.
    """

    name: str
    folder: str
    pattern: str
    above: float | None = None

    def pages(self, root: Path) -> Sequence[Path]:
        """Its pages, in a stable order."""
        return sorted((root / self.folder).glob(self.pattern))


_FAQ: Final = "usr/share/doc/debian/FAQ"
CORPORA: Final[Mapping[str, Corpus]] = {
    one.name: one
    for one in (
        Corpus("debian-faq en", _FAQ, "*.en.html", 0.65),
        Corpus("debian-faq ko", f"{_FAQ}/ko", "*.html", 0.51),
        Corpus("debian-faq ja", f"{_FAQ}/ja", "*.html", 0.62),
        Corpus("debian-faq zh-cn", f"{_FAQ}/zh-cn", "*.html", 0.68),
        Corpus("python-faq en", "usr/share/doc/python3.11/html/faq", "*.html"),
    )
}


class CannotFetch(Exception):
    """The packages cannot be had; the message says why."""


def fetched() -> Path:
    """Where the packages are unpacked; they are fetched when they are not there."""
    root = FOLDER / "root"
    if all(corpus.pages(root) for corpus in CORPORA.values()):
        return root
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise CannotFetch(f"{program} is needed, which Debian and its kin have")
    debs = FOLDER / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    print(f"fetching {', '.join(PACKAGES)} (once)", flush=True)
    _run(["apt-get", "-q", "download", *PACKAGES], debs)
    for deb in sorted(debs.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(deb), str(root)], debs)
    missing = [name for name, corpus in CORPORA.items() if not corpus.pages(root)]
    if missing:
        raise CannotFetch(f"the packages hold no {', '.join(missing)}")
    return root


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(  # noqa: S603 - apt and dpkg, no shell
        command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_S, check=False
    )
    if done.returncode:
        hint = "; try `apt-get update` first" if command[0] == "apt-get" else ""
        raise CannotFetch(f"{' '.join(command[:2])}: {done.stderr.strip()[-500:]}{hint}")
