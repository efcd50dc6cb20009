"""Goal: a question that leans on what was asked before is searched for with it, and no other is.

Method: the rules, one by one; then `docs/dialogues.toml` on the handbook, held to what was
measured, and the handbook's own questions, each behind one about something else.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from harness.dialogues import DOCS, TOP, alone, dialogues, following, index_of, misses
from qs.retrieval.followup import FUSED_HITS, QUESTIONS_MAX, WORDS_MAX, fused, queries
from qs.retrieval.port import Hit
from qs.retrieval.sqlite_index import SqliteIndex

APT = "What is APT?"
# Measured: 23 of 30 are found as they were asked, 27 with what was asked before. The handbook
# grows: one more may be missed.
MISSED_FOLLOWING = 4


LEANING = [
    ("And how do I remove it?", APT, "remove apt"),
    ("and how do I REMOVE it", APT, "remove apt"),
    ("What about the config files?", APT, "config files apt"),
    ("How about them?", APT, "apt"),
    ("Why?", APT, "apt"),
    ("Can I do that twice?", "How do I ingest a folder?", "twice ingest folder"),
    ("But is it safe to remove them?", APT, "safe remove apt"),
    ("And QS_PORT?", "What is QS_HOST?", "qs_port qs_host"),
    ("それを削除するには?", "APTとは何ですか?", "削除 apt"),
    ("では dpkg は?", "APTとは何ですか?", "dpkg apt"),
    ("古いものは削除できますか", "カーネルをコンパイルするには?", "削除 カーネル コンパイル"),
    ("怎么删除它？", "什么是虚拟软件包？", "删除 虚拟软件包"),
    ("那 unstable 呢？", "testing 发行版包含什么？", "unstable testing 发行版包含"),
    ("그걸 제거하려면 어떻게 하나요?", "APT는 무엇인가요?", "제거 apt"),
    ("그럼 unstable은요?", "testing 배포판은 무엇인가요?", "unstable testing 배포판"),
]


@pytest.mark.parametrize(("question", "before", "words"), LEANING)
def test_words_are_added_when_a_question_leans(question: str, before: str, words: str) -> None:
    assert queries(question, [before]) == (words, question)


STANDING = [
    "What is dpkg?",
    "How do I install the APT package manager on a new machine?",
    "What is the file .env.local and how do I create it?",
    "How can I tell that the start has finished?",
    "How long does it take to install Debian?",
    "Is there a mailing list?",
    "Is it possible to install Debian from a floppy disk?",
    "What is the garden used for by its owner?",
    "APTとは何ですか?",
    "什么是虚拟软件包？",
    "가상 패키지는 무엇인가요?",
    "Как удалить пакет?",
]


@pytest.mark.parametrize("question", STANDING)
def test_nothing_is_added_when_a_question_stands_by_itself(question: str) -> None:
    assert queries(question, ["Where is VoIP software?", "第一章は何?"]) == (question,)


@pytest.mark.parametrize("question", [question for question, *_ in LEANING])
def test_nothing_is_added_when_nothing_was_asked_before(question: str) -> None:
    assert queries(question, []) == (question,)


def test_words_come_from_further_back_when_the_last_question_leaned_too() -> None:
    earlier = ["Where is Java?", "What is APT?", "And dpkg?"]
    assert queries("And how do I remove it?", earlier)[0] == "remove dpkg apt"


def test_only_so_many_questions_and_words_are_looked_at() -> None:
    earlier = ["What is APT?", *["And why?"] * QUESTIONS_MAX]
    assert queries("And how?", earlier) == ("And how?",)
    long = "Tell me of " + " ".join(f"word{n}" for n in range(30))
    (added, _) = queries("And how?", [long])
    assert len(added.split()) == WORDS_MAX


def test_a_word_is_added_once_and_none_that_is_asked_anyway() -> None:
    assert queries("And apt?", ["APT apt remove APT?"]) == ("apt remove", "And apt?")


@pytest.mark.parametrize(
    "text", ["", "?", "\x00", "AND OR NOT", '"NEAR(', "é" * 4_000, "それ" * 2_000, "it " * 1_300]
)
def test_any_text_is_taken(text: str) -> None:
    for asked in (queries(text, [text]), queries(text, [APT]), queries("And it?", [text] * 9)):
        assert asked[-1] in (text, "And it?")


def hit(chunk: str, score: float = 0.5) -> Hit:
    return Hit(chunk, "d", None, None, chunk, score)


def test_what_both_searches_find_comes_first() -> None:
    found = fused([[hit("a"), hit("b"), hit("c")], [hit("d"), hit("b")]], 3)
    assert [one.chunk_id for one in found] == ["b", "a", "d"]


def test_one_search_is_left_as_it_is() -> None:
    hits = [hit("a"), hit("b")]
    assert fused([hits], 1) is hits


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return index_of(DOCS, tmp_path_factory.mktemp("handbook") / "index.sqlite3")


def test_follow_up_questions_find_their_sections(index: Path) -> None:
    asked = dialogues()
    assert len(asked) == 30
    missed = misses(index, asked, following)
    assert len(missed) <= MISSED_FOLLOWING, [following(one) for one in missed]
    assert len(misses(index, asked, alone)) >= len(missed) + 2, "they do not lean any more"


def test_a_question_of_its_own_finds_what_it_did_whatever_was_asked_before(index: Path) -> None:
    listed = tomllib.loads((DOCS / "questions.toml").read_text(encoding="utf-8"))
    asked = [(page["file"], words) for page in listed["page"] for words in page["questions"]]
    hurt = []

    async def look() -> None:
        retriever = SqliteIndex(index)

        async def pages(searches: Sequence[str]) -> list[str]:
            found = [await retriever.search(words, FUSED_HITS) for words in searches]
            return [one.doc_id.partition(":")[0] for one in fused(found, TOP)[:TOP]]

        for number, (page, question) in enumerate(asked):
            before = asked[(number + 37) % len(asked)][1]
            searches = queries(question, [before])
            by_itself = await pages([question])
            if len(searches) > 1 and page in by_itself and page not in await pages(searches):
                hurt.append((before, question))
        await retriever.aclose()

    trio.run(look)
    assert hurt == []
