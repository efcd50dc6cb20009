"""Which search engine the settings name, opened; and whom it trusts."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import trio

from contracts.limits import CLEANUP_MS
from hop.call import make_client
from hop.pool import UnusableAuthorities, make_transport, trust_of
from hop.settings import SettingsError, variables_of
from qs.blocking import in_worker_threads
from qs.config import QueryServiceSettings
from qs.retrieval.opensearch_index import OpenSearchIndex, signed_in
from qs.retrieval.port import Retriever
from qs.retrieval.sqlite_index import SqliteIndex

_SEARCH_THREADS: Final = 4


def trusted(settings: QueryServiceSettings) -> ssl.SSLContext | None:
    """Whom QS_OS_CA_FILE trusts; None: whom the system trusts. Raises SettingsError."""
    if settings.retriever != "opensearch" or not settings.os_ca_file:
        return None
    try:
        return trust_of(settings.os_ca_file)
    except UnusableAuthorities as error:
        variable = variables_of(QueryServiceSettings)["os_ca_file"]
        line = f"{variable.name}={variable.shown(settings.os_ca_file)}: {error}"
        raise SettingsError([line]) from None


def make_outgoing(settings: QueryServiceSettings) -> httpx.AsyncHTTPTransport:
    """What carries QS's calls to the gateway; unusable settings are found here, before any call."""
    trusted(settings)
    return make_transport()


@asynccontextmanager
async def open_retriever(settings: QueryServiceSettings) -> AsyncIterator[Retriever]:
    """The engine that the settings name, closed at the end."""
    retriever = _made(settings)
    try:
        yield retriever
    finally:
        with trio.move_on_after(CLEANUP_MS / 1000, shield=True):
            await retriever.aclose()


def _made(settings: QueryServiceSettings) -> Retriever:
    if settings.retriever == "opensearch":
        return OpenSearchIndex(
            make_client(make_transport(trust=trusted(settings))),
            settings.os_url,
            settings.os_alias,
            signed_in(settings.os_user, settings.os_password),
            settings.hop_connect_timeout_ms / 1000,
        )
    limiter = trio.CapacityLimiter(_SEARCH_THREADS)
    return SqliteIndex(Path(settings.index_path), in_worker_threads(limiter))
