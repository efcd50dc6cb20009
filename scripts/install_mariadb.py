"""Installs Debian's MariaDB server for the tests that need a real one, where it is missing.

It needs root and apt, and says so where it has not; what apt prints is shown only if it fails. The
server that the package may start is the system's own affair: tests start one of their own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

PACKAGE = "mariadb-server"
PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
PROGRAMS = ("mariadbd", "mariadb-install-db", "mariadb-dump", "mariadb")
REFUSED = f"""\
a MariaDB server is needed and {{missing}} is not installed{{why}}:
  on Debian or Ubuntu: apt-get install {PACKAGE}   (as root)
  elsewhere: install MariaDB's server, so that these are on the PATH: {", ".join(PROGRAMS)}"""


def main() -> int:
    """Install what is missing; the exit status."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PLACES) is None]
    if not missing:
        return 0
    apt = shutil.which("apt-get")
    why = "" if apt else ", and there is no apt-get to install it"
    if apt and os.geteuid() != 0:
        why = ", and only root can install it"
    if why or apt is None:
        print(REFUSED.format(missing=missing[0], why=why), file=sys.stderr)
        return 1
    print(f"installing {PACKAGE} (once, about a minute)", flush=True)
    for command in ((apt, "update"), (apt, "install", "-y", "--no-install-recommends", PACKAGE)):
        done = _run(command)
        if done.returncode:
            print(done.stdout, file=sys.stderr)
            print(REFUSED.format(missing=missing[0], why=", and apt-get failed"), file=sys.stderr)
            return 1
    return 0


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(  # noqa: S603 - the system's own tool
        command,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
