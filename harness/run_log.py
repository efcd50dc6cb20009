"""The run log that the gate reads: a line for each world or call that was played.

pytest --run-log FILE …        the fixture `run_log` adds to FILE; without it, to nothing
"""

import json
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from harness.coverage import record
from harness.evidence import Evidence


@frozen
class RunLog:
    """A file of lines, or None."""

    path: Path | None

    def add(self, evidence: Evidence) -> None:
        """A world, as it was."""
        self.write(record(evidence))

    def write(self, line: Mapping[str, object]) -> None:
        """A line, whole."""
        if self.path is not None:
            with self.path.open("a", encoding="ascii") as file:
                file.write(json.dumps(line) + "\n")
