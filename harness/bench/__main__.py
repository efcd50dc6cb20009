"""The command behind `make bench`. Progress goes to stderr, figures to stdout.

Exit codes: 0 when all was measured, reached or not; 1 when something could not be; 130 when it was
stopped, after everything that it had started.
"""

import argparse
import asyncio
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from harness.bench import page, plot, report
from harness.bench.course import GAP_MS, QUICK, RATE, STREAMS, WHOLE, Course, Found, Size
from harness.bench.load import Cut, closed_loop
from harness.bench.rows import WrongAnswer
from harness.bench.subjects import NotStarted, open_profiled, open_subjects
from harness.bench.upstream import ANSWER
from harness.tidy import ROOT

_PAGE = ROOT / "docs/benchmarks.md"
_WORDS = Path(__file__).with_name("page.md")
_PLOT = ROOT / "docs/benchmarks.svg"
_PROFILE_S = 4.0


def _tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def _measure(size: Size) -> tuple[Found, dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _tell("starting everything that is measured")
        with open_subjects(Path(folder)) as subjects:
            for name, why in subjects.missing.items():
                _tell(f"{name} is left out: {why}")
            found = asyncio.run(Course(subjects, size, _tell).run())
        _tell("profiles")
        return found, _profiles(Path(folder) / "profiled")


def _profiles(folder: Path) -> dict[str, str]:
    """Each hop's profile while the whole chain streams."""
    folder.mkdir()
    with open_profiled(folder) as profiled:
        chain = profiled.rows[-1]
        asyncio.run(closed_loop(chain.port, chain.stream, STREAMS, 1.0))
        profiled.begin()
        asyncio.run(closed_loop(chain.port, chain.stream, STREAMS, _PROFILE_S))
        return {hop: out.read_text("utf-8") for hop, out in profiled.profiles().items()}


def _facts() -> Mapping[str, str]:
    """What the page says that no measurement did."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return {
        "tokens": str(len(ANSWER.split())),
        "rate": f"{RATE:g}",
        "gap": f"{GAP_MS:g}",
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{machine}, Python {platform.python_version()}",
    }


def _show(found: Found, profiles: Mapping[str, str]) -> None:
    parts = {
        "plain calls": report.plain_table(found),
        "streams": report.stream_table(found),
        "live streams": report.live_table(found),
        "leaving, ms": report.leaving_table(found),
        "processor time": report.cpu_table(found),
        "after the load": report.recovery_table(found),
        "profiles": page.profile_tables(profiles),
        "targets": page.targets_table(found),
    }
    for title, text in parts.items():
        print(f"\n{title}\n{text}")
    print(f"\n{report.bottleneck(found)}")


def main(arguments: list[str]) -> int:
    """Measure, and write the page where all of it was."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round; the page stays")
    size = QUICK if parser.parse_args(arguments).quick else WHOLE
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found, profiles = _measure(size)
    except KeyboardInterrupt:
        _tell("stopped; nothing was written")
        return 130
    except (Cut, WrongAnswer, NotStarted, TimeoutError) as error:
        _tell(f"could not be measured: {str(error) or 'no answer in time'}")
        return 1
    _show(found, profiles)
    if not size.is_quick:
        _PAGE.write_text(
            page.page(_WORDS.read_text("utf-8"), found, size, profiles, _facts()), "utf-8"
        )
        _PLOT.write_text(plot.svg(report.charts(found)), "utf-8")
        _tell(f"written: {_PAGE.relative_to(ROOT)}, {_PLOT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
