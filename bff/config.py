"""The BFF's settings: where it listens, where the query service is, how long a call may take."""

from typing import ClassVar

from attrs import frozen

from contracts import limits
from hop.settings import HopSettings, milliseconds, name, port, setting, url


@frozen
class BffSettings(HopSettings):
    """The BFF's settings."""

    SERVICE: ClassVar[str] = "bff"
    ABOUT: ClassVar[str] = "The BFF: the client's one call, and the chat page."
    NAMESPACES: ClassVar[tuple[str, ...]] = ("BFF_",)
    NESTED: ClassVar[tuple[tuple[str, str], ...]] = (("chat_timeout_ms", "hop_connect_timeout_ms"),)

    host: str = setting("BFF_HOST", "127.0.0.1", name, "the address to listen on")
    port: int = setting("BFF_PORT", 8088, port, "the port to listen on")
    qs_url: str = setting("BFF_QS_URL", "http://127.0.0.1:8001", url, "the query service")
    chat_timeout_ms: int = setting(
        "BFF_CHAT_TIMEOUT_MS", limits.BFF_CHAT_TIMEOUT_MS, milliseconds, "one call, all of it"
    )
