"""What the kernel knows of a process: processor time, memory, descriptors. Linux."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# The kernel's number for a process's own processor clock (clock_getcpuclockid of the C library).
_PROCESS_CLOCK = 2


def cpu_s(pid: int) -> float:
    """Processor time that a process and all its threads have used."""
    return time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)


def rss_bytes(pid: int) -> int:
    """Its resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE_BYTES


def open_files(pid: int) -> int:
    """How many descriptors it holds."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def cpu_of(pids: Mapping[str, int]) -> dict[str, float]:
    """The same of several, by their names."""
    return {name: cpu_s(pid) for name, pid in pids.items()}


def memory_of(pids: Iterable[int]) -> int:
    """Their memory together."""
    return sum(rss_bytes(pid) for pid in pids)
