"""Goal: whatever befalls an ingest into OpenSearch, the next one ends with everything, once.

Method: the fake server's engine behind httpx, in memory; ingests of real folders that are killed at
every request, and servers that are busy, broken or somebody else's.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from attrs import define, field

from fakes.opensearch_server.engine import Engine
from fakes.opensearch_server.faults import busy_for_every
from qs.ingest.files import list_files
from qs.ingest.opensearch_client import ATTEMPTS_MAX, OpenSearchClient
from qs.ingest.opensearch_writer import OpenSearchWriter, open_alias
from qs.ingest.pipeline import Summary, ingest
from qs.ingest.port import IndexFault
from qs.retrieval.opensearch_schema import CHUNK, DOCUMENT
from qs.tests.engine_conformance import chunk


class _Killed(BaseException):
    """The process is gone."""


@define
class _Server(httpx.BaseTransport):
    """The engine behind httpx. `before` may answer in its place, or kill who asks."""

    engine: Engine = field(factory=Engine)
    before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
    asked: int = 0
    slept: list[float] = field(factory=list)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if (instead := self.before(request)) is not None:
            return instead
        target = request.url.raw_path.decode()
        status, told = self.engine.answer(request.method, target, request.read())
        return httpx.Response(status, json=told)

    def open(self) -> OpenSearchWriter:
        http = httpx.Client(transport=self)
        return open_alias(OpenSearchClient(http, "http://os", sleep=self.slept.append), "bsl")

    def ingest(self, root: Path) -> Summary:
        return ingest(root, None, self.open(), list_files(root), lambda: None)

    def searched(self) -> dict[str, list[str]]:
        """What can be searched: each document's chunks, by path; and that its record says so."""
        index = self.engine.indices[self.engine.aliases["bsl"]]
        chunks: dict[str, list[str]] = {}
        for id, told in index.searched.records.items():
            if told["kind"] == CHUNK:
                chunks.setdefault(str(told["path"]), []).append(id)
        held = {
            str(told["path"]): sorted(told["chunks"])  # type: ignore[call-overload]  # a list
            for told in index.searched.records.values()
            if told["kind"] == DOCUMENT
        }
        assert {path: sorted(ids) for path, ids in chunks.items()} == held
        return {
            path: sorted(str(index.searched.records[id]["content"]) for id in ids)
            for path, ids in chunks.items()
        }


def _write(root: Path, pages: Mapping[str, str | bytes]) -> Path:
    root.mkdir(exist_ok=True)
    for page in root.iterdir():
        page.unlink()
    for name, text in pages.items():
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


BEFORE = {"a.md": "# A\n\nred\n\n## B\n\ngreen", "b.md": "# B\n\nblue", "c.md": "# C\n\nbrown"}
CUT_OFF = {"a.md": "# A\n\npink\n\n## B\n\ngreen", "b.md": "# B\n\nblue", "d.md": "# D\n\ngrey"}
AFTER = {"a.md": "# A\n\nred\n\n## C\n\nwhite", "d.md": "# D\n\nblack", "e.md": "# E\n\ncyan"}


def _killing_at(number: int, server: _Server) -> Callable[[httpx.Request], None]:
    begun = server.asked

    def before(_request: httpx.Request) -> None:
        if server.asked - begun == number:
            raise _Killed

    return before


# What the folder holds when the next ingest comes; b"\xff": it cannot be read then.
LATER: Mapping[str, Mapping[str, str | bytes]] = {
    "changed again": AFTER,
    "put back, but for one": {**BEFORE, "e.md": "# E\n\ncyan"},
    "put back": BEFORE,
    "the same still": CUT_OFF,
    "in part not to be read": {**CUT_OFF, "a.md": b"\xff", "e.md": "# E\n\ncyan"},
}


@pytest.mark.parametrize("name", LATER)
def test_nothing_is_twice_or_missing_when_an_ingest_is_killed_at_any_request(
    name: str, tmp_path: Path
) -> None:
    docs, later = tmp_path / "docs", LATER[name]
    whole = [_searched_when_whole(tmp_path, pages) for pages in (BEFORE, CUT_OFF, later)]
    for number, server in enumerate(_killed_servers(docs), start=1):
        server.ingest(_write(docs, later))
        found = server.searched()
        assert set(found) == set(later), f"killed at request {number}"
        for path, content in found.items():
            unread = isinstance(later[path], bytes)
            expected = [one[path] for one in (whole[:2] if unread else whole[2:])]
            assert content in expected, f"killed at request {number}"
    assert number > 15, "an ingest asks more often than that"


def test_what_was_cut_off_stays_as_it_was_when_the_next_ingest_is_of_another_folder(
    tmp_path: Path,
) -> None:
    docs, other = tmp_path / "docs", _write(tmp_path / "other", {"x.md": "# X\n\nviolet"})
    whole = [_searched_when_whole(tmp_path, pages) for pages in (BEFORE, CUT_OFF)]
    for number, server in enumerate(_killed_servers(docs), start=1):
        server.ingest(other)
        found = server.searched()
        assert found.pop("x.md") == ["violet"]
        for path in {**BEFORE, **CUT_OFF}:
            states = [one.get(path) for one in whole]
            assert found.get(path) in states, f"killed at request {number}"


