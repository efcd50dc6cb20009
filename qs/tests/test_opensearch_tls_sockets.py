"""Goal: an OpenSearch server behind TLS is a server like any other, and an impostor is none.

Method: the fake server behind real TLS on a real socket, with an authority made for the test; the
engines' suite over it, and the ingest's command and the retriever as their settings open them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import trio
from attrs import define, field

from contracts.reasons import ReasonCode
from fakes.openai_compat_server.scenario import Handshake
from fakes.openai_compat_server.tls import Tls
from fakes.opensearch_server.stage import FakeOpenSearch
from hop.settings import SettingsError, load
from qs.config import QueryServiceSettings
from qs.ingest.__main__ import main
from qs.retrieval.engines import make_outgoing, open_retriever
from qs.retrieval.port import Hit, RetrievalFault
from qs.tests.engine_conformance import Engine, EngineConformance
from qs.tests.opensearch_engine import OpenSearchEngine, served

USER, PASSWORD = "reader", "never-shown"


class TestOpenSearchBehindTls(EngineConformance):
    """The suite of both engines."""

    @pytest.fixture
    def engine(self) -> Iterator[Engine]:
        tls = Tls()
        with served(FakeOpenSearch(), tls.context(Handshake.RIGHT)) as url:
            yield OpenSearchEngine(url, trust=tls.trust())


@define
class _Place:
    """A folder to ingest, and the file that says whom to trust."""

    docs: Path
    authority: Path
    tls: Tls = field(factory=Tls)

    def environ(self, url: str, **more: str) -> Mapping[str, str]:
        return {
            "QS_RETRIEVER": "opensearch",
            "QS_OS_URL": url,
            "QS_OS_USER": USER,
            "QS_OS_PASSWORD": PASSWORD,
            "QS_OS_CA_FILE": str(self.authority),
            **more,
        }


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    made = _Place(tmp_path / "docs", tmp_path / "authority.pem")
    made.docs.mkdir()
    (made.docs / "apt.md").write_text("# APT\n\nAPT installs a package.")
    made.authority.write_bytes(made.tls.authority_pem)
    return made


def _search(environ: Mapping[str, str]) -> list[Hit]:
    async def ask() -> list[Hit]:
        settings, _ = load(QueryServiceSettings, environ)
        async with open_retriever(settings) as retriever:
            hits = list(await retriever.search("install a package", 3))
            assert (await retriever.check()).ok
            return hits

    return trio.run(ask)


def test_the_ingest_and_the_search_trust_whom_the_settings_name(
    place: _Place, capsys: pytest.CaptureFixture[str]
) -> None:
    server = FakeOpenSearch()
    with served(server, place.tls.context(Handshake.RIGHT)) as url:
        environ = place.environ(url)
        assert main([str(place.docs)], environ) == 0
        assert [hit.content for hit in _search(environ)] == ["APT installs a package."]
    assert {entry.headers["authorization"] for entry in server.journal} == {
        "Basic cmVhZGVyOm5ldmVyLXNob3du"
    }
    told = capsys.readouterr()
    assert PASSWORD not in told.out + told.err


IMPOSTORS = {
    "of another authority": Handshake.UNKNOWN_AUTHORITY,
    "of another name": Handshake.WRONG_HOST,
    "out of date": Handshake.EXPIRED,
}


@pytest.mark.parametrize("name", IMPOSTORS)
def test_a_server_with_a_certificate_is_refused_when_that_is(
    name: str, place: _Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(FakeOpenSearch(), place.tls.context(IMPOSTORS[name])) as url:
        _assert_refused(place, place.environ(url), "CERTIFICATE_VERIFY_FAILED", capsys)


def test_a_private_authority_is_not_trusted_when_no_file_names_it(
    place: _Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(FakeOpenSearch(), place.tls.context(Handshake.RIGHT)) as url:
        environ = place.environ(url, QS_OS_CA_FILE="")
        _assert_refused(place, environ, "CERTIFICATE_VERIFY_FAILED", capsys)


class _Plain(FakeOpenSearch):
    """Answers a handshake as an HTTP server does."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        async with stream:
            await stream.receive_some(65_536)
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")


def test_a_server_that_does_not_speak_tls_is_refused(
    place: _Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(_Plain()) as url:
        environ = place.environ(url.replace("http:", "https:"))
        _assert_refused(place, environ, "WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE", capsys)


def _assert_refused(
    place: _Place, environ: Mapping[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(place.docs)], environ) == 1
    told = capsys.readouterr().err
    assert any(one in told for one in said.split("|")), told
    assert len(told.splitlines()) == 1
    assert PASSWORD not in told
    with pytest.raises(RetrievalFault) as caught:
        _search(environ)
    assert caught.value.code is ReasonCode.RAG_UNAVAILABLE
    assert PASSWORD not in caught.value.detail


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_is_none_is_said_before_any_call(
    content: str | None, place: _Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.authority.unlink()
    if content is not None:
        place.authority.write_text(content)
    environ = place.environ("https://127.0.0.1:9")
    assert main([str(place.docs)], environ) == 1
    assert "QS_OS_CA_FILE" in capsys.readouterr().err
    settings, _ = load(QueryServiceSettings, environ)
    with pytest.raises(SettingsError, match="QS_OS_CA_FILE"):
        make_outgoing(settings)


@define
class _Rude(FakeOpenSearch):
    """Closes so many connections in the middle of their handshakes."""

    rude: int = 2

    async def serve(self, stream: trio.abc.Stream) -> None:
        if self.rude:
            self.rude -= 1
            assert isinstance(stream, trio.SSLStream)
            await stream.transport_stream.aclose()
        else:
            await super().serve(stream)


def test_an_ingest_waits_for_a_server_that_breaks_off_handshakes(place: _Place) -> None:
    server = _Rude()
    with served(server, place.tls.context(Handshake.RIGHT)) as url:
        assert main([str(place.docs)], place.environ(url)) == 0
    assert not server.rude
