"""An OpenSearch server as an engine under test, and the fake one behind real sockets."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from threading import Event, Thread

import httpx
import trio
from attrs import define, field

from fakes.opensearch_server.stage import FakeOpenSearch
from hop.call import make_client
from hop.pool import make_transport
from qs.ingest.opensearch_client import OpenSearchClient
from qs.ingest.opensearch_writer import open_alias
from qs.ingest.port import IndexWriter
from qs.retrieval.opensearch_index import OpenSearchIndex
from qs.retrieval.port import Retriever


@define
class OpenSearchEngine:
    """The index behind one alias of a server."""

    url: str
    alias: str = "bsl"
    trust: ssl.SSLContext | None = None  # None: whom the system trusts

    @contextmanager
    def client(self) -> Iterator[OpenSearchClient]:
        """A way to ask the server."""
        with httpx.Client(verify=self.trust or True, trust_env=False) as http:
            yield OpenSearchClient(http, self.url, sleep=lambda _: None)

    def writer(self) -> AbstractContextManager[IndexWriter]:
        return self._writer()

    @contextmanager
    def _writer(self) -> Iterator[IndexWriter]:
        with self.client() as client:
            yield open_alias(client, self.alias)

    def retriever(self) -> Retriever:
        client = make_client(make_transport(trust=self.trust))
        return OpenSearchIndex(client, self.url, self.alias)

    def delete(self) -> None:
        with self.client() as client:
            for name in client.ask("GET", f"{self.alias}-*/_alias"):
                client.find("DELETE", name)

    def age(self) -> None:
        with self.client() as client:
            told = {"_meta": {"bsl_format": 99}}
            client.ask("PUT", f"{self.alias}/_mapping", told)


@define
class _Thread:
    """A fake server's own thread: where it listens, and what stops it."""

    server: FakeOpenSearch
    tls: ssl.SSLContext | None
    listens: Event = field(factory=Event)
    port: int = 0
    stop: Callable[[], None] = lambda: None

    async def run(self) -> None:
        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self.stop = partial(token.run_sync_soon, nursery.cancel_scope.cancel)
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            self.listens.set()

    async def _serve(self, stream: trio.SocketStream) -> None:
        if self.tls is None:
            return await self.server.serve(stream)
        secured = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
        return await self.server.serve(secured)


@contextmanager
def served(server: FakeOpenSearch, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of the fake server, which listens there meanwhile; `tls`: behind TLS."""
    inside = _Thread(server, tls)
    thread = Thread(target=trio.run, args=(inside.run,), daemon=True)
    thread.start()
    assert inside.listens.wait(10)
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{inside.port}"
    finally:
        inside.stop()
        thread.join(10)