def _killed_servers(docs: Path) -> Iterator[_Server]:
    """Servers whose second ingest was killed at its first request, its second, and so on."""
    killed, number = True, 0
    whole = _searched_when_whole(docs.parent, CUT_OFF)
    while killed:
        number += 1
        server = _Server()
        server.ingest(_write(docs, BEFORE))
        before = server.searched()
        server.before = _killing_at(number, server)
        try:
            server.ingest(_write(docs, CUT_OFF))
        except _Killed:
            assert server.searched() in (before, whole)
        else:
            killed = False
        server.before = lambda _: None
        yield server


def _searched_when_whole(folder: Path, pages: Mapping[str, str | bytes]) -> dict[str, list[str]]:
    server = _Server()
    server.ingest(_write(folder / "docs", pages))
    return server.searched()


def test_an_unchanged_folder_writes_nothing(tmp_path: Path) -> None:
    server = _Server()
    server.ingest(_write(tmp_path / "docs", BEFORE))
    engine = json.dumps(sorted(server.engine.indices))
    written = {name: index.written for name, index in server.engine.indices.items()}
    assert server.ingest(tmp_path / "docs").unchanged == 3
    assert json.dumps(sorted(server.engine.indices)) == engine
    assert {name: index.written for name, index in server.engine.indices.items()} == written


def test_the_index_before_stays_and_what_is_older_goes(tmp_path: Path) -> None:
    server = _Server()
    for number in range(4):
        server.ingest(_write(tmp_path / "docs", {"a.md": f"text {number}"}))
    assert sorted(server.engine.indices) == ["bsl-000003", "bsl-000004"]
    assert server.engine.aliases == {"bsl": "bsl-000004"}


def test_records_are_sent_again_when_there_was_no_room_for_them(tmp_path: Path) -> None:
    server, busy = _Server(), 6

    def before(request: httpx.Request) -> httpx.Response | None:
        nonlocal busy
        target = request.url.raw_path.decode()
        if "_bulk" not in target or not busy:
            return None
        busy -= 1
        status, told = busy_for_every(server.engine, target, request.read(), every=2)
        return httpx.Response(status, json=told)

    server.before = before
    server.ingest(_write(tmp_path / "docs", BEFORE))
    assert set(server.searched()) == set(BEFORE)
    assert not busy
    assert len(server.slept) >= 2
    assert server.slept == sorted(server.slept)


BUSY: Mapping[str, Callable[[httpx.Request], httpx.Response]] = {
    "429": lambda _: httpx.Response(429, json={"error": {"type": "rejected_execution_exception"}}),
    "503, a bare string": lambda _: httpx.Response(503, json={"error": "no master"}),
    "a proxy's 502": lambda _: httpx.Response(502, text="<html>"),
}


@pytest.mark.parametrize("name", BUSY)
def test_a_busy_server_is_waited_for_and_then_said_to_be_busy(name: str, tmp_path: Path) -> None:
    server, refusals = _Server(), 3

    def before(request: httpx.Request) -> httpx.Response | None:
        nonlocal refusals
        refusals -= 1
        return BUSY[name](request) if refusals >= 0 else None

    server.before = before
    server.ingest(_write(tmp_path / "docs", BEFORE))
    assert server.slept[:3] == [0.25, 0.5, 1.0]
    server.before, server.slept = BUSY[name], []
    with pytest.raises(IndexFault, match=r"429|502|503"):
        server.ingest(tmp_path / "docs")
    assert len(server.slept) == ATTEMPTS_MAX - 1


