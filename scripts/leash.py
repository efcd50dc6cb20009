"""Ties a program's life to its parent's, so that a killed supervisor leaves nothing behind.

    python -I -S leash.py PARENT_PID COMMAND…

asks the kernel to SIGKILL this process when the parent is gone, then becomes COMMAND (the request
survives `exec`). The kernel watches the *thread* that made the child: the parent must start it from
a thread that lives as long as itself. Linux only; elsewhere the command simply runs, and a killed
supervisor's programs must be stopped by hand. Standard library alone.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent(signum: signal.Signals, parent_pid: int) -> bool:
    """Ask for `signum` when the parent goes; False when it has already gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    # A parent that died before the request was made sends nothing: look once, afterwards.
    return os.getppid() == parent_pid


def main(parent_pid: int, command: list[str]) -> None:
    """Becomes `command`, or ends at once when there is no parent to belong to."""
    if not die_with_parent(signal.SIGKILL, parent_pid):
        sys.exit("the program that started this one is gone")
    os.execvp(command[0], command)  # noqa: S606 - the supervisor's own command, no shell


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
