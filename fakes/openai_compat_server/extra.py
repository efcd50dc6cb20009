"""What the extra `fake` pulls, for whoever was installed without it: one line, and no traceback.

Imports nothing but the standard library, as nothing else need be there.
"""

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NoReturn

_OURS = ("fakes", "contracts")


def told(fault: ModuleNotFoundError) -> str:
    """What to install; raises the fault itself where it is a module of ours that is missing."""
    if fault.name is None or fault.name.partition(".")[0] in _OURS:
        raise fault
    return f"needs the library {fault.name}: pip install '.[fake]'"


@contextmanager
def or_exit(program: str) -> Iterator[None]:
    """For the imports of a program: ends it, with status 1, where a library is missing."""
    try:
        yield
    except ModuleNotFoundError as fault:
        print(f"{program}: {told(fault)}", file=sys.stderr)
        sys.exit(1)


class Refusing:
    """A module's `__getattr__` where the names it is for could not be imported."""

    def __init__(self, module: str, names: Collection[str], fault: ModuleNotFoundError) -> None:
        self._module, self._names = module, names
        self._why, self._library = f"{module} {told(fault)}", fault.name

    def __call__(self, name: str) -> NoReturn:
        if name in self._names:
            raise ImportError(self._why, name=self._library)
        raise AttributeError(f"module {self._module!r} has no attribute {name!r}")
