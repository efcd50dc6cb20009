"""Who may use the admin face: this machine, and no web page that a browser on it shows.

A page can have its own name point at loopback (DNS rebinding), which `Host` gives away, and can
send requests to another site, which `Origin` does. Refuses every name but `localhost`: what
another stands for is for somebody else to say.
"""

import ipaddress
import re
from typing import Final

from fakes.openai_compat_server.http_request import HttpRequest

_AUTHORITY: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::\d{1,5})?")
_ORIGIN: Final = re.compile(r"https?://(.*)", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Whether an address, without brackets, is loopback; or `localhost`, however it is cased."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # What a listener for both kinds makes of an IPv4 peer.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def why_forbidden(request: HttpRequest) -> str:
    """Why a request may not use the admin face, for a person; empty where it may."""
    if not _is_here(request.header("host")):
        return "The admin face is for Host: localhost, or a loopback address, and no other name."
    for name, origin in request.headers:
        if name == "origin" and not _is_page_of_ours(origin):
            return "The admin face is not for pages of another Origin than localhost."
    return ""


def _is_page_of_ours(origin: str) -> bool:
    found = _ORIGIN.fullmatch(origin)
    return found is not None and _is_here(found[1])


def _is_here(authority: str) -> bool:
    """A host as URLs have it, with a port or without."""
    found = _AUTHORITY.fullmatch(authority)
    return found is not None and is_loopback(found[1].removeprefix("[").removesuffix("]"))
