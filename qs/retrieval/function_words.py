# ruff: noqa: E501 - CJK characters are two columns wide, and are no longer lines for that
"""What of a question in Chinese, Japanese or Korean only asks, and names nothing.

These scripts give pairs of characters (`qs.retrieval.query`), and a pair that lies across a word's
end and a particle is rare in documents, so that it would weigh the most of all. So a question, not
a document, is cut at its function words before it is paired. The words are grammar, listed as any
textbook lists them; where the cutting would leave nothing, the question stays as it is.

A word of one character is a function word only where it cannot well be part of another: Japanese
particles behind a character that is no hiragana, Korean ones at the end of a word that keeps two
syllables, Chinese ones out of a short list.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

_CHINESE: Final = """的 了 吗 呢 吧 是 我 您 你 什么 怎么 怎样 怎么样 如何 为什么 为何 哪些 哪个 哪里 是否
有没有 可以 能否 能不能 这个 这些 那个 那些 关于 请问 一个 一些 应该 应当 需要 以及 多少 何时 或者 还是 我们 你们
什麼 怎麼 怎樣 為什麼 為何 哪裡 嗎 這個 這些 關於 請問 一個 應該 應當 還是 我們 你們"""
_JAPANESE: Final = """ですか ますか でしょうか ください とは という というのは するには するか する したい した
して しますか しています できますか できる どうやって どのように どのような どう どうすれば どんな どの どこ いつ なぜ
なに 何ですか 何 誰 方法 場合 について ための ため には では から まで より など この その あの これ それ あれ ある
あります います いる なる です ます ません ない ように よう こと もの ところ"""
_JAPANESE_PARTICLES: Final = "をがはにでとのへも"
_KOREAN: Final = """무엇 무엇인가요 무엇입니까 무슨 어떻게 어떤 왜 어디 어디서 언제 누가 누구 얼마나 있나요 있습니까
있는 있다 있을까요 없나요 되나요 하나요 합니까 해야 수 것 그 이 저 및 또는 그리고 제가 나는 내 저는 좀 더 대해 대한
위해 다른"""
_KOREAN_ENDINGS: Final = """은 는 이 가 을 를 에 의 로 으로 와 과 도 만 에서 에게 부터 까지 하고 이나 나 라는 이란 란
인가요 인가 입니까 합니까 하나요 한가요 할까요 까요 나요 습니까 하는 하려면 하면 할 한 해야 해 하기 들 들은 들을 들이
들의 에는 에서는 으로는"""
_SYLLABLES_KEPT: Final = 2


def _longest_first(words: str) -> list[str]:
    return sorted(words.split(), key=len, reverse=True)


_KANA: Final = re.compile("[\u3041-\u30ff]")
_HANGUL: Final = re.compile("[\uac00-\ud7a3]")
_CUT_CHINESE: Final = re.compile("|".join(_longest_first(_CHINESE)))
_CUT_JAPANESE: Final = re.compile(
    f"{'|'.join(_longest_first(_JAPANESE))}|(?<![\u3041-\u309f])[{_JAPANESE_PARTICLES}]|か$"
)
_KOREAN_ALONE: Final = frozenset(_KOREAN.split())
_ENDS_KOREAN: Final = tuple(_longest_first(_KOREAN_ENDINGS))


def is_japanese(text: str) -> bool:
    """Whether the text holds kana; Chinese shares all the rest of its characters."""
    return _KANA.search(text) is not None


def is_korean(text: str) -> bool:
    """Whether the text holds Hangul."""
    return _HANGUL.search(text) is not None


def telling_parts(run: str, *, japanese: bool) -> Iterable[str]:
    """The parts of a run of unspaced script that name something; none where it only asks."""
    if is_korean(run):
        return _korean(run)
    cut = _CUT_JAPANESE if japanese else _CUT_CHINESE
    return (part for part in cut.split(run) if part)


def _korean(word: str) -> Iterator[str]:
    if word in _KOREAN_ALONE:
        return
    for ending in _ENDS_KOREAN:
        if word.endswith(ending) and len(word) - len(ending) >= _SYLLABLES_KEPT:
            yield word.removesuffix(ending)
            return
    yield word
