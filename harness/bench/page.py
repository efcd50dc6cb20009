"""The page of the handbook that the whole benchmark writes, out of its words (`page.md`). Pure."""

import json
from collections.abc import Mapping
from string import Template

from harness.bench import report
from harness.bench.course import Found, Size
from harness.bench.targets import targets


def page(
    words: str,
    found: Found,
    size: Size,
    profiles: Mapping[str, str],
    facts: Mapping[str, str],
) -> str:
    """The whole page. `profiles`: each hop's profile as `harness.bench.profiled` wrote it."""
    return Template(words).substitute(
        facts,
        rounds=size.rounds,
        bottleneck=report.bottleneck(found),
        targets=targets_table(found),
        plain=report.plain_table(found),
        streams=report.stream_table(found),
        breaks=report.breaks_at(found),
        live=report.live_table(found),
        leaving=report.leaving_table(found),
        cpu=report.cpu_table(found),
        profiles=profile_tables(profiles),
        recovery=report.recovery_table(found),
    )


def targets_table(found: Found) -> str:
    """What was to be reached, and was or was not."""
    words = {True: "reached", False: "**missed**", None: "–"}
    lines = [[target.what, target.figure, words[target.reached]] for target in targets(found)]
    return report.table(["target", "figure", ""], lines)


def profile_tables(profiles: Mapping[str, str]) -> str:
    """The top ten of each hop."""
    parts = []
    for hop, text in profiles.items():
        profile = json.loads(text)
        own: dict[str, int] = profile["own"]
        top = report.profile_table(own, int(profile["samples"]))
        parts.append(f"### {hop}\n\nThe profile of {hop}, its top ten:\n\n{top}")
    return "\n\n".join(parts)
