"""What a test gives to `play`, as the script it means. Refuses the rest, and says what it was."""

from collections.abc import Sequence
from pathlib import Path

from fakes.openai_compat_server.catalogue import CATALOGUE
from fakes.openai_compat_server.plan import Plan
from fakes.openai_compat_server.responses import check_playable, check_script
from fakes.openai_compat_server.scenario import Face
from fakes.openai_compat_server.script import Playable, Rule, Script
from fakes.openai_compat_server.script_file import parse_script

Given = Playable | Script | Path | Sequence[Playable]


def script_of(what: tuple[Given, ...], strict: bool) -> Script:
    """The script that `what` comes to; `strict` is for one of steps. ValueError for no script."""
    match what:
        case (Script() as script,):
            check_script(script)
            return script
        case (Path() as path,):
            return _read(path)
        case (list() | tuple() as steps,):
            return script_of(tuple(steps), strict)
        case ():
            raise ValueError("play() takes at least one step")
    return Script((Rule(tuple(_step(one) for one in what)),), strict)


def _step(given: Given) -> Playable:
    match given:
        case Plan():
            return given
        case str():
            _check(given)
            return given
    wanted = "scenarios' names and raw(…), or one Script, or one Path"
    raise ValueError(f"play() takes {wanted}, and not {given!r}")


def _check(name: str) -> None:
    scenario = CATALOGUE.get(name.partition("?")[0])
    if scenario is not None and scenario.face is Face.LISTENER:
        ways = f"serving(Behaviour(scenario={name!r})), or openai-fake serve --scenario {name!r}"
        raise ValueError(f"'{name}' befalls connections and no single request: {ways}")
    try:
        check_playable(name)
    except ValueError as fault:
        is_file = name.endswith((".toml", ".json")) or "/" in name
        hint = f" For a file: play(Path({name!r}))." if is_file else ""
        raise ValueError(f"{fault}{hint}") from None


def _read(path: Path) -> Script:
    try:
        text = path.read_text("utf-8")
    except OSError as fault:
        raise ValueError(f"play(): {path.absolute()}: {fault.strerror}") from None
    except UnicodeDecodeError as fault:
        raise ValueError(f"play(): {path}: {fault}") from None
    return parse_script(text, str(path), check_playable)