class _Endless(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        for _ in range(80):
            yield b" " * 1024**2
        raise AssertionError("it was read to its end")


def _breaks(_request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("reset")


ODD: Mapping[str, tuple[Callable[[httpx.Request], httpx.Response], str]] = {
    "no JSON": (lambda _: httpx.Response(200, text="<html>"), "not understood"),
    "a list": (lambda _: httpx.Response(200, json=[]), "not understood"),
    "an unknown alias": (lambda _: httpx.Response(200, json={"x": {}}), "not of this program"),
    "401": (lambda _: httpx.Response(401, text="Unauthorized"), "401 : Unauthorized"),
    "an encoding nobody asked for": (
        lambda _: httpx.Response(
            200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip")
        ),
        "incorrect header check",
    ),
    "without end": (
        lambda _: httpx.Response(200, stream=_Endless()),
        "its answer is over 67108864 bytes",
    ),
    "broken connections": (_breaks, "ReadError: reset"),
}


@pytest.mark.parametrize("name", ODD)
def test_a_server_that_says_something_else_ends_the_ingest_in_one_line(
    name: str, tmp_path: Path
) -> None:
    answers, said = ODD[name]
    with pytest.raises(IndexFault, match=said):
        _Server(before=answers).ingest(_write(tmp_path / "docs", BEFORE))


BULKS: Mapping[str, tuple[object, str]] = {
    "nothing": ({}, "does not answer for every record"),
    "too few": ({"items": []}, "does not answer for every record"),
    "hollow": ({"items": [{}, {}]}, "not understood"),
    "another's": ({"items": [{"index": {"_id": "x", "status": 200}}] * 2}, "not understood"),
}


@pytest.mark.parametrize("name", BULKS)
def test_a_bulk_counts_only_when_it_answers_for_each_record(name: str) -> None:
    told, said = BULKS[name]
    server = _Server()

    def before(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(200, json=told) if "_bulk" in str(request.url) else None

    server.before = before
    writer = server.open()
    with pytest.raises(IndexFault, match=said), writer.transaction():
        for page in ("a", "b"):
            writer.put("/root", page, "1", [chunk(page, "text")])


def test_a_record_that_the_server_refuses_ends_the_ingest() -> None:
    server = _Server()

    def before(request: httpx.Request) -> httpx.Response | None:
        if "_bulk" not in str(request.url):
            return None
        first = json.loads(request.read().splitlines()[0])["index"]["_id"]
        error = {"type": "mapper_parsing_exception", "reason": "no"}
        item = {"index": {"_id": first, "status": 400, "error": error}}
        return httpx.Response(200, json={"errors": True, "items": [item]})

    server.before = before
    writer = server.open()
    with pytest.raises(IndexFault, match="400 mapper_parsing_exception: no"), writer.transaction():
        writer.put("/root", "a", "1", [chunk("a", "text")])


def test_the_earlier_of_two_ingests_ends_when_a_later_one_writes() -> None:
    server = _Server()
    first, later = server.open(), server.open()
    with first.transaction():
        first.put("/root", "one", "1", [chunk("one", "one")])
    with later.transaction():
        later.put("/root", "two", "2", [chunk("two", "two")])
    with pytest.raises(IndexFault, match="another ingest"):
        first.publish()
    later.publish()
    assert set(server.searched()) == {"two"}, "who ended says so, and is to be run again"


def test_an_ingest_ends_when_another_was_published_since_it_began() -> None:
    server = _Server()
    first, later = server.open(), server.open()
    with later.transaction():
        later.put("/root", "two", "1", [chunk("two", "two")])
    later.publish()
    with pytest.raises(IndexFault, match="another ingest"), first.transaction():
        first.put("/root", "one", "1", [chunk("one", "one")])
    assert set(server.searched()) == {"two"}
    assert server.engine.aliases == {"bsl": "bsl-000001"}


def test_an_answer_that_drips_is_given_up_after_its_time() -> None:
    server, clock = _Server(), iter(range(10_000))
    server.before = lambda _: httpx.Response(200, stream=_Dripping())
    http = httpx.Client(transport=server)
    client = OpenSearchClient(
        http, "http://os", sleep=server.slept.append, now=lambda: next(clock) * 1.0
    )
    with pytest.raises(IndexFault, match="no whole answer in 120 s"):
        client.ask("GET", "bsl")
    assert server.asked == ATTEMPTS_MAX


class _Dripping(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield from [b"{"] * 1_000


def test_an_answer_that_is_lost_is_no_harm_whichever_it_is(tmp_path: Path) -> None:
    expected, lost, number = _searched_when_whole(tmp_path, AFTER), True, 0
    while lost:
        number, lost, server = number + 1, False, _Server()
        server.ingest(_write(tmp_path / "docs", BEFORE))
        at = server.asked + number

        def before(
            request: httpx.Request, server: _Server = server, at: int = at
        ) -> httpx.Response | None:
            nonlocal lost
            if server.asked != at:
                return None
            lost = True
            server.engine.answer(request.method, request.url.raw_path.decode(), request.read())
            raise httpx.ReadError("reset")

        server.before = before
        server.ingest(_write(tmp_path / "docs", AFTER))
        assert server.searched() == expected, f"lost at request {number}"
    assert number > 15, "an ingest asks more often than that"


PARTS: Mapping[str, tuple[str, object]] = {
    "a record that cannot be had": (
        "_mget",
        {"docs": [{"_id": "?", "error": {"type": "no_shard_available_action_exception"}}] * 3},
    ),
    "records that are not told of": ("_mget", {"docs": []}),
    "a refresh of a part": ("_refresh", {"_shards": {"total": 2, "successful": 1, "failed": 1}}),
    "a refresh of nobody knows what": ("_refresh", {"_shards": {}}),
}


@pytest.mark.parametrize("name", PARTS)
def test_an_ingest_ends_and_changes_nothing_when_the_server_tells_a_part(
    name: str, tmp_path: Path
) -> None:
    server = _Server()
    server.ingest(_write(tmp_path / "docs", BEFORE))
    before, (what, told) = server.searched(), PARTS[name]
    server.before = lambda asked: httpx.Response(200, json=told) if what in asked.url.path else None
    with pytest.raises(IndexFault):
        server.ingest(_write(tmp_path / "docs", AFTER))
    server.before = lambda _: None
    assert server.searched() == before


def test_an_index_in_the_aliass_place_is_left_alone() -> None:
    server = _Server()
    server.engine.answer("PUT", "/bsl", b'{"mappings": {}}')
    with pytest.raises(IndexFault, match="is an index, not an alias"):
        server.open()
