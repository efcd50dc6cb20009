"""What the harness's clients ask about: questions, the passages that answer them, and their words.

Every question and every passage holds a word that stands nowhere else, so that a checker can tell
whose text it sees, and that none of it is where it must not be: in a log, or in another's answer.
"""

from typing import Final

from attrs import frozen

from qs.retrieval.port import Hit


@frozen
class Topic:
    """One question. The first passage answers it; `words` are its own, and nobody else's."""

    question: str
    passages: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """What its passages' ids begin with; not one of its words, for ids may be logged."""
        return f"topic{TOPICS.index(self)}"

    def hits(self, score: float = 0.9) -> tuple[Hit, ...]:
        """What a search for the question finds."""
        return tuple(
            Hit(
                chunk_id=f"{self.key}-{number}#1",
                doc_id=f"{self.key}-{number}",
                title=f"On {self.words[0]}, part {number}",
                url=f"https://docs.example/{self.words[0]}/{number}",
                content=passage,
                score=score,
            )
            for number, passage in enumerate(self.passages, start=1)
        )


def _topic(question: str, *passages: str, words: str) -> Topic:
    return Topic(question, passages, tuple(words.split()))


TOPICS: Final = (
    _topic(
        "How do I wind the zarquon lamp before the winter?",
        "To wind the zarquon lamp before the winter, turn the `brelk` key nineteen times.",
        "The lamp stands in the hall, beside the umbrella stand.",
        words="zarquon brelk",
    ),
    _topic(
        "Which oil does the quillip hinge need in the spring?",
        "The quillip hinge needs vorpoil oil in the spring, three drops a week.",
        "Other hinges need no oil at all.",
        "A hinge that squeaks is a hinge that works.",
        words="quillip vorpoil",
    ),
    _topic(
        "How long does the mestrade kettle boil on a stove?",
        "The mestrade kettle boils on a stove for fennimore minutes, and then it whistles.",
        words="mestrade fennimore",
    ),
    _topic(
        "What is the drabbit garden used for by its owner?",
        "The drabbit garden is used by its owner for growing ombleberries in rows.",
        "Gardens are open on Sundays.",
        words="drabbit ombleberries",
    ),
    _topic(
        "How do I open the tarnwick gate without a key?",
        "To open the tarnwick gate without a key, lift the `skelber` latch and push hard.",
        "The gate was painted last year.",
        "Keys are kept in the drawer.",
        "The drawer is locked.",
        words="tarnwick skelber",
    ),
    _topic(
        "Where is the pellonian bridge over the river?",
        "The pellonian bridge over the river is found near the yarrowmere mill.",
        "The river has four bridges.",
        words="pellonian yarrowmere",
    ),
)
BY_QUESTION: Final = {topic.question: topic for topic in TOPICS}
# What a client says was said before, its user's words and the assistant's by turns.
EARLIER: Final = tuple(
    f"Earlier I {what} something about the {word} cupboard."
    for what, word in (
        ("asked", "blivet"), ("answered", "crandle"), ("asked", "dosset"),
        ("answered", "empergle"), ("asked", "frobish"), ("answered", "gantrel"),
    )
)  # fmt: skip
OFF_TOPIC: Final = "What did the emperor's cook say about garlic?"
