"""Which index the settings name, opened for writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from attrs import frozen

from hop.pool import UnusableAuthorities, trust_of
from qs.config import QueryServiceSettings
from qs.ingest.index_writer import open_index
from qs.ingest.opensearch_client import OpenSearchClient
from qs.ingest.opensearch_writer import open_alias
from qs.ingest.port import IndexFault, IndexWriter
from qs.retrieval.opensearch_index import signed_in


@frozen
class OpenWriter:
    """An index open for writing, and what a person calls it."""

    index: IndexWriter
    name: str


@contextmanager
def open_writer(settings: QueryServiceSettings) -> Iterator[OpenWriter]:
    """The index that the settings name; raises `IndexFault`."""
    if settings.retriever == "opensearch":
        with _http(settings.os_ca_file) as http:
            headers = signed_in(settings.os_user, settings.os_password)
            client = OpenSearchClient(http, settings.os_url, headers)
            name = f"{settings.os_url}/{settings.os_alias}"
            yield OpenWriter(open_alias(client, settings.os_alias), name)
    else:
        path = Path(settings.index_path)
        with open_index(path) as index:
            yield OpenWriter(index, str(path))


def _http(ca_file: str) -> httpx.Client:
    try:
        trust = trust_of(ca_file) if ca_file else True
    except UnusableAuthorities as error:
        raise IndexFault(f"QS_OS_CA_FILE={ca_file!r}: {error}") from None
    return httpx.Client(
        verify=trust,
        trust_env=False,
        follow_redirects=False,
        headers={"accept-encoding": "identity"},
    )
