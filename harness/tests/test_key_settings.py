"""Goal: no start with a key that cannot be used, and no key in what a program prints of itself."""

import pytest

from bff.config import BffSettings
from hop.keys import KEY_CHARS
from hop.settings import HopSettings, SettingsError, load
from llmgw.config import GatewaySettings
from qs.config import QueryServiceSettings

OWN = [
    (BffSettings, "BFF_API_KEYS"),
    (QueryServiceSettings, "QS_API_KEYS"),
    (GatewaySettings, "LLMGW_API_KEYS"),
]
SENT = [
    (BffSettings, "BFF_QS_API_KEY"),
    (QueryServiceSettings, "QS_LLM_API_KEY"),
    (GatewaySettings, "LLM_API_KEY"),
]


@pytest.mark.parametrize(("kind", "variable"), OWN)
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("hunter2,hunter2", "key 2 is the same as key 1"),
        ("hunter2, hunter3 ,hunter2", "key 3 is the same as key 1"),
        ("hunter2,", "key 2 is blank"),
        (",hunter2", "key 1 is blank"),
        ("hunter2, ,x", "key 2 is blank"),
        (" ", "key 1 is blank"),
        (",", "key 1 is blank"),
        ("hunter2,hun ter", "key 2 must be 1 to 4096 visible ASCII characters"),
        ("hunter2\n", "key 1 must be"),
        ("hünter2", "key 1 must be"),
        ("hunter2\x00", "key 1 must be"),
        ("hunter2\x7f", "key 1 must be"),
        ("h" * (KEY_CHARS + 1), "key 1 must be"),
    ],
)
def test_list_is_refused_unseen_when_a_key_in_it_is_unusable(
    kind: type[HopSettings], variable: str, value: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(kind, {variable: value})
    (line,) = caught.value.lines
    assert line.startswith(f"{variable}=(secret): {problem}")
    assert not any(part in line for part in ("hunter", "hun ter", "hünter", "hhhh"))


@pytest.mark.parametrize(("kind", "variable"), SENT)
@pytest.mark.parametrize("value", ["hun ter2", "hunter2\r\nx: y", "hünter2", " ", "h" * 4097])
def test_key_to_send_is_refused_unseen_when_no_header_can_hold_it(
    kind: type[HopSettings], variable: str, value: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(kind, {variable: value})
    (line,) = caught.value.lines
    assert line.startswith(f"{variable}=(secret): must be at most 4096 visible ASCII characters")


@pytest.mark.parametrize(("kind", "variable"), [*OWN, *SENT])
def test_settings_show_no_key_when_they_are_printed(kind: type[HopSettings], variable: str) -> None:
    settings, _ = load(kind, {variable: "hunter2"})
    assert "hunter2" not in f"{settings} {settings!r}"
    assert "(secret)" in repr(settings)
    assert "host='127.0.0.1'" in repr(settings)


def test_settings_show_no_password_of_a_proxy_when_they_are_printed() -> None:
    settings, _ = load(GatewaySettings, {"LLM_PROXY": "http://me:hunter2@proxy:3128"})
    assert "hunter2" not in repr(settings)
    assert "//(secret)@proxy:3128" in repr(settings)
