"""A disk that is full, for one program at a time.

    with small_disk(folder) as disk:
        disk.place, disk.under      where it is, and the command under which a program sees it
        disk.fill()                 from here on not a byte more can be written there

It is a tmpfs of a few hundred kilobytes in a mount namespace of its own: a real file system that
really says ENOSPC, seen by nobody else. Root makes one anywhere; others where the kernel lets them
have a user namespace. Where neither may be (most containers), the limit on a file's size is what is
left: EFBIG instead of ENOSPC, so `is_real` is false and the suite's last lines say so.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import define, field

from harness.stack import Running
from harness.tidy import ROOT

# What a test's report holds where the disk was not one.
UNREAL: Final = ("full_disk", "a limit on the size of files")
_SIZE_KB: Final = 512
_USER: Final = ("--user", "--map-root-user")
# What holds the namespace until its stdin ends, and says when the disk is there.
_HOLD: Final = 'mount -t tmpfs -o size="$1"k tmpfs "$2" && echo mounted && exec cat'


@define
class SmallDisk:
    """The disk, and the way to it."""

    place: Path
    is_real: bool
    under: Sequence[str] = field(factory=list)

    def fill(self) -> None:
        """Leave no room."""
        if not self.is_real:
            self.under = ["prlimit", "--fsize=0:unlimited"]
            return
        self._run("dd", "if=/dev/zero", f"of={self.place}/ballast", "bs=1k")
        assert self._run("dd", "if=/dev/zero", f"of={self.place}/more", "bs=1", "count=1") != 0

    def make_room(self, *seen_by: Running) -> None:
        """Take the ballast out again, for these programs too."""
        if not self.is_real:
            self.under = []
            for program in seen_by:
                self._run("prlimit", f"--pid={program.process.pid}", "--fsize=unlimited:unlimited")
            return
        assert self._run("rm", "-f", f"{self.place}/ballast", f"{self.place}/more") == 0

    def _run(self, *command: str) -> int:
        done = subprocess.run(  # noqa: S603 - the system's own tools, no shell
            [*self.under, *command], capture_output=True, check=False
        )
        return done.returncode


@contextmanager
def small_disk(place: Path) -> Iterator[SmallDisk]:
    """A small disk at this empty folder; what was in it is gone when it is left."""
    for user in ((), _USER):
        holder = subprocess.Popen(  # noqa: S603 - the system's own tools
            ["unshare", *user, "--mount", "sh", "-c", _HOLD, "sh", str(_SIZE_KB), str(place)],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        with holder:
            assert holder.stdout is not None
            if holder.stdout.readline() != b"mounted\n":
                continue
            join = ["--user", "--preserve-credentials"] if user else []
            enter = ["nsenter", f"--target={holder.pid}", *join, "--mount", f"--wd={ROOT}"]
            try:
                yield SmallDisk(place, True, enter)
            finally:
                holder.kill()
            return
    yield SmallDisk(place, False)
