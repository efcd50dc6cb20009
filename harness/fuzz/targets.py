"""The targets of `make fuzz` by name: each takes the bytes of an input and raises at a broken law.

Whatever a target raises is a finding, and so is an input that takes too long or too much memory.
"""

from collections.abc import Callable, Mapping
from typing import Final

from harness.fuzz.text_targets import TEXT_TARGETS
from harness.fuzz.wire_targets import WIRE_TARGETS

TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {**WIRE_TARGETS, **TEXT_TARGETS}
