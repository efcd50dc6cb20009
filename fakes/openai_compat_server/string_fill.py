"""Strings made to order: of a length, of a format, of words.

Deterministic in the draw and the name it is made under. Refuses nothing: None says that there is
no such string here.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta

from fakes.openai_compat_server.seeded import Draw

_LOREM = """
lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore
et dolore magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris nisi aliquip
ex ea commodo consequat duis aute irure in reprehenderit voluptate velit esse cillum eu fugiat
nulla pariatur excepteur sint occaecat cupidatat non proident sunt culpa qui officia deserunt
mollit anim id est laborum
"""
WORDS = _LOREM.split()
_WORDS_USUAL = 5
_START = datetime(2025, 1, 1, tzinfo=UTC)
_YEAR_S = 31_536_000


def words(draw: Draw, name: str, count: int) -> list[str]:
    return [WORDS[int(draw.fraction(name, at) * len(WORDS))] for at in range(count)]


def text_between(draw: Draw, name: str, shortest: int, longest: int | None) -> str:
    """A few words, as many characters as asked for."""
    usual = 1 + int(draw.fraction(f"{name} length") * _WORDS_USUAL)
    text = " ".join(words(draw, name, usual + shortest // 4))
    while len(text) < shortest:
        text += " " + words(draw, f"{name} {len(text)}", 1)[0]
    if longest is not None and len(text) > longest:
        # A cut that ends in a space is a worse text, and no longer one.
        text = text[:longest].rstrip().ljust(shortest, "e")
    return text


def of_format(draw: Draw, name: str, kind: str) -> str | None:
    """A string of one of JSON Schema's formats; None for a format without a maker."""
    maker = _MAKERS.get(kind)
    return maker(draw, name) if maker else None


def has_format(kind: object, text: str) -> bool:
    """Whether the text has the format; any text has a format that is not known here."""
    pattern = _FORMS.get(kind) if isinstance(kind, str) else None
    if pattern is not None and not pattern.fullmatch(text):
        return False
    try:
        _READERS.get(str(kind), str)(text)
    except ValueError:
        return False
    return True


def _moment(draw: Draw, name: str) -> datetime:
    return _START + timedelta(seconds=int(draw.fraction(name) * _YEAR_S))


def _uuid(draw: Draw, name: str) -> str:
    """Version 4, variant 1, from the draw."""
    digits = draw.hex(name, 32)
    fourth = "89ab"[int(digits[16], 16) % 4] + digits[17:20]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{fourth}-{digits[20:]}"


def _word(draw: Draw, name: str) -> str:
    return words(draw, name, 1)[0]


_MAKERS: Mapping[str, Callable[[Draw, str], str]] = {
    "date-time": lambda draw, name: _moment(draw, name).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "date": lambda draw, name: _moment(draw, name).strftime("%Y-%m-%d"),
    "time": lambda draw, name: _moment(draw, name).strftime("%H:%M:%SZ"),
    "duration": lambda draw, name: f"PT{1 + int(draw.fraction(name) * 59)}M",
    "uuid": _uuid,
    "email": lambda draw, name: f"{_word(draw, name)}@example.com",
    "hostname": lambda draw, name: f"{_word(draw, name)}.example.com",
    "uri": lambda draw, name: f"https://example.com/{_word(draw, name)}",
    "ipv4": lambda draw, name: f"192.0.2.{1 + int(draw.fraction(name) * 254)}",
    "ipv6": lambda draw, name: f"2001:db8::{1 + int(draw.fraction(name) * 0xFFFE):x}",
}
_FORMS: Mapping[str, re.Pattern[str]] = {
    "date-time": re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "time": re.compile(r"\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)"),
    "duration": re.compile(r"P(?=.)(?:\d+[YMWD])*(?:T(?:\d+[HMS])+)?"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    "email": re.compile(r"[^@\s]+@[^@\s]+"),
    "hostname": re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*"),
    "uri": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+"),
}
_READERS: Mapping[str, Callable[[str], object]] = {
    "date-time": lambda text: datetime.fromisoformat(text.upper()),
    "date": date.fromisoformat,
    "time": lambda text: time.fromisoformat(text.upper()),
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
}
