"""Goal: a question is answered from the passage that answers it, or not at all.

Method: real questions over short real-looking passages in several languages.
"""

import pytest

from contracts.framing import FramedChunk
from fakes.openai_compat_server.extractive import best_quotes
from fakes.openai_compat_server.terms import terms

FAQ = (
    FramedChunk(
        "c1",
        "What is a Debian preinst script?",
        "These files are executable scripts which are run before or after a package is installed."
        " This script is executed before the package it belongs to is unpacked from its archive.",
    ),
    FramedChunk(
        "c2",
        "The Debian package management tools",
        "## 8.5. How can I find out what package produced a particular file?\n\n"
        "To identify the package that produced the file named foo execute either:\n\n"
        "```\ndpkg --search foo\n```\n\nThis searches for foo in installed packages.\n\n"
        "A faster alternative to this is the dlocate tool.",
    ),
    FramedChunk(
        "c3",
        "Kernels",
        "Users who wish to build a custom kernel use the package target of its build system."
        " The `root` account needs a password in capital letters.",
    ),
)
KOREAN = (
    FramedChunk("c1", "설치", "패키지를 설치하려면 `apt install` 명령을 실행하십시오."),
    FramedChunk(
        "c2", "로그", "로그 파일은 var 디렉터리에 저장됩니다. 매일 새 파일이 만들어집니다."
    ),
)
JAPANESE = (
    FramedChunk("c1", "停止", "サーバーを停止するには Ctrl-C を押します。"),
    FramedChunk("c2", "索引", "索引を作り直すには取り込みコマンドをもう一度実行します。"),
)
CHINESE = (
    FramedChunk("c1", "端口", "默认端口是 8088，可以用环境变量修改端口。"),
    FramedChunk("c2", "日志", "每个服务都把日志写到标准输出。"),
)
GERMAN = (
    FramedChunk("c1", "Anhalten", "Der Server wird mit Strg-C angehalten."),
    FramedChunk("c2", "Protokolle", "Die Protokolle stehen im Ordner var."),
)


@pytest.mark.parametrize(
    ("chunks", "question", "alias", "said"),
    [
        (FAQ, "How do I find out which package a file belongs to?", "c2", "`dpkg --search foo`"),
        (FAQ, "which package owns a file?", "c2", "`dpkg --search foo`"),
        (FAQ, "How can I build a custom kernel?", "c3", "package target"),
        (KOREAN, "패키지는 어떻게 설치하나요?", "c1", "`apt install`"),
        (KOREAN, "로그 파일은 어디에 저장되나요?", "c2", "var"),
        (JAPANESE, "サーバーを停止するにはどうすればいいですか？", "c1", "Ctrl-C"),
        (JAPANESE, "索引を作り直す方法を教えてください", "c2", "取り込み"),
        (CHINESE, "默认端口是什么？", "c1", "8088"),
        (CHINESE, "日志写到哪里？", "c2", "标准输出"),
        (GERMAN, "Wie wird der Server angehalten?", "c1", "Strg-C"),
    ],
)
def test_the_fitting_passage_is_quoted_when_there_is_one(
    chunks: tuple[FramedChunk, ...], question: str, alias: str, said: str
) -> None:
    quotes = best_quotes(chunks, question)
    assert 1 <= len(quotes) <= 3
    assert quotes[0].alias == alias
    assert said in " ".join(quote.text for quote in quotes)


@pytest.mark.parametrize(
    ("chunks", "question"),
    [
        (FAQ, "What is the capital of Mongolia?"),
        (FAQ, "How do I bake sourdough bread?"),
        (FAQ, "How do I build a package for Windows on Mars?"),
        (FAQ, "What is it?"),
        (FAQ, "???"),
        (FAQ, ""),
        (KOREAN, "몽골의 수도는 어디인가요?"),
        (JAPANESE, "モンゴルの首都はどこですか？"),
        (CHINESE, "蒙古的首都是什么？"),
        (GERMAN, "Was ist die Hauptstadt der Mongolei?"),
        ((), "How do I build a kernel?"),
        ((FramedChunk("c1", "", ""),), "How do I build a kernel?"),
    ],
)
def test_nothing_is_quoted_when_nothing_fits(
    chunks: tuple[FramedChunk, ...], question: str
) -> None:
    assert best_quotes(chunks, question) == ()


