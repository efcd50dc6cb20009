"""The BFF's settings: where it listens, where the query service is, how long a call may take."""

from typing import ClassVar

from attrs import frozen

from bff.origins import Origins, origins
from contracts import limits
from hop.keys import Keys, key, keys
from hop.settings import HopSettings, integer, milliseconds, name, port, setting, url

_RATE_MAX = 1_000_000


@frozen
class BffSettings(HopSettings):
    """The BFF's settings."""

    SERVICE: ClassVar[str] = "bff"
    ABOUT: ClassVar[str] = "The BFF: the client's one call, and the chat page."
    NAMESPACES: ClassVar[tuple[str, ...]] = ("BFF_",)
    NESTED: ClassVar[tuple[tuple[str, str], ...]] = (("chat_timeout_ms", "hop_connect_timeout_ms"),)

    host: str = setting("BFF_HOST", "127.0.0.1", name, "the address to listen on")
    port: int = setting("BFF_PORT", 8088, port, "the port to listen on")
    api_keys: Keys = setting(
        "BFF_API_KEYS",
        Keys(),
        keys,
        "the keys of which a caller needs one, with commas between; empty: none is needed",
    )
    rate_per_minute: int = setting(
        "BFF_RATE_PER_MINUTE",
        0,
        integer(0, _RATE_MAX),
        "how many calls a minute a key may make, or an address where none is needed; 0: any number",
    )
    rate_burst: int = setting(
        "BFF_RATE_BURST", 10, integer(1, _RATE_MAX), "how many of them may come at once"
    )
    allowed_origins: Origins = setting(
        "BFF_ALLOWED_ORIGINS",
        Origins(),
        origins,
        "the origins whose pages may ask, with commas between, beside the BFF's own page",
    )
    qs_url: str = setting("BFF_QS_URL", "http://127.0.0.1:8001", url, "the query service")
    qs_api_key: str = setting(
        "BFF_QS_API_KEY", "", key, "our key for the query service: one of its QS_API_KEYS"
    )
    chat_timeout_ms: int = setting(
        "BFF_CHAT_TIMEOUT_MS", limits.BFF_CHAT_TIMEOUT_MS, milliseconds, "one call, all of it"
    )
