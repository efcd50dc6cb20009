"""A text as the terms it can be matched by.

Words are folded, freed of stopwords and lightly stemmed, so that "files" meets "file". Chinese,
Japanese and Korean runs have no usable word boundaries here and become pairs of characters.
Deterministic and dictionary-free: it serves a stand-in for a model, not a search engine.
"""

import re
import unicodedata

_RUN = re.compile(
    r"(?P<cjk>[\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+)"
    r"|[^\W_\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+(?:\+\+|#)?"
)
_HIRAGANA = re.compile(r"[\u3041-\u309f]+")
_HANGUL = re.compile(r"[\uac00-\ud7af]+")

# English first; German, French and Spanish as far as their questions carry the same ballast.
_BALLAST = """
a about after all also am an and any are as at be because been before being between both but by
can could did do does doing done each either else ever every for from get gets give go goes got
had happen happens has have having he her here him his how i if in into is it its itself just
know let like
may me mean means might more most much must my need no nor not of off on once one only or other
our out over own please same shall she should show so some such tell than that the their them
then there these they this those through to too under until up us very want was way we were
what when where whether which while who whom whose why will with work works would
yes you your s t don
der die das den dem des ein eine einen einem einer und oder ist sind war wie was wo wer wann
warum welche welcher welches welchem zu zum zur in im auf mit von für ich man kann nicht es sich
le la les un une des du de et ou est sont que qui quoi quel quelle quels quelles comment
pourquoi où dans sur avec pour par je on il elle ce cette ne pas peut
el los las una unos unas y o es son qué quién cuál cuáles cómo dónde cuándo por con para en del
al se su lo no puedo puede
"""
_STOPWORDS = frozenset(_BALLAST.split())

# Question words and particles that say nothing of the matter asked about, longest first.
_CJK_BALLAST = re.compile(
    "为什么|怎么样|什么时候|什么|怎么|怎样|如何|哪里|哪个|哪些|请问|可以|是否|应该|需要|吗|呢|的|是|了"
    "|教えて|どうすれば|どうやって|どのように|ください|とは何|何ですか|どこ|どの|なぜ|いつ|ですか|ますか"
    "|무엇|어떻게|어디에서|어디서|어디|어느|어떤|언제|왜|인가요|입니까|습니까|합니까|하나요|나요|있는지|하는|있는"
)
_PARTICLE = re.compile(
    r"(?:에서는|에서|으로|에는|까지|부터|하고|은|는|이|가|을|를|에|의|로|와|과|도)$"
)

_SUFFIXES = ("ations", "ation", "ings", "ing", "edly", "ed", "ies", "es", "s", "ly")
_STEM_CHARS_MIN = 2


def terms(text: str) -> list[str]:
    """The terms of `text`, in order, repeats kept."""
    found: list[str] = []
    for run in _RUN.finditer(unicodedata.normalize("NFKC", text)):
        if run["cjk"]:
            found.extend(_pairs(run["cjk"]))
        else:
            word = run[0].casefold()
            if word not in _STOPWORDS:
                found.append(_stem(word))
    return found


def is_cjk(term: str) -> bool:
    """Whether the term came from a run without word boundaries."""
    return term[0] >= "\u3041"


def _pairs(run: str) -> list[str]:
    """Overlapping pairs of characters; a lone character stands for itself, grammar is dropped."""
    pairs: list[str] = []
    for part in _CJK_BALLAST.sub(" ", run).split():
        if _HANGUL.fullmatch(part) and len(part) > 2:
            part = _PARTICLE.sub("", part)
        windows = [part[at : at + 2] for at in range(max(1, len(part) - 1))]
        pairs.extend(pair for pair in windows if not _HIRAGANA.fullmatch(pair))
    return pairs


def _stem(word: str) -> str:
    """English endings cut: crude, but the same on both sides of a comparison."""
    if not word.isascii() or not word.isalpha():
        return word
    for suffix in _SUFFIXES:
        stem = word.removesuffix(suffix)
        if stem != word and len(stem) >= _STEM_CHARS_MIN and not word.endswith(("ss", "eed")):
            word = stem + ("y" if suffix == "ies" else "")
            break
    if len(word) > _STEM_CHARS_MIN and word[-1] == word[-2]:
        word = word[:-1]
    return word.removesuffix("e") if len(word) > _STEM_CHARS_MIN else word