def answer(question: str, *passages: tuple[str, str]) -> str:
    chunks = [FramedChunk(f"c{n}", *passage) for n, passage in enumerate(passages, 1)]
    return " ".join(quote.text for quote in best_quotes(chunks, question))


def test_the_command_is_quoted_when_another_way_holds_more_words_of_the_question() -> None:
    title = "8.5. How can I find out what package produced a particular file?"
    contents = (
        "- `zgrep foo Contents`\n  This searches for files. Therefore, a user might have to search"
        " more than one file to find the package containing the file."
    )
    search = (
        "To identify the package that produced the file execute either:\n\n- `dpkg --search foo`\n"
        "  This searches for foo in installed packages.\n\n  ```\n  dlocate -S foo\n  ```"
    )
    said = answer(
        "How do I find out which package a file belongs to?", (title, contents), (title, search)
    )
    assert said == (
        "To identify the package that produced the file execute either: `dpkg --search foo`"
        " This searches for foo in installed packages."
    )


def test_neighbours_are_quoted_before_what_stands_elsewhere() -> None:
    said = answer(
        "How do I build the kernel?",
        (
            "Kernels",
            "Get the source. Build the kernel with `make`. This kernel is then installed. It boots."
            " Something else. A build takes time.",
        ),
        ("Other", "A kernel that you build is yours."),
    )
    assert said == "Build the kernel with `make`. This kernel is then installed."


def test_a_sentence_brings_what_it_rests_on() -> None:
    said = answer("Where are kernel logs kept?", ("", "There is a daemon. It keeps kernel logs."))
    assert said == "There is a daemon. It keeps kernel logs."


def test_the_heading_that_says_no_more_than_the_question_wins() -> None:
    said = answer(
        "What does dpkg do?",
        ("Tools › 8.1.2. dpkg split archives", "This program splits packages."),
        ("Tools › 8.1.1. dpkg", "This is the main package program."),
    )
    assert said == "This is the main package program."


def test_a_yes_or_no_is_quoted_only_when_it_was_asked_for() -> None:
    passage = ("Single user mode to upgrade packages", "No. Packages upgrade in place.")
    assert answer("How do I upgrade packages?", passage) == ""
    assert answer("Must I use single user mode to upgrade?", passage) == passage[1]


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("What is the difference between a package upgrade and a system upgrade?", False),
        ("What is the difference between packages and systems?", True),
        ("What is the difference between packages and systems in Debian?", True),
    ],
)
def test_a_comparison_is_answered_only_by_what_names_both(question: str, answers: bool) -> None:
    passage = ("Debian", "The packages and the systems differ in what an upgrade does.")
    assert bool(answer(question, passage)) is answers


def test_a_fragment_is_never_quoted() -> None:
    passage = ("Build a package", "to build the package, and then\n\n```\na\nb\nc\n```")
    assert answer("How do I build a package?", passage) == ""


def test_a_question_is_never_quoted_as_an_answer() -> None:
    chunk = FramedChunk("c1", "", "How do I build a kernel? Run make to build the kernel.")
    (quote,) = best_quotes((chunk,), "How do I build a kernel?")
    assert quote.text == "Run make to build the kernel."


def test_a_sentence_is_quoted_once_when_two_passages_hold_it() -> None:
    chunks = tuple(FramedChunk(f"c{n}", "", "Run make to build the kernel.") for n in (1, 2))
    assert [quote.alias for quote in best_quotes(chunks, "How do I build the kernel?")] == ["c1"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("files", "file"),
        ("installing", "installed"),
        ("installation", "install"),
        ("remove", "removed"),
        ("dependencies", "dependency"),
        ("stopped", "stop"),
        ("ＡＰＴ", "apt"),
    ],
)
def test_words_meet_when_only_their_endings_differ(one: str, other: str) -> None:
    assert terms(one) == terms(other) != []


def test_terms_leave_out_ballast() -> None:
    assert terms("How do I use it? 什么 どこですか") == ["us"]
    assert terms("C++ and C# in LLM_BASE_URL") == ["c++", "c#", "llm", "bas", "url"]
