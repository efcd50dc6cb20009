"""Goal: the FAQ is taken from where it is, and who lacks it is told what to do.

Method: folders of this test's own, and a command path that holds no programs.
"""

import os
import subprocess
import sys
from pathlib import Path

from harness.llm.debian_faq import INSTALLED, documents
from harness.llm.questions import seed_questions
from harness.tidy import ROOT


def test_an_installed_package_is_read(tmp_path: Path) -> None:
    folder = tmp_path / INSTALLED
    folder.mkdir(parents=True)
    (folder / "choosing.en.html").write_text("<p>Stable.</p>", "utf-8")
    (folder / "choosing.fr.html").write_text("<p>Non.</p>", "utf-8")
    found = documents(tmp_path / "kept", tmp_path)
    assert found == {"faq-choosing.en.html": "<p>Stable.</p>"}


def test_what_was_downloaded_before_is_read(tmp_path: Path) -> None:
    (tmp_path / "sid.en.html").write_text("<p>Sid.</p>", "utf-8")
    assert documents(tmp_path, tmp_path / "none") == {"faq-sid.en.html": "<p>Sid.</p>"}


def test_a_machine_without_apt_is_told_so(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from harness.llm.debian_faq import NoFaq, documents\n"
        f"here = Path({str(tmp_path)!r})\n"
        "try: documents(here / 'kept', here)\n"
        "except NoFaq as fault: print(fault)\n"
    )
    done = subprocess.run(  # noqa: S603 - our own code, no shell
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "this machine has no apt-get and no dpkg-deb: put the *.en.html of that" in done.stdout


def test_fifty_questions_are_asked_half_of_them_on_the_handbook() -> None:
    questions = seed_questions()
    assert len(questions) >= 50
    assert len(set(questions)) == len(questions)
    assert questions[1] == "What is Debian GNU/Linux?"
