"""Goal: no text a person can type breaks the search, and both sides cut text alike.

Method: properties over any text against a real FTS5 table with the index's own tokenizer, and
examples from the scripts that the tokenizers of SQLite get wrong.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qs.retrieval.query import QUERY_TERMS_MAX, any_of, index_terms, query_terms, quoted
from qs.retrieval.relevance import coverage, standing, weight
from qs.retrieval.sqlite_schema import SCHEMA

ANY_TEXT = st.text(max_size=200) | st.text(alphabet="\"'*^:()-+{}.,?_ aßéАб検索한국กำ", max_size=60)


def _table(*documents: str) -> sqlite3.Connection:
    table = sqlite3.connect(":memory:")
    table.executescript(SCHEMA)
    for document in documents:
        table.execute(
            "INSERT INTO chunks_fts (heading, trail, content) VALUES ('', '', ?)",
            (" ".join(index_terms(document)),),
        )
    return table


def _finds(document: str, question: str) -> bool:
    with closing(_table(document)) as table:
        found = table.execute(
            "SELECT count(*) FROM chunks_fts WHERE chunks_fts MATCH ?",
            (any_of(query_terms(question)),),
        )
        return bool(found.fetchone()[0])


@pytest.mark.parametrize(
    "hostile",
    ["C++ AND", "hello-world", "?", '"foo', "NEAR(a b)", "title:x*", "' OR 1=1 --", "^a", "{b}: c"],
)
def test_the_query_language_is_never_reached_when_a_question_looks_like_it(hostile: str) -> None:
    assert not _finds("anything at all", hostile)


@pytest.fixture(scope="module")
def one_document() -> Iterator[sqlite3.Connection]:
    with closing(_table("one document")) as table:
        yield table


@given(text=ANY_TEXT)
def test_fts5_takes_the_query_when_the_text_is_anything(
    one_document: sqlite3.Connection, text: str
) -> None:
    rows = one_document.execute(
        "SELECT rowid FROM chunks_fts WHERE chunks_fts MATCH ?", (any_of(query_terms(text)),)
    ).fetchall()
    assert len(rows) <= 1, "there is one document"


@given(ANY_TEXT)
def test_every_term_of_a_question_is_in_the_index_when_the_document_says_the_same(
    text: str,
) -> None:
    asked, indexed = query_terms(text), index_terms(text)
    assert set(asked) <= set(indexed) | {term[0] for term in indexed}
    assert len(asked) <= QUERY_TERMS_MAX
    assert all('"' not in quoted(term)[1:].rstrip("*")[:-1] for term in asked)


@pytest.mark.parametrize(
    "question", ["", "   ", "?!…", "What is it?", "how do I", "Why would they have been there?"]
)
def test_there_is_no_query_when_a_question_says_nothing(question: str) -> None:
    assert query_terms(question) == ()


@pytest.mark.parametrize(
    ("document", "question"),
    [
        ("Installing packages needs root.", "How do I install a package?"),
        ("Set QS_INDEX_PATH to a file.", "what is qs_index_path"),
        ("Set QS_INDEX_PATH to a file.", "where is the index?"),
        ("The package's files", "packages"),
        ("Größe der Übertragung", "GRÖSSE"),
        ("Größe der Übertragung", "ubertragung"),
        ("패키지를 설치합니다", "패키지 설치"),
        ("データベースを検索する", "検索"),
        ("如何安装软件包", "安装"),
        ("飼い猫", "猫"),
        ("子猫が好き", "猫"),
        ("ติดตั้งแพ็กเกจ", "ติดตั้ง"),
        ("संस्करण बदलें", "संस्करण"),
        ("ﬁle ＡＢＣ", "file abc"),
    ],
)
def test_a_document_is_found_when_its_word_is_asked_for(document: str, question: str) -> None:
    assert _finds(document, question)


@pytest.mark.parametrize(
    ("document", "question"),
    [("検索エンジン", "索検"), ("संस्करण", "सरकार"), ("the index path", "QS_PORT of llmgw")],
)
def test_a_document_is_not_found_when_only_its_letters_are_asked_for(
    document: str, question: str
) -> None:
    assert not _finds(document, question)


def test_a_name_with_underscores_is_one_term_and_its_parts() -> None:
    assert query_terms("RAG_NO_CHUNKS") == ("rag_no_chunks", "rag", "chunks")
    assert index_terms("__init__") == ["init"]


def test_coverage_is_the_weighed_share_when_some_terms_are_missing() -> None:
    weights = {"capital": 2.0, "mongolia": 6.0}
    assert coverage(weights, []) == 0.0
    assert coverage(weights, ["capital"]) == pytest.approx(0.25)
    assert coverage(weights, ["capital", "mongolia"]) == 1.0
    assert coverage({}, []) == 0.0


def test_coverage_reaches_one_when_a_long_question_is_covered_by_its_rarest_terms() -> None:
    weights = {f"term{n}": 1.0 for n in range(40)}
    assert coverage(weights, [f"term{n}" for n in range(6)]) == 1.0


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_a_term_weighs_more_the_fewer_chunks_hold_it(total: int, holding: int) -> None:
    holding = min(holding, total)
    assert weight(holding, total) > 0
    assert holding == 0 or weight(holding - 1, total) > weight(holding, total)


def test_a_heading_that_says_the_question_doubles_the_rank() -> None:
    asked = ["find", "package"]
    assert standing(3.0, asked, asked) == 6.0
    assert standing(3.0, asked, []) == 3.0
