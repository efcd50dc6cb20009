"""What carries the gateway's calls to the model server: whom it trusts, and through which proxy."""

import httpcore
import httpx

from hop.pool import UnusableAuthorities, make_transport, trust_of
from hop.settings import SettingsError, variables_of
from llmgw.config import GatewaySettings


def make_outgoing(
    settings: GatewaySettings, backend: httpcore.AsyncNetworkBackend | None = None
) -> httpx.AsyncHTTPTransport:
    """The transport that LLM_CA_FILE and LLM_PROXY ask for. Raises SettingsError.

    `backend`: None is the system's sockets.
    """
    try:
        trust = trust_of(settings.ca_file) if settings.ca_file else None
    except UnusableAuthorities as error:
        variable = variables_of(GatewaySettings)["ca_file"]
        line = f"{variable.name}={variable.shown(settings.ca_file)}: {error}"
        raise SettingsError([line]) from None
    return make_transport(trust=trust, proxy_url=settings.proxy, backend=backend)
