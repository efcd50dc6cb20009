"""Goal: a sentence that speaks the way the question asks is told from one that does not.

Method: questions and sentences in, verdicts out.
"""

import pytest

from fakes.openai_compat_server.manner import compared, fitness, leans, stands


@pytest.mark.parametrize(
    ("question", "sentence", "fits"),
    [
        ("How do I build it?", "Run `make` to build it.", True),
        ("How do I build it?", "To build it, call the maintainer.", True),
        ("How do I build it?", "It takes an hour.", False),
        ("What is a kernel?", "A kernel is the core of a system.", True),
        ("What is a kernel?", "A daemon is a program for the kernel.", False),
        ("What is a kernel?", "Many programs which the kernel starts are small.", False),
        ("Where is the kernel?", "A kernel is the core of a system.", False),
    ],
)
def test_a_sentence_fits_when_it_tells_what_was_asked(
    question: str, sentence: str, fits: bool
) -> None:
    assert (fitness(question, sentence, opens=False) > 1) is fits


def test_this_names_the_heading_only_when_it_opens_the_passage() -> None:
    sentence = "This is the main program."
    assert fitness("What is dpkg?", sentence, opens=True) > 1
    assert fitness("What is dpkg?", sentence, opens=False) == 1


def test_yes_and_no_are_strays_unless_they_were_asked_for() -> None:
    assert fitness("How do I upgrade?", "No. It runs on.", opens=True) == 0
    assert fitness("Must I stop to upgrade?", "No. It runs on.", opens=True) == 1


@pytest.mark.parametrize(
    ("question", "sides"),
    [
        ("What is the difference between a cat and a dog?", ("a cat", "a dog")),
        ("The difference between a, b and c here?", ("a", " b", "c")),
        ("What is between the walls and the roof?", ()),
        ("Who am I?", ()),
    ],
)
def test_a_comparison_has_its_sides(question: str, sides: tuple[str, ...]) -> None:
    assert compared(question) == sides


def test_a_sentence_is_known_to_lean_or_to_stand() -> None:
    assert leans("This searches for it.")
    assert not leans("Thistles grow.")
    assert stands("Run it.")
    assert not any(
        map(stands, ["Really?", "Do this:", "(An aside.)", "and then go on.", ") ends."])
    )
