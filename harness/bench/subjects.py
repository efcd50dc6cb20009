"""Starts everything that is measured, each as a process of its own, and ends it.

    with open_subjects(folder) as subjects:
        subjects.rows, .direct, .fake, .upstream_port, .chain_pids
    with open_profiled(folder) as profiled:
        profiled.rows, .write_profiles()    our programs once more, with their profiles

Our programs run as in production, validating and logging, with room for as many calls as are
asked at once. Whoever is not installed is left out, and is named in `missing`.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from attrs import define, field

from harness.bench import rows
from harness.bench.peers import PEERS, NotInstalled, Peer
from harness.bench.rows import Row
from harness.stack import READY_S, Stack, free_ports, open_stack
from harness.tidy import ROOT

HOPS: Final = ("bff", "qs", "llmgw")
# LiteLLM imports for a minute where the processor is shared.
_PATIENCE_S: Final = 180.0
# Room for as many calls as are asked at once, and time for them on a machine that is busy.
_RELAYS: Final = ("relay", "relay_2", "relay_3")  # each stands before the one named before it
_ROOM: Final = {
    "LLM_MAX_CONCURRENCY": "2000",
    "LLM_MAX_QUEUE": "2000",
    "LLM_TIMEOUT_MS": "40000",
    "QS_CHAT_TIMEOUT_MS": "44000",
    "BFF_CHAT_TIMEOUT_MS": "45000",
    "LLM_CONNECT_TIMEOUT_MS": "20000",
    "LLM_FIRST_TOKEN_TIMEOUT_MS": "30000",
    "LLM_IDLE_TIMEOUT_MS": "30000",
    "HOP_CONNECT_TIMEOUT_MS": "20000",
    "QS_RETRIEVAL_TIMEOUT_MS": "20000",
}


class NotStarted(Exception):
    """A subject does not listen; the message has its last words."""


@define
class Subjects:
    """What runs."""

    stack: Stack
    upstream_port: int
    upstream_pid: int
    rows: list[Row]
    direct: Row
    fake: Row
    relays: Row
    missing: dict[str, str] = field(factory=dict)  # why a peer is not measured

    @property
    def chain_pids(self) -> dict[str, int]:
        """The chain's three processes."""
        return {hop: self.stack[hop].process.pid for hop in HOPS}


@contextmanager
def open_subjects(folder: Path, peers: Sequence[Peer] = PEERS) -> Iterator[Subjects]:
    """Everything, listening. Raises NotStarted."""
    own = free_ports(("upstream", *_RELAYS, "pass_through", "fake", *(peer.name for peer in peers)))
    upstream = own["upstream"]
    address = {"LLM_BASE_URL": f"http://127.0.0.1:{upstream}/v1"}
    with ExitStack() as held:
        upstream_pid = held.enter_context(run_module("upstream", folder, upstream))
        behind, relays = upstream, {}
        for name in _RELAYS:
            (folder / name).mkdir()
            module = run_module("relay", folder / name, own[name], behind)
            behind, relays[name] = own[name], held.enter_context(module)
        through = held.enter_context(
            run_module("pass_through", folder, own["pass_through"], upstream)
        )
        settings = {**_ROOM, **address}
        stack = held.enter_context(open_stack(folder, rows.documents(), **settings))
        stack.start("fake", "serve", "--persona", "echo", "--quiet", "--latency", "ttft=0s,itl=0s")
        for hop in reversed(HOPS):
            stack.start(hop)
        pid = {name: running.process.pid for name, running in stack.running.items()}
        direct = rows.openai_row(rows.DIRECT, upstream, {})
        measured = [
            rows.openai_row(rows.RELAY, own["relay"], {"relay": relays["relay"]}),
            rows.openai_row(rows.PASS_THROUGH, own["pass_through"], {"pass-through": through}),
            rows.gateway_row(stack["llmgw"].port, {"llmgw": pid["llmgw"]}),
            rows.chain_row(stack["bff"].port, {hop: pid[hop] for hop in HOPS}),
        ]
        fake = rows.fake_row(stack["fake"].port, {"fake": pid["fake"]})
        three = rows.openai_row(rows.RELAYS, behind, relays)
        subjects = Subjects(stack, upstream, upstream_pid, measured, direct, fake, three)
        for peer in peers:
            try:
                command, environ = peer.command(folder, own[peer.name], upstream)
            except NotInstalled as why:
                subjects.missing[peer.name] = str(why)
                continue
            port = own[peer.name]
            process = held.enter_context(_process(peer.name, command, environ, folder, port))
            pids = {peer.name: process}
            measured.append(rows.openai_row(peer.name, port, pids, headers=peer.headers(upstream)))
        yield subjects


@define
class Profiled:
    """Our programs under `harness.bench.profiled`, which slows them: no figure is taken here."""

    stack: Stack
    rows: list[Row]

    def begin(self) -> None:
        """Forget what was sampled so far."""
        for hop in HOPS:
            self.stack[hop].process.send_signal(signal.SIGUSR1)

    def profiles(self) -> dict[str, Path]:
        """What was sampled since, one file for each hop."""
        outs = {hop: self.stack.folder / f"{hop}.profile.json" for hop in HOPS}
        for hop, out in outs.items():
            out.unlink(missing_ok=True)
            self.stack[hop].process.send_signal(signal.SIGUSR2)
        until = time.monotonic() + READY_S
        while not all(out.exists() for out in outs.values()):
            if time.monotonic() > until:
                raise NotStarted("a profile was not written")
            time.sleep(0.02)
        return outs


@contextmanager
def open_profiled(folder: Path) -> Iterator[Profiled]:
    """Our programs once more, each with its profile. Raises NotStarted."""
    upstream = free_ports(("upstream",))["upstream"]
    settings = {**_ROOM, "LLM_BASE_URL": f"http://127.0.0.1:{upstream}/v1"}
    with (
        run_module("upstream", folder, upstream),
        open_stack(folder, rows.documents(), **settings) as stack,
    ):
        for hop in reversed(HOPS):
            out = str(folder / f"{hop}.profile.json")
            stack.launch(hop, (), {}, under=[sys.executable, "-m", "harness.bench.profiled", out])
        measured = [
            rows.gateway_row(stack["llmgw"].port, {}),
            rows.chain_row(stack["bff"].port, {}),
        ]
        yield Profiled(stack, measured)


@contextmanager
def run_module(name: str, folder: Path, port: int, *arguments: int) -> Iterator[int]:
    """One of the benchmark's own programs; its process id."""
    command = [sys.executable, "-m", f"harness.bench.{name}", str(port), *map(str, arguments)]
    with _process(name, command, None, folder, port) as pid:
        yield pid


@contextmanager
def _process(
    name: str, command: Sequence[str], environ: Mapping[str, str] | None, folder: Path, port: int
) -> Iterator[int]:
    log = folder / f"{name.lower()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - pinned programs, no shell
            command,
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_listening(name, process, port, log)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _wait_listening(name: str, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise NotStarted(f"{name} does not listen: {log.read_text('utf-8', 'replace')[-2000:]}")
