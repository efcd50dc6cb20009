"""What is known of the worlds that were judged: a file that only grows, one line for each of them.

A run that was stopped, however hard, goes on from it. A line that was not written to its end is no
line. The file's name is the code's fingerprint, so that other code begins one of its own.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cattrs
from attrs import asdict, define, frozen

_converter: Final = cattrs.Converter(forbid_extra_keys=True)


@frozen
class Line:
    """One world. `plan` and `told` are those of one that failed: how it is played again."""

    seed: int
    words: tuple[str, ...]
    items: tuple[str, ...]
    cpu_s: float
    violations: tuple[str, ...] = ()
    plan: str = ""


@frozen
class Told:
    """What was found out about a world that failed."""

    seed: int
    told: tuple[str, ...]


@define
class State:
    """The file. Its folder is made when the first line is written."""

    path: Path

    def lines(self) -> Iterator[Line | Told]:
        """All that was written so far, one by one; a seed may be there twice."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for text in file:
                if (line := _read(text)) is not None:
                    yield line

    def add(self, line: Line | Told) -> None:
        """Written at once: whoever is killed after it has lost nothing of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        said = {key: value for key, value in asdict(line).items() if value not in ((), "")}
        with self.path.open("ab") as file:
            torn = b"" if self._ends_whole() else b"\n"
            file.write(torn + json.dumps(said).encode("ascii") + b"\n")

    def _ends_whole(self) -> bool:
        with self.path.open("rb") as file:
            if file.seek(0, 2) == 0:
                return True
            file.seek(-1, 2)
            return file.read(1) == b"\n"

    def forget(self) -> None:
        """Begin anew."""
        self.path.unlink(missing_ok=True)


def _read(text: str) -> Line | Told | None:
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    usual = {"words": (), "items": ()}
    if "told" in fields:
        return _converter.structure(fields, Told)
    return _converter.structure({**usual, **fields}, Line)
