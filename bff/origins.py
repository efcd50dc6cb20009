"""Which web pages may ask: the BFF's own, and those of the origins that are listed. Pure.

    origins("https://a.example,http://b:8080") -> Origins
    Origins.judge(origin headers, host) -> Asker       OWN, ALLOWED or FOREIGN; OWN without any

A page is the BFF's own when its origin is the request's `Host`, and that is an address, `localhost`
or the name that the BFF listens on. Any other name proves nothing: whoever owns a name can let it
lead here once the page is loaded (DNS rebinding), and `Host` is then the page's own. So the public
name of a BFF behind a proxy is to be listed as well. An origin of `null` is nobody's.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from attrs import field, frozen

PORT_MAX = 65_535
_USUAL_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<name>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)


class Asker(Enum):
    """Whose page a request comes from."""

    OWN = auto()
    ALLOWED = auto()
    FOREIGN = auto()


@frozen
class Origins:
    """The origins that are listed, as browsers write them."""

    listed: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return ",".join(self.listed)

    def judge(self, sent: Sequence[str], host: str, listens_on: str = "") -> Asker:
        """Whose page it is; `sent` are the request's `Origin` headers, of which one is due."""
        if not sent:
            return Asker.OWN  # no page at all, or one that only reads what anybody may read
        origin = canonical(sent[0])
        if len(sent) > 1 or origin is None:
            return Asker.FOREIGN
        if origin in self.listed:
            return Asker.ALLOWED
        scheme = origin.partition("://")[0]
        own = origin == canonical(f"{scheme}://{host}") and _is_no_borrowed_name(origin, listens_on)
        return Asker.OWN if own else Asker.FOREIGN


def canonical(origin: str) -> str | None:
    """An origin as browsers write it: lower case, no usual port. None where it is none."""
    parts = _ORIGIN.fullmatch(origin.lower())
    if parts is None:
        return None
    if parts["name"].startswith("[") and not _is_ipv6(parts["name"][1:-1]):
        return None  # `urlsplit` would raise on it
    port = int(parts["port"] or _USUAL_PORTS[parts["scheme"]])
    if not 0 < port <= PORT_MAX:
        return None
    usual = port == _USUAL_PORTS[parts["scheme"]]
    return f"{parts['scheme']}://{parts['name']}" + ("" if usual else f":{port}")


def _is_ipv6(name: str) -> bool:
    try:
        IPv6Address(name)
    except ValueError:
        return False
    return True


def _is_no_borrowed_name(origin: str, listens_on: str) -> bool:
    name = urlsplit(origin).hostname or ""
    if name in ("localhost", listens_on.lower()) or name.endswith(".localhost"):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def origins(value: str) -> Origins:
    """A comma-separated list; blanks round an origin are not part of it."""
    if not value:
        return Origins()
    listed: list[str] = []
    for one in (part.strip(" ") for part in value.split(",")):
        origin = canonical(one)
        if origin is None:
            raise ValueError(
                f"{one[:80]!r} is no origin: a scheme, a name and a port, like https://app.example"
            )
        listed.append(origin)
    return Origins(tuple(dict.fromkeys(listed)))
