"""What an OpenSearch server answers an ingest: what is due, or an `IndexFault`.

Nothing is coerced, and nothing that is missing counts as none: of what may be there and is not told
of, an ingest would make a hole.
"""

from collections.abc import Iterator, Sequence
from typing import Never

from qs.ingest.opensearch_client import OpenSearchClient
from qs.ingest.port import IndexFault
from qs.retrieval.opensearch_wire import Json


def records_of(
    client: OpenSearchClient, index: str | None, ids: Sequence[str], fields: str = ""
) -> Iterator[tuple[str, Json]]:
    """Those of these records that the index holds, by their ids. What may be there is a fault."""
    if index is None or not ids:
        return
    answer = client.ask("POST", f"{index}/_mget{fields}", {"ids": list(ids)})
    docs = a_list(answer.get("docs"))
    if len(docs) != len(ids):
        raise IndexFault("the server does not tell of every record")
    for id, told in zip(ids, map(a_dict, docs), strict=True):
        if told.get("_id") != id or type(told.get("found")) is not bool:
            raise IndexFault(f"the server does not tell of a record: {told.get('error')}")
        if told["found"]:
            yield id, a_dict(told.get("_source"))


def refresh(client: OpenSearchClient, index: str) -> None:
    """What was written can be searched."""
    expect_whole(client.ask("POST", f"{index}/_refresh"))


def expect_whole(answer: Json) -> None:
    shards = a_dict(answer.get("_shards"))
    if answer.get("timed_out", False) is not False or an_int(shards.get("failed")):
        raise IndexFault("the server's answer is partial")


def a_dict(value: object) -> Json:
    """The object that it is."""
    return value if isinstance(value, dict) else _raise("an object")


def a_list(value: object) -> Sequence[object]:
    """The array that it is."""
    return value if isinstance(value, list) else _raise("an array")


def strings(value: object) -> Sequence[str]:
    """The array of strings that it is."""
    return [a_string(one) for one in a_list(value)]


def a_string(value: object) -> str:
    """The string that it is."""
    return value if isinstance(value, str) else _raise("a string")


def an_int(value: object) -> int:
    """The whole number that it is; `true` is none."""
    return value if type(value) is int else _raise("a whole number")


def _raise(wanted: str) -> Never:
    raise IndexFault(f"the server's answer is not understood: {wanted} is missing in it")
