"""What can be broken: the rows of `*.toml` beside this file, and which of them still apply.

A mutant is one law in words, one place in one file, and the tests that have to notice. Its old text
must stand in the file exactly once; a row of which that is no longer true is *stale*, and so is one
whose tests are gone: it proves nothing, and is an error that names it. Changes nothing.
"""

import ast
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from attrs import frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.v import transform_error

LISTS: Final = Path(__file__).resolve().parent
_CONVERTER: Final = Converter(forbid_extra_keys=True)


@frozen
class Mutant:
    """One row. `killed_by` are pytest's node ids; `hangs`: noticing may take the form of a hang."""

    name: str
    law: str
    file: str
    old: str
    new: str
    killed_by: tuple[str, ...]
    hangs: bool = False
    listed_in: str = ""

    @property
    def rests_on(self) -> set[str]:
        """The files that decide what becomes of it."""
        return {self.file, self.listed_in, *(test.partition("::")[0] for test in self.killed_by)}

    def stale(self, root: Path) -> str:
        """Why this row proves nothing in that tree; empty where it does."""
        path = root / self.file
        if not path.is_file():
            return f"there is no {self.file}"
        count = path.read_text(encoding="utf-8").count(self.old)
        if count != 1:
            return f"its old text stands {count} times in {self.file}, not once"
        if self.old == self.new or not self.killed_by:
            return "it changes nothing, or names no tests"
        return next((f"there is no test {t}" for t in self.killed_by if not _is_test(root, t)), "")


class BadList(Exception):
    """A list that can not be read; the message names the file and the place."""


def listed(root: Path, lists: Path = LISTS) -> list[Mutant]:
    """Every mutant of every list. Raises BadList."""
    found = [row for path in sorted(lists.glob("*.toml")) for row in _rows(root, path)]
    counts = Counter(mutant.name for mutant in found)
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise BadList(f"stands twice: {', '.join(repeated)}")
    return found


def named(mutants: Sequence[Mutant], pattern: str) -> list[Mutant]:
    """Those whose name fits; `*` stands for anything."""
    return [mutant for mutant in mutants if fnmatchcase(mutant.name, pattern)]


def touched(mutants: Sequence[Mutant], changed: Collection[str]) -> list[Mutant]:
    """Those whose own file, list or tests are among the changed files."""
    return [mutant for mutant in mutants if mutant.rests_on & set(changed)]


def _rows(root: Path, path: Path) -> Iterator[Mutant]:
    where = path.relative_to(root).as_posix()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        for row in table.pop("mutant"):
            yield _CONVERTER.structure({**row, "listed_in": where}, Mutant)
    except BaseValidationError as error:
        raise BadList(f"{where}: {row.get('name')}: {'; '.join(transform_error(error))}") from None
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise BadList(f"{where}: {error}") from None


def _is_test(root: Path, test: str) -> bool:
    """Whether that function stands in that file."""
    file, _, name = test.partition("::")
    path = root / file
    if not name or not path.is_file():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(node, functions) and node.name == name for node in tree.body)
