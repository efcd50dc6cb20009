"""A Dockerfile as data: its stages, and their instructions in order.

It knows what ours needs: comments, continued lines, `FROM … AS …`, JSON for CMD and HEALTHCHECK.
Flags before an instruction's arguments are kept apart. What else Docker can do is not looked at.
"""

import json
import re
import shlex

from attrs import frozen

_FLAG = re.compile(r"--([a-z-]+)=(\S+)\s+")


@frozen
class Instruction:
    """One instruction: its word in capitals, its flags, and the rest as it is written."""

    word: str
    flags: dict[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments, parted at blanks as a shell does."""
        return shlex.split(self.text)

    @property
    def argv(self) -> list[str]:
        """The arguments of one in JSON form; of a HEALTHCHECK, those of its command."""
        argv = json.loads(self.text.removeprefix("CMD").strip())
        assert isinstance(argv, list), self.text
        return argv


@frozen
class Stage:
    """From one FROM to the next."""

    name: str
    parent: str
    instructions: tuple[Instruction, ...]

    def all(self, word: str) -> list[Instruction]:
        """Those of one word."""
        return [each for each in self.instructions if each.word == word]


@frozen
class Dockerfile:
    """All stages, by name."""

    stages: dict[str, Stage]

    def line_of(self, name: str) -> list[Stage]:
        """The stage and those it stands on, the first of them first."""
        stage = self.stages[name]
        return [*(self.line_of(stage.parent) if stage.parent in self.stages else []), stage]

    def last(self, name: str, word: str) -> Instruction:
        """The instruction that holds in the end, in this stage or one it stands on."""
        return [each for stage in self.line_of(name) for each in stage.all(word)][-1]

    def environment(self, name: str) -> dict[str, str]:
        """Every ENV that holds in the stage."""
        found: dict[str, str] = {}
        for stage in self.line_of(name):
            for each in stage.all("ENV"):
                found |= dict(word.split("=", 1) for word in each.words)
        return found


def parse(text: str) -> Dockerfile:
    """The stages of a Dockerfile."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    stages: dict[str, Stage] = {}
    for line in filter(str.strip, joined.splitlines()):
        instruction = _instruction(line)
        if instruction.word == "FROM":
            parent, _, name = instruction.words
            stages[name] = Stage(name, parent, ())
        else:
            last = stages[next(reversed(stages))]
            grown = (*last.instructions, instruction)
            stages[last.name] = Stage(last.name, last.parent, grown)
    return Dockerfile(stages)


def _instruction(line: str) -> Instruction:
    word, text = line.strip().split(None, 1)
    flags: dict[str, str] = {}
    while flag := _FLAG.match(text):
        flags[flag[1]] = flag[2]
        text = text[flag.end() :]
    return Instruction(word.upper(), flags, text.strip())
