"""Goal: the plugin never keeps pytest from starting, and a test that needs it is told what to do.

Method: the module as the wheel has it, alone at the top of a folder on the path, under a pytest of
its own that has no other plugin; what hides our packages, or is missing, stands in the test's
folder, which comes first. The programs run without `site`, and so without any library.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakes import openai_fake_plugin

pytest_plugins = ["pytester"]

ROOT = Path(openai_fake_plugin.__file__).parent.parent
SUITE = """
def test_own(): pass
def test_sockets(openai_fake): pass
def test_memory(openai_fake_stream): pass
"""


@pytest.fixture
def installed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project beside which the plugin is installed."""
    site = pytester.path / "site-packages"
    site.mkdir()
    shutil.copy(openai_fake_plugin.__file__, site)
    for package in ("fakes", "contracts"):
        (site / package).symlink_to(ROOT / package)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (pytester.path / "test_it.py").write_text(SUITE)
    return pytester


def run(project: pytest.Pytester) -> pytest.RunResult:
    options = ("-p", "openai_fake_plugin", "-p", "no:cacheprovider", "-W", "error")
    return project.runpytest_subprocess(*options, "test_it.py")


def test_its_fixtures_are_there_and_may_be_named_once_more(installed: pytest.Pytester) -> None:
    named = 'pytest_plugins = ["fakes.openai_compat_server.pytest_plugin"]'
    (installed.path / "conftest.py").write_text(named)
    run(installed).assert_outcomes(passed=3)


@pytest.mark.parametrize("package", ["fakes", "contracts"])
def test_pytest_starts_where_a_project_has_a_package_of_our_name(
    package: str, installed: pytest.Pytester
) -> None:
    (installed.path / package).mkdir()
    (installed.path / package / "__init__.py").touch()
    result = run(installed)
    result.assert_outcomes(passed=1, errors=2)
    hidden = f"openai_fake: needs its own package '{package}', which is hidden by another: "
    result.stdout.fnmatch_lines([f"{hidden}*/{package}/__init__.py (not */{package})"])


@pytest.mark.parametrize("library", ["anyio", "attrs", "h11"])
def test_pytest_starts_where_a_library_is_missing(library: str, installed: pytest.Pytester) -> None:
    missing = f"raise ModuleNotFoundError('No module named {library}', name='{library}')"
    (installed.path / f"{library}.py").write_text(missing)
    if library == "attrs":
        (installed.path / "attr.py").write_text(missing)
    result = run(installed)
    result.assert_outcomes(passed=1, errors=2)
    said = f"openai_fake: needs the library {library}: pip install '.[[]fake]'"
    result.stdout.fnmatch_lines([said, said])


def bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python without libraries, in the checkout."""
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own


@pytest.mark.parametrize("command", ["serve", "scenarios", "--help"])
def test_a_program_says_what_is_missing_in_one_line(command: str) -> None:
    ended = bare("-m", "fakes.openai_compat_server", command)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "openai-fake: needs the library anyio: pip install '.[fake]'\n"


def test_an_import_says_what_is_missing() -> None:
    ended = bare("-c", "from fakes.openai_compat_server import Fake")
    said = "ImportError: fakes.openai_compat_server needs the library anyio: pip install '.[fake]'"
    assert ended.stderr.splitlines()[-1] == said
    ended = bare("-c", "from fakes.openai_compat_server import Nobody")
    assert "cannot import name 'Nobody'" in ended.stderr
