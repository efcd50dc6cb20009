"""Goal: a page may ask when it is the BFF's own or is listed; no other can pass for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.config import BffSettings
from bff.origins import Asker, Origins, canonical, origins
from hop.settings import SettingsError, load

LISTED = origins("https://app.example, http://b.example:8080")
OWN = [
    ("http://127.0.0.1:8088", "127.0.0.1:8088"),
    ("https://127.0.0.1:8088", "127.0.0.1:8088"),
    ("http://192.0.2.7", "192.0.2.7"),
    ("http://192.0.2.7", "192.0.2.7:80"),
    ("https://192.0.2.7", "192.0.2.7:443"),
    ("http://[::1]:8088", "[::1]:8088"),
    ("http://localhost:8088", "localhost:8088"),
    ("http://LOCALHOST:8088", "localhost:8088"),
    ("http://chat.localhost:8088", "chat.localhost:8088"),
    ("http://box.lan:8088", "box.lan:8088"),
]
FOREIGN = [
    ("https://evil.example", "127.0.0.1:8088"),
    ("null", "127.0.0.1:8088"),
    ("", "127.0.0.1:8088"),
    ("*", "127.0.0.1:8088"),
    ("http://", ""),
    ("http://127.0.0.1:8089", "127.0.0.1:8088"),
    ("http://localhost:8088", "127.0.0.1:8088"),
    ("http://127.0.0.1", "127.0.0.1:8088"),
    ("https://192.0.2.7", "192.0.2.7:80"),
    ("http://127.0.0.1:8088/", "127.0.0.1:8088"),
    ("http://127.0.0.1:8088 ", "127.0.0.1:8088"),
    ("http://user@127.0.0.1:8088", "127.0.0.1:8088"),
    ("http://127.0.0.1:8088,http://evil.example", "127.0.0.1:8088"),
    ("file://127.0.0.1:8088", "127.0.0.1:8088"),
    ("http://localhost.evil.example:8088", "localhost.evil.example:8088"),
    ("http://127.0.0.1.evil.example", "127.0.0.1.evil.example"),
    ("http://app.example", "127.0.0.1:8088"),
    ("https://app.example:444", "127.0.0.1:8088"),
    ("https://app.example.evil.example", "127.0.0.1:8088"),
    ("https://evil-app.example", "127.0.0.1:8088"),
    ("http://[::1]:8088", "::1:8088"),
    ("http://[:]:8088", "[:]:8088"),
    ("http://[1.2.3.4]", "[1.2.3.4]"),
]


@pytest.mark.parametrize(("origin", "host"), OWN)
def test_page_is_the_bffs_own_when_host_is_its_origin(origin: str, host: str) -> None:
    assert LISTED.judge([origin], host, "box.lan") is Asker.OWN


@pytest.mark.parametrize(("origin", "host"), FOREIGN)
def test_page_is_foreign_when_it_is_neither(origin: str, host: str) -> None:
    assert LISTED.judge([origin], host, "box.lan") is Asker.FOREIGN


@pytest.mark.parametrize(
    "origin",
    ["https://app.example", "https://APP.example:443", "http://b.example:8080"],
)
def test_page_is_allowed_when_its_origin_is_listed(origin: str) -> None:
    assert LISTED.judge([origin], "127.0.0.1:8088") is Asker.ALLOWED


def test_name_that_was_let_lead_here_is_not_believed() -> None:
    """DNS rebinding: to the browser, page and BFF are of one origin, and `Host` says so."""
    rebound = "http://evil.example:8088"
    assert Origins().judge([rebound], "evil.example:8088", "127.0.0.1") is Asker.FOREIGN
    assert origins(rebound).judge([rebound], "evil.example:8088") is Asker.ALLOWED, "if listed"


def test_request_without_origin_is_no_pages() -> None:
    assert LISTED.judge([], "127.0.0.1:8088") is Asker.OWN
    assert LISTED.judge([], "evil.example") is Asker.OWN


@pytest.mark.parametrize("second", ["https://app.example", "https://evil.example", ""])
def test_two_origins_are_nobodys(second: str) -> None:
    assert LISTED.judge(["https://app.example", second], "127.0.0.1") is Asker.FOREIGN


@given(st.text(max_size=40), st.text(max_size=20))
def test_no_text_passes_for_an_origin_of_ours(origin: str, host: str) -> None:
    judged = LISTED.judge([origin], host, "box.lan")
    if judged is not Asker.FOREIGN:
        assert canonical(origin) is not None


@given(st.sampled_from([origin for origin, _ in OWN if canonical(origin)]))
def test_canonical_form_is_its_own(origin: str) -> None:
    once = canonical(origin)
    assert once is not None
    assert canonical(once) == once


@pytest.mark.parametrize(
    "value",
    [
        "null",
        "*",
        "https://*.example",
        "https://app.example/",
        "https://app.example/chat",
        "https://app.example?x",
        "app.example",
        "ftp://app.example",
        "https://u:p@app.example",
        "https://app.example:0",
        "https://app.example:65536",
        "https://app.example:",
        "https://äpp.example",
        "https://[1.2.3.4]",
        "https://app.example,",
        " ",
        "https://app.example b.example",
    ],
)
def test_list_is_refused_when_it_holds_no_origin(value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(BffSettings, {"BFF_ALLOWED_ORIGINS": value})
    (line,) = caught.value.lines
    assert "is no origin: a scheme, a name and a port, like https://app.example" in line


def test_list_is_kept_as_browsers_write_it() -> None:
    assert str(origins("HTTPS://App.Example:443, https://app.example")) == "https://app.example"
    assert str(origins("")) == ""
