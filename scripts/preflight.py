"""Names what this machine lacks or has in the way, one line each, before anything is installed.

Runs under whatever `python3` there is, with the standard library alone: the syntax stays within
Python 3.6, so that an old interpreter reads the file and says what is wrong instead of failing on
its grammar. It changes nothing and installs nothing.

    python3 -m scripts.preflight setup    interpreter, venv module, space, permissions
    python3 -m scripts.preflight run      the same, and the ports `make run` will listen on
"""

import errno
import importlib
import os
import re
import shutil
import socket
import sys
from pathlib import Path

from scripts.ports import listening, llm_problems, starts_llamacpp

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
NEWER = ("python3.11", "python3.12", "python3.13", "python3.14")
INSTALL_MB = 500  # .venv with the development tools is 250 MB; pip unpacks beside it
RUN_MB = 50  # the index, the logs
LLAMACPP_MB = 400  # .venv-fidelity is 220 MB; pip unpacks beside it


def interpreter_problems(version: "tuple[int, ...]", executable: str) -> "list[str]":
    """The interpreter is too old; a newer one that stands beside it is offered by name."""
    if tuple(version[:2]) >= OLDEST:
        return []
    found = ".".join(str(part) for part in version[:3])
    newer = [name for name in NEWER if shutil.which(name)]
    advice = newer[0] if newer else "python3.11"
    lead = "call make" if newer else "install one, then call make"
    return [f"Python 3.11 or newer is needed; {executable} is {found}: {lead} with PYTHON={advice}"]


def venv_problems(version: "tuple[int, ...]") -> "list[str]":
    """Debian and Ubuntu ship Python without the parts of `venv`: name the package that has them."""
    try:
        importlib.import_module("venv")
        importlib.import_module("ensurepip").version()
    except Exception as cause:  # whatever breaks here breaks `python -m venv` too
        package = "python{}.{}-venv".format(*version[:2])
        return [
            f"Python's venv module is incomplete ({cause}): "
            f"on Debian or Ubuntu `apt-get install {package}`"
        ]
    return []


def space_problems(free_bytes: int, needed_mb: int, where: Path) -> "list[str]":
    """Less free space than the work ahead takes."""
    free_mb = free_bytes // 1_000_000
    if free_mb >= needed_mb:
        return []
    return [f"{where} has {free_mb} MB free and {needed_mb} MB are needed: make some room"]


def permission_problems(where: Path) -> "list[str]":
    """The checkout cannot be written to."""
    if os.access(where, os.W_OK | os.X_OK):
        return []
    return [f"{where} is not writable: .venv/ and var/ are made in it"]


def read_settings(lines: "list[str]") -> "dict[str, str]":
    """`.env.local` as far as a port or a host needs it: NAME=value, quotes, comments."""
    settings = {}
    for line in lines:
        name, found, value = line.strip().partition("=")
        name = name.replace("export ", "", 1).strip()
        if not found or name.startswith("#"):
            continue
        quote = value.strip()[:1]
        if quote in ("'", '"') and value.count(quote) > 1:
            value = value.split(quote)[1]
        else:
            value = re.sub(r"\s#.*", "", value).strip()
        settings[name] = value
    return settings


def port_problems(settings: "dict[str, str]") -> "list[str]":
    """A port that is no port, given twice, or taken."""
    found = []
    seen = {}  # type: dict[str, str]
    for variable, default, host_variable in listening(settings):
        text = settings.get(variable) or str(default)
        if not (text.isdigit() and 0 < int(text) < 65536):
            found.append(f"{variable} is {text!r}: a port is a number from 1 to 65535")
        elif text in seen:
            found.append(f"{variable} and {seen[text]} are both {text}: give each its own")
        else:
            seen[text] = variable
            host = settings.get(host_variable) or "127.0.0.1"
            found += listen_problems(variable, host_variable, host, int(text))
    return found


def listen_problems(variable: str, host_variable: str, host: str, port: int) -> "list[str]":
    """Tries to listen as the program will, and says in words why it would not work."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
    except OSError as cause:
        if cause.errno == errno.EADDRINUSE:
            return [
                f"port {port} ({variable}) is in use: stop what listens there, "
                f"or set {variable} in the environment or in .env.local"
            ]
        if cause.errno == errno.EACCES:
            return [f"port {port} ({variable}) needs privileges: set {variable} to 1024 or more"]
        return [f"cannot listen on {host}:{port} ({host_variable}, {variable}): {cause.strerror}"]
    return []


def problems(purpose: str, root: Path, environ: "dict[str, str]") -> "list[str]":
    """Everything that is missing, at once, so that one visit to the package manager is enough."""
    installed = (root / ".venv" / ".run-set").exists()  # the Makefile's mark
    found = interpreter_problems(tuple(sys.version_info[:3]), sys.executable or "python3")
    if not found and not installed:
        found += venv_problems(tuple(sys.version_info[:3]))
    found += permission_problems(root)
    needed = RUN_MB if installed else INSTALL_MB
    settings = dict(local_settings(root), **environ)
    if purpose == "run":
        found += llm_problems(settings)
        has_llamacpp = (root / ".venv-fidelity" / ".fidelity-set").exists()  # the Makefile's mark
        needed += LLAMACPP_MB if starts_llamacpp(settings) and not has_llamacpp else 0
    found += space_problems(shutil.disk_usage(root).free, needed, root)
    if purpose == "run":
        found += port_problems(settings)
    return found


def local_settings(root: Path) -> "dict[str, str]":
    """What `.env.local` says, or nothing where there is none."""
    path = root / ".env.local"
    if not path.is_file():
        return {}
    return read_settings(path.read_text(encoding="utf-8", errors="replace").splitlines())


def main(arguments: "list[str]") -> int:
    """Prints one line per problem on stderr; 1 when there is any."""
    purpose = arguments[0] if arguments else "run"
    if purpose not in ("setup", "run"):
        sys.stderr.write("usage: python3 -m scripts.preflight [setup|run]\n")
        return 2
    found = problems(purpose, ROOT, dict(os.environ))
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
