"""Bars as an SVG, without a library. Pure."""

from collections.abc import Sequence
from html import escape
from typing import Final

from attrs import frozen

_WIDTH: Final = 760
_NAMES: Final = 150
_VALUES: Final = 90
_BAR: Final = 18
_LINE: Final = 26
_HEAD: Final = 40
_OURS: Final = "#2f6f4f"
_OTHERS: Final = "#8a93a0"
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#222}.h{font-weight:600}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)


@frozen
class Bar:
    """One bar: its name, its length in the chart's unit, and whether it is ours."""

    name: str
    value: float
    is_ours: bool


@frozen
class Chart:
    """Bars under one title; the longest fills the width."""

    title: str
    unit: str
    bars: Sequence[Bar]


def svg(charts: Sequence[Chart]) -> str:
    """The charts, one under the other."""
    parts, top = [], 0
    for chart in charts:
        parts.append(_text(0, top + 22, chart.title, ' class="h"'))
        longest = max((bar.value for bar in chart.bars), default=0) or 1
        for number, bar in enumerate(chart.bars):
            parts += _bar(bar, chart.unit, longest, top + _HEAD + number * _LINE)
        top += _HEAD + len(chart.bars) * _LINE + 12
    size = f'width="{_WIDTH}" height="{top}" viewBox="0 0 {_WIDTH} {top}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{_STYLE}</style>'
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _bar(bar: Bar, unit: str, longest: float, top: int) -> list[str]:
    width = max(1, round((_WIDTH - _NAMES - _VALUES) * bar.value / longest))
    fill = _OURS if bar.is_ours else _OTHERS
    place = f'x="{_NAMES}" y="{top}" width="{width}" height="{_BAR}" fill="{fill}"'
    value = f"{bar.value:,.0f} {unit}" if bar.value >= 10 else f"{bar.value:.1f} {unit}"
    return [
        _text(0, top + 14, bar.name),
        f"<rect {place}/>",
        _text(_NAMES + width + 8, top + 14, value),
    ]


def _text(x: int, y: int, text: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}"{more}>{escape(text)}</text>'
