"""The certificates of a fake that speaks TLS: an authority made anew at each start, and its issues.

They are made by trustme, which the extra `tls` pulls: without it there is no `Tls`, and nothing
else here misses it. Keys are not drawn from the seed, so no two starts have the same.
"""

import datetime
import importlib.util
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import define, field

from fakes.openai_compat_server.catalogue import parse
from fakes.openai_compat_server.scenario import Handshake

if TYPE_CHECKING:
    import trustme

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
# Nobody's name, now and for ever (RFC 2606).
ANOTHER_HOST: Final = "another-host.invalid"
# Text outside the lines of a certificate is ignored by whoever reads one.
_TITLE: Final = (
    b"The authority of an openai-fake, made anew at each start. Trust it in tests alone.\n"
)
_LONG_AGO: Final = (datetime.datetime(2000, 1, 1), datetime.datetime(2001, 1, 1))


class TlsUnavailable(Exception):
    """Certificates can not be made; the message says what to install."""


@define
class Tls:
    """What a fake needs to speak TLS. Raises TlsUnavailable without trustme.

    `names` are the hosts, by name or address, that the certificate is for; ValueError for what no
    certificate can be for.
    """

    names: tuple[str, ...] = LOOPBACK_NAMES
    _authority: "trustme.CA" = field(init=False)
    _contexts: dict[Handshake, ssl.SSLContext] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._authority = _new_authority()
        self.context(Handshake.RIGHT)

    @property
    def authority_pem(self) -> bytes:
        """The authority's certificate, for a client's list of those it trusts."""
        return _TITLE + self._authority.cert_pem.bytes()

    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts this authority and no other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._authority.configure_trust(context)
        return context

    def context(self, handshake: Handshake) -> ssl.SSLContext:
        """The server's context, with the certificate that belongs to this handshake."""
        if handshake not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_alpn_protocols(["http/1.1"])
            _ISSUED.get(handshake, _right)(self._authority, self.names).configure_cert(context)
            self._contexts[handshake] = context
        return self._contexts[handshake]


def check_tls() -> None:
    """Raises TlsUnavailable where certificates can not be made."""
    if importlib.util.find_spec("trustme") is None:
        raise TlsUnavailable("TLS needs the library trustme: pip install '.[fake,tls]'")


def handshake_of(scenario: str) -> Handshake:
    """What becomes of TLS handshakes where this scenario is played; the name may be empty."""
    return parse(scenario).scenario.handshake if scenario else Handshake.RIGHT


def check_has_tls(scenario: str, tls: Tls | None) -> None:
    """Raises ValueError for a scenario that needs TLS and does not get it."""
    if tls is None and handshake_of(scenario) is not Handshake.RIGHT:
        raise ValueError(f"the scenario '{scenario}' needs TLS: Fake(…, tls=Tls())")


def write_authority(path: Path, tls: Tls) -> None:
    """Write the authority's certificate; raises OSError, also where another's file stands."""
    if path.exists() and not path.read_bytes().startswith(_TITLE):
        raise FileExistsError(f"{path} is there already, and not of this program's making")
    path.write_bytes(tls.authority_pem)


def _new_authority() -> "trustme.CA":
    check_tls()
    import trustme

    return trustme.CA()


def _right(authority: "trustme.CA", names: tuple[str, ...]) -> "trustme.LeafCert":
    return authority.issue_cert(*names)


def _wrong_host(authority: "trustme.CA", _: tuple[str, ...]) -> "trustme.LeafCert":
    return authority.issue_cert(ANOTHER_HOST)


def _unknown_authority(_: "trustme.CA", names: tuple[str, ...]) -> "trustme.LeafCert":
    return _new_authority().issue_cert(*names)


def _expired(authority: "trustme.CA", names: tuple[str, ...]) -> "trustme.LeafCert":
    begun, ended = _LONG_AGO
    return authority.issue_cert(*names, not_before=begun, not_after=ended)


_ISSUED: Final[
    Mapping[Handshake, Callable[["trustme.CA", tuple[str, ...]], "trustme.LeafCert"]]
] = {
    Handshake.WRONG_HOST: _wrong_host,
    Handshake.UNKNOWN_AUTHORITY: _unknown_authority,
    Handshake.EXPIRED: _expired,
}
