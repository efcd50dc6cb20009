"""How a sentence speaks, as far as that tells whether it answers a question of this kind.

English only, and only a matter of degree: what these patterns miss is weighed by its words alone.
"""

import re

from fakes.openai_compat_server.terms import terms

# "How do I …?" is answered by what to do, "What is …?" by what it is.
_ASKS_HOW = re.compile(r"\bhow (?:do|can|could|should|would|to|may)\b|\bwhich command\b", re.I)
_ASKS_WHAT = re.compile(r"\bwhat(?:'s| is| are| does .{1,60} (?:do|mean))\b", re.I)
_ASKS_WHETHER = re.compile(
    r"(?:is|are|was|do|does|did|can|could|must|may|should|will|would|has|have)\b", re.I
)
_COMPARES = re.compile(
    r"\bdifferences? between\s(.{1,200}?)\sand\s(.{1,200}?)"
    r"(?=\s(?:in|on|for|of|when|if|with|at|from|here)\b|[?!;,]|\.?\s*$)",
    re.I,
)
_TELLS_HOW = re.compile(
    r"^To [a-z]|\b(?:run|running|execute|use|using|type|call|issue|invoke|do|set|put|install|add|"
    r"edit|enter|command)\b[^`]{0,60}`",
    re.I,
)
_TELLS_WHAT = re.compile(
    r"((?:(?! which | that | who )[^,;:]){1,80}?) (?:is|are|means|refers to|stands for)\b"
)
_TELLS_WHETHER = re.compile(r"(?:yes|no)[.,!—-]", re.I)
_LEANS = re.compile(
    r"(?:This|That|These|Those|It|They|He|She|Its|Their|Such|Then|Therefore|However|Likewise|Thus|"
    r"Hence|So|Also|And|But|Or|Otherwise|Instead|Note that|In this case|For example|Another|Both|"
    r"As an alternative|Alternatively|Similarly|Now|Again|Finally|Once)\b"
)
_FRAGMENT = re.compile(
    r"(?:and|or|but|to|then|which|that|with|where|while|for|in|of|as|by|so|because)\b|[),;]"
)

_FITS = 1.2


def fitness(question: str, sentence: str, opens: bool) -> float:
    """A factor: over 1 for a sentence that speaks the way the question asks, 0 for a stray.

    A sentence that begins with yes or no answers a question of its own, not "how" or "what". One
    that `opens` its passage may say "this" of what the heading names.
    """
    if _TELLS_WHETHER.match(sentence) and not _ASKS_WHETHER.match(question.strip()):
        return 0.0
    if _ASKS_HOW.search(question):
        return _FITS if _TELLS_HOW.search(sentence) else 1.0
    said = _TELLS_WHAT.match(sentence) if _ASKS_WHAT.search(question) else None
    if said is None:
        return 1.0
    named = opens if leans(sentence) else not set(terms(said[1])).isdisjoint(terms(question))
    return _FITS if named else 1.0


def compared(question: str) -> tuple[str, ...]:
    """The sides of "the difference between A, B and C": what lacks one of them tells nothing."""
    found = _COMPARES.search(question)
    return (*found[1].split(","), found[2]) if found else ()


def leans(sentence: str) -> bool:
    """Whether it rests on the sentence before it: "This searches …"."""
    return bool(_LEANS.match(sentence))


def stands(sentence: str) -> bool:
    """Whether it can be quoted at all: no question, no aside, no fragment, nothing left open."""
    left_open = sentence.endswith(("?", "？", ":", "：", ",")) or sentence.startswith("(")
    return not left_open and not _FRAGMENT.match(sentence)
