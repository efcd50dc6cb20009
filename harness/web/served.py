"""The programs behind the page: the handbook and two more documents, and a fault for each mark.

    with open_served(folder) as stack:      all four run; `SLOWLY` and the others, in a question's
                                            text, have its answer meet that fault

Limits are short where a test waits for one.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness.stack import Stack, open_stack
from harness.tidy import ROOT

QUESTION: Final = "How long may a message be?"
KOREAN: Final = "등대지기는 언제 불을 켭니까?"
ARABIC: Final = "متى يضيء الحارس المنارة؟"
OFF_TOPIC: Final = "Which zebra won the regatta?"
# Each stands in a question, and says what befalls its answer.
SLOWLY: Final = "(slowly)"
BUSY: Final = "(busy)"
ABSTAINING: Final = "(abstaining)"
UNVERIFIED: Final = "(unverified)"
REFUSED: Final = "(refused)"
WITHDRAWN: Final = "(withdrawn)"
_RULES: Final[Mapping[str, str]] = {
    SLOWLY: "slow-drip?every=120ms",
    BUSY: "status-429-retry-after?for=3s",
    ABSTAINING: "content-c0-alone",
    UNVERIFIED: "content-unknown-id",
    REFUSED: "finish-content-filter",
    WITHDRAWN: "stall?after=60&for=30s",
}
# What the model injects, by its name in the fake's catalogue.
_INJECTIONS: Final = (
    "content-html-script",
    "content-html",
    "content-link-javascript",
    "content-image",
)
INJECTED: Final = tuple(f"({name})" for name in _INJECTIONS)
_SETTINGS: Final = {
    "LLM_MAX_ATTEMPTS": "1",
    "LLM_BREAKER_FAILURES": "0",
    "LLM_IDLE_TIMEOUT_MS": "1500",
    "DRAIN_TIMEOUT_MS": "600",
    "BFF_RATE_PER_MINUTE": "0",
}
_MORE: Final[Mapping[str, str]] = {
    "등대.md": "# 등대\n\n## 불을 켜는 때\n\n등대지기는 해가 지기 전에 언제나 불을 켭니다. "
    "안개가 낀 날에는 낮에도 불을 켭니다.\n",
    "منارة.md": "# المنارة\n\n## متى تضاء\n\nيضيء الحارس المنارة قبل غروب الشمس كل يوم. "
    "وفي الضباب يضيء الحارس المنارة نهارا أيضا.\n",
}


@contextmanager
def open_served(folder: Path, **environ: str) -> Iterator[Stack]:
    """The four programs, started."""
    pages = {path.name: path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")}
    own = {"QS_STORE_URL": f"sqlite:///{folder}/store.sqlite3", "QS_SPOOL_DIR": f"{folder}/spool"}
    with open_stack(folder, {**pages, **_MORE}, **{**_SETTINGS, **own, **environ}) as stack:
        script = folder / "script.toml"
        rules = {**_RULES, **dict(zip(INJECTED, _INJECTIONS, strict=True))}
        script.write_text("\n".join(map(_rule, rules, rules.values())), "utf-8")
        stack.start("fake", "--admin", "--latency", "ttft=150ms,itl=8ms", "--script", str(script))
        for name in ("llmgw", "qs", "bff"):
            stack.start(name)
        yield stack


def _rule(part: str, scenario: str) -> str:
    """A row of the fake's script, which plays the scenario for every question with this part."""
    return f"[[rule]]\ntext = {json.dumps(part)}\nplay = [{json.dumps(scenario)}]\nthen = 'last'\n"
