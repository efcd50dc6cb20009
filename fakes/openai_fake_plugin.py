"""What pytest loads wherever the fake server is installed; the fixtures are what it is for.

It must never keep pytest from starting, so it imports nothing of ours, nor what that needs, before
a test asks for a fixture. Only then is it said what is missing, or what hides our packages. The
wheel has it once more at its top, under this name, where no other `fakes` can hide it.
"""

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from fakes.openai_compat_server.marker import Marked
    from fakes.openai_compat_server.openai_fake import OpenAIFake

_MARKER: Final = "openai_fake"
_USAGE: Final = (
    "openai_fake(seed=0, persona='extractive', dialect='openai', latency='ttft=0ms,itl=0ms', "
    "window_tokens=None, tls=False): how the fake of this test behaves"
)
_OURS: Final = ("fakes", "contracts")
_FAKES: Final = pytest.StashKey["list[OpenAIFake]"]()
_PASSED: Final = pytest.StashKey[bool]()


@pytest.fixture
def openai_fake(request: pytest.FixtureRequest) -> "Iterator[OpenAIFake]":
    """A fake of the OpenAI API on a port of its own; see `.base_url`, `.play()`, `.requests`."""
    with _failing(ImportError):
        from fakes.openai_compat_server import served, tls
    marked = _marked(request.node)
    with _failing(tls.TlsUnavailable):
        speaks = tls.Tls() if marked.tls else None
    with served.listening(marked.behaviour, speaks) as fake, _watched(request.node, fake):
        yield fake


@pytest.fixture
def openai_fake_stream(request: pytest.FixtureRequest) -> "Iterator[OpenAIFake]":
    """A fake of the OpenAI API without sockets; see `.transport()` for httpx, `.connect()`."""
    with _failing(ImportError):
        from fakes.openai_compat_server import served
    marked = _marked(request.node)
    if marked.tls:
        pytest.fail("openai_fake_stream: no TLS in memory; openai_fake has it", pytrace=False)
    fake = served.in_memory(marked.behaviour)
    with _watched(request.node, fake):
        yield fake


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _USAGE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """A test that never began is told what was asked by then, and not held against its script."""
    item.stash[_PASSED] = False
    with _told_if_it_fails(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that passed is held against its script; one that failed is told what was asked."""
    with _told_if_it_fails(item, "call"):
        result = yield
    for fake in item.stash.get(_FAKES, []):
        _hold(fake)
    item.stash[_PASSED] = True
    return result


@contextmanager
def _told_if_it_fails(item: pytest.Item, when: str) -> Iterator[None]:
    try:
        yield
    except (Exception, BaseExceptionGroup, pytest.fail.Exception):
        for fake in item.stash.get(_FAKES, []):
            item.add_report_section(when, _MARKER, fake.story())
        raise


@contextmanager
def _watched(node: pytest.Item, fake: "OpenAIFake") -> Iterator[None]:
    """For as long as the fixture stands. A test may be run again, and gets another fake then.

    What is asked while the test's other fixtures are torn down still has to fit.
    """
    fakes = node.stash.setdefault(_FAKES, [])
    fakes.append(fake)
    try:
        yield
    finally:
        fakes.remove(fake)
    if node.stash.get(_PASSED, False):
        _hold(fake)


def _hold(fake: "OpenAIFake") -> None:
    """Fail the test where its script and its requests do not fit."""
    if said := fake.misfit():
        pytest.fail(said, pytrace=False)


def _marked(node: pytest.Item) -> "Marked":
    """What the test's marker asks for."""
    from fakes.openai_compat_server.marker import read_marker

    marker = node.get_closest_marker(_MARKER)
    with _failing(ValueError):
        return read_marker(marker.args, marker.kwargs) if marker else read_marker((), {})


@contextmanager
def _failing(kind: type[Exception]) -> Iterator[None]:
    """A test fails with what such an exception says, and without where it was said."""
    try:
        yield
    except kind as fault:
        said = _why(fault) if isinstance(fault, ImportError) else str(fault)
        raise pytest.fail.Exception(f"{_MARKER}: {said}", pytrace=False) from None


def _why(fault: ImportError) -> str:
    """What is missing, or what hides our packages."""
    package = (fault.name or "").partition(".")[0]
    if package not in _OURS:
        return f"needs the library {fault.name}: pip install '.[fake]'"
    found = sys.modules.get(package)
    where = _place(found) if found else "nowhere on sys.path"
    ours = Path(__file__).resolve().parents[__name__.count(".")] / package
    return f"needs its own package '{package}', which is hidden by another: {where} (not {ours})"


def _place(module: ModuleType) -> str:
    return module.__file__ or ", ".join(module.__path__)
