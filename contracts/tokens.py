"""How many tokens a text is, as far as that can be told without the model's tokenizer. Pure.

One for every three bytes of UTF-8 (CONTRACT §4). English has four bytes to a token and more, a
character of Chinese, Japanese or Korean is three bytes and seldom more than a token: for prose the
estimate is rather too high. It is too low for long numbers, encoded data and scripts a model knows
badly.
"""

from typing import Final

BYTES_PER_TOKEN: Final = 3
# What a chat template puts round one message.
MESSAGE_TOKENS: Final = 8


def tokens(text: str) -> int:
    """The estimate for a text."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def message_tokens(text: str) -> int:
    """The estimate for one message of a conversation."""
    return MESSAGE_TOKENS + tokens(text)
