"""The part of OpenSearch's query language that is known here, over records held in a dict.

`matched` gives a record's score and the names of the named queries that hold for it, or None. Text
is what the analyzer of the index makes of it: split at blanks, accents folded, stemmed (roughly).
A query of a kind that is not known is refused, as a real server refuses one.
"""

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence

from attrs import frozen

Json = Mapping[str, object]
Matched = tuple[float, frozenset[str]]
_K1, _B = 1.2, 0.75
CLAUSES_MAX = 1_024  # `indices.query.bool.max_clause_count` as it is set by itself
_ENDINGS = ("ations", "ation", "ing", "ed", "es", "e", "s")


class Refused(Exception):
    """A query that is not known here; the message says which."""


def analysed(text: str) -> list[str]:
    """The terms of a text."""
    return [_stem(_folded(word)) for word in text.split()]


def _folded(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not 0x300 <= ord(c) < 0x370)


def _stem(word: str) -> str:
    if word.endswith("ss"):
        return word
    for ending in _ENDINGS:
        if word.isascii() and word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending)
    return word


@frozen
class Field:
    """One text field over all records: which terms each record's text has."""

    terms: Mapping[str, Sequence[str]]  # by record

    def scored(self, record: str, wanted: Callable[[str], bool]) -> float | None:
        """BM25 of the record for terms that are wanted; None where it holds none."""
        held = self.terms.get(record, ())
        frequency = sum(map(wanted, held))
        if not frequency:
            return None
        holding = sum(any(map(wanted, terms)) for terms in self.terms.values())
        total = len(self.terms)
        average = sum(map(len, self.terms.values())) / total
        idf = math.log(1 + (total - holding + 0.5) / (holding + 0.5))
        norm = _K1 * (1 - _B + _B * len(held) / average)
        return idf * frequency * (_K1 + 1) / (frequency + norm)


@frozen
class Corpus:
    """The records of one index, as searched."""

    records: Mapping[str, Json]
    fields: Mapping[str, Field]

    def matched(self, record: str, query: Json) -> Matched | None:
        """The record's score and the names that hold for it; None where the query does not."""
        ((kind, told),) = query.items()
        body = told if isinstance(told, dict) else {}
        match kind:
            case "bool":
                return self._bool(record, body)
            case "term":
                ((key, value),) = body.items()
                return (1.0, frozenset()) if self.records[record].get(key) == value else None
            case "terms":
                ((key, values),) = body.items()
                return (1.0, frozenset()) if self.records[record].get(key) in values else None
            case "match" | "prefix":
                return self._text(record, kind, body)
            case "constant_score":
                inner = self.matched(record, body["filter"])
                return None if inner is None else (float(body["boost"]), _name(body))
        raise Refused(f"unknown query [{kind}]")

    def _bool(self, record: str, body: Json) -> Matched | None:
        if any(self.matched(record, query) is None for query in _listed(body, "filter")):
            return None
        found = [self.matched(record, query) for query in _listed(body, "should")]
        held = [one for one in found if one is not None]
        least = body.get("minimum_should_match", 0)
        if not isinstance(least, int) or len(held) < least:
            return None
        return sum(one[0] for one in held), frozenset().union(*(one[1] for one in held))

    def _text(self, record: str, kind: str, body: Json) -> Matched | None:
        ((name, told),) = body.items()
        field = self.fields.get(name)
        if field is None:
            return None
        options = told if isinstance(told, dict) else {}
        if kind == "prefix":
            beginning = str(options["value"])
            score = field.scored(record, lambda term: term.startswith(beginning))
        else:
            terms = set(analysed(str(options["query"] if options else told)))
            score = field.scored(record, terms.__contains__)
        return None if score is None else (score, _name(options))


def clauses(query: Json) -> int:
    """How many terms a ranked query may come to; Lucene refuses more than `CLAUSES_MAX`."""
    ((kind, told),) = query.items()
    body = told if isinstance(told, dict) else {}
    if kind == "bool":
        return sum(map(clauses, [*_listed(body, "filter"), *_listed(body, "should")]))
    if kind == "constant_score":
        return clauses(body["filter"])
    ((_, asked),) = body.items()
    options = asked if isinstance(asked, dict) else {}
    if kind == "match":
        return len(analysed(str(options["query"] if options else asked)))
    rewrite = str(options.get("rewrite", ""))
    return int(rewrite.rpartition("_")[2]) if rewrite.startswith("top_terms") else 1


def corpus_of(records: Mapping[str, Json], searched: Iterable[str]) -> Corpus:
    """The records made searchable in these text fields."""
    fields = {}
    for name in searched:
        texts = {id: analysed(str(told[name])) for id, told in records.items() if name in told}
        if texts:
            fields[name] = Field(texts)
    return Corpus(records, fields)


def _listed(body: Json, key: str) -> Sequence[Json]:
    told = body.get(key, [])
    return told if isinstance(told, list) else [told]  # type: ignore[list-item]  # a single query


def _name(options: Json) -> frozenset[str]:
    return frozenset([str(options["_name"])] if "_name" in options else [])
