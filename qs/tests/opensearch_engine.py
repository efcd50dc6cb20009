"""An OpenSearch server as an engine under test, and the fake one behind real sockets."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from threading import Event, Thread

import httpx
import trio
from attrs import define, field

from fakes.opensearch_server.stage import FakeOpenSearch
from hop.call import make_client
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

    @contextmanager
    def client(self) -> Iterator[OpenSearchClient]:
        """A way to ask the server."""
        with httpx.Client(trust_env=False) as http:
            yield OpenSearchClient(http, self.url, sleep=lambda _: None)

    def writer(self) -> AbstractContextManager[IndexWriter]:
        return self._writer()

    @contextmanager
    def _writer(self) -> Iterator[IndexWriter]:
        with self.client() as client:
            yield open_alias(client, self.alias)

    def retriever(self) -> Retriever:
        return OpenSearchIndex(make_client(), self.url, self.alias)

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
    listens: Event = field(factory=Event)
    port: int = 0
    stop: Callable[[], None] = lambda: None

    async def run(self) -> None:
        token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self.stop = partial(token.run_sync_soon, nursery.cancel_scope.cancel)
            serve = partial(trio.serve_tcp, self.server.serve, 0, host="127.0.0.1")
            listeners = await nursery.start(serve)
            self.port = listeners[0].socket.getsockname()[1]
            self.listens.set()


@contextmanager
def served(server: FakeOpenSearch) -> Iterator[str]:
    """The address of the fake server, which listens there meanwhile."""
    inside = _Thread(server)
    thread = Thread(target=trio.run, args=(inside.run,), daemon=True)
    thread.start()
    assert inside.listens.wait(10)
    try:
        yield f"http://127.0.0.1:{inside.port}"
    finally:
        inside.stop()
        thread.join(10)
