"""Which index the settings name, opened for writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from qs.config import QueryServiceSettings
from qs.ingest.index_writer import open_index
from qs.ingest.port import IndexWriter


@frozen
class OpenWriter:
    """An index open for writing, and what a person calls it."""

    index: IndexWriter
    name: str


@contextmanager
def open_writer(settings: QueryServiceSettings) -> Iterator[OpenWriter]:
    """The index that the settings name; raises `IndexFault`."""
    path = Path(settings.index_path)
    with open_index(path) as index:
        yield OpenWriter(index, str(path))
