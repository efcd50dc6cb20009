"""The house style as rules: where imports point, what a core may touch, how long a thing may be.

Each rule is a function from one parsed source file to its offences, `file:line: what is wrong`;
`RULES` is all of them. They read the working tree, not git. `test_tidy.py` holds the tree against
them, and them against planted faults.
"""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

from attrs import define

ROOT = Path(__file__).resolve().parent.parent
RATCHET = tomllib.loads((ROOT / "harness/tidy_ratchet.toml").read_text(encoding="utf-8"))

SERVICES = ("bff", "qs", "llmgw")
MAY_IMPORT = {
    "contracts": {"contracts"},
    "hop": {"hop", "contracts"},
    **{service: {service, "hop", "contracts"} for service in SERVICES},
    "fakes": {"fakes", "contracts"},
    "harness": {"contracts", "hop", *SERVICES, "fakes", "harness"},
    "scripts": {"contracts", "hop", *SERVICES, "fakes", "harness", "scripts"},
}
TESTS_MAY_ALSO_IMPORT = {"fakes", "harness"}

PURE = (
    "contracts/*.py",
    "hop/otlp_json.py",
    "hop/settings.py",
    "hop/spans.py",
    "hop/waiting.py",
    "*/config.py",
    "bff/admission.py",
    "llmgw/answer*.py",
    "llmgw/asked.py",
    "llmgw/attempts.py",
    "llmgw/breaker.py",
    "llmgw/guard.py",
    "llmgw/json_text.py",
    "llmgw/prompt*.py",
    "llmgw/reply.py",
    "llmgw/thinking.py",
    "llmgw/untrusted.py",
    "llmgw/urls.py",
    "llmgw/providers/port.py",
    "llmgw/providers/toy.py",
    "llmgw/providers/openai_wire.py",
    "qs/retrieval/port.py",
    "qs/conversation.py",
    "qs/retrieval/followup.py",
    "qs/retrieval/query.py",
    "qs/retrieval/function_words.py",
    "qs/retrieval/relevance.py",
    "qs/retrieval/opensearch_schema.py",
    "qs/retrieval/opensearch_wire.py",
    "qs/ingest/port.py",
    "qs/ingest/faults.py",
    "qs/ingest/chunker.py",
    "qs/store/merging.py",
    "qs/store/port.py",
    "qs/store/rows.py",
    "qs/store/spool_file.py",
    "qs/store/tables.py",
    "qs/store/waiting.py",
    "fakes/openai_compat_server/admin.py",
    "fakes/openai_compat_server/occupancy.py",
    "fakes/openai_compat_server/script*.py",
    "fakes/openai_compat_server/persona.py",
    "fakes/openai_compat_server/content*.py",
    "fakes/openai_compat_server/dialects/*.py",
    "fakes/openai_compat_server/answers.py",
    "fakes/openai_compat_server/catalogue.py",
    "fakes/openai_compat_server/faults_*.py",
    "fakes/openai_compat_server/plan.py",
    "fakes/openai_compat_server/scenario.py",
    "fakes/openai_compat_server/wire.py",
    "fakes/openai_compat_server/responses.py",
    "harness/plans.py",
    "harness/malformed.py",
    "harness/model_text.py",
    "harness/topics.py",
    "harness/wire_log.py",
    "scripts/stack.py",
    "scripts/deaths.py",
    "scripts/loglines.py",
)
WORLDLY_WORDS = """
anyio asyncio concurrent ctypes dotenv http httpcore httpx hypercorn logging multiprocessing os
pathlib quart quart_trio random rich secrets select selectors shutil signal socket socketserver
sqlite3 ssl structlog subprocess tempfile threading time trio urllib.request uuid
"""
WORLDLY = frozenset(WORLDLY_WORDS.split())
WORLDLY_CALLS = {"open", "print", "input", "breakpoint"}
WORLDLY_CALLS |= {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}

BANNED_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
BANNED_CALLS = {
    "time.sleep": "wait on the virtual clock, or name the file test_*_sockets.py",
    "monkeypatch.setattr": "pass a fake in by argument",
    "pytest.skip": "a test that cannot run is no test",
    "pytest.importorskip": "every dependency is pinned",
    "pytest.mark.skip": "a test that cannot run is no test",
    "pytest.mark.skipif": "a test that cannot run is no test",
}
BANNED_COMMENTS = {
    r"type:\s*ignore(?!\[)": "name the code: `type: ignore[code]`",
    r"noqa(?!:\s*[A-Z]+\d+)": "name the rule: `noqa: X123`",
    r"\b(TODO|FIXME|XXX)\b": "do it, or leave it out",
}

MODULE_LINES_USUAL, MODULE_LINES_MAX, FUNCTION_LINES_MAX = 300, 450, 70


@define(slots=False)
class Source:
    """One file: its path in the repository, and its text."""

    path: PurePosixPath
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @property
    def package(self) -> str:
        return self.path.parts[0]

    @property
    def module(self) -> str:
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def is_test(self) -> bool:
        return "tests" in self.path.parts or self.path.name.startswith(("test_", "conftest"))

    @property
    def is_listed_pure(self) -> bool:
        return not self.is_test and any(
            self.path.match(glob) and len(self.path.parts) == glob.count("/") + 1 for glob in PURE
        )

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """(line, dotted name) of all that is imported; `from a import b` is both a and a.b."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                found.append((node.lineno, origin))
                found += [(node.lineno, f"{origin}.{alias.name}") for alias in node.names]
        return found

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        above = self.path.parent.parts[: len(self.path.parent.parts) - node.level + 1]
        return ".".join([*above, *([node.module] if node.module else [])])

    def offence(self, line: int, what: str) -> str:
        return f"{self.path}:{line}: {what}"


def read_tree() -> dict[str, Source]:
    """Every Python file of the project, by module name."""
    paths = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]
    sources = [
        Source(PurePosixPath(path.relative_to(ROOT)), path.read_text("utf-8")) for path in paths
    ]
    return {source.module: source for source in sources}


def find_cores(tree: dict[str, Source]) -> dict[str, str]:
    """Each core and why it is one: listed, or imported by a core, for purity rests on purity."""
    cores = {name: "listed" for name, source in tree.items() if source.is_listed_pure}
    waiting = list(cores)
    while waiting:
        importer = waiting.pop()
        for _, name in tree[importer].imports:
            if name in tree and name not in cores and tree[name].path.name != "__init__.py":
                cores[name] = f"{importer} imports it"
                waiting.append(name)
    return cores


TREE = read_tree()
CORES = find_cores(TREE)


def imports_point_one_way(source: Source) -> Iterator[str]:
    """Services → hop → contracts; services never import one another."""
    allowed = MAY_IMPORT[source.package] | (TESTS_MAY_ALSO_IMPORT if source.is_test else set())
    for line, name in source.imports:
        target = name.split(".")[0]
        if target in MAY_IMPORT and target not in allowed:
            yield source.offence(line, f"{source.package} must not import {target}")


def cores_are_pure(source: Source) -> Iterator[str]:
    """A core takes data and returns data."""
    why = CORES.get(source.module) or ("listed" if source.is_listed_pure else None)
    if why is None:
        return
    for line, name in source.imports:
        if name in WORLDLY or name.split(".")[0] in WORLDLY:
            yield source.offence(line, f"a core ({why}) must not import {name}")
    for call in _calls(source.tree):
        if _dotted(call.func) in WORLDLY_CALLS:
            yield source.offence(call.lineno, f"a core ({why}) must not call {_dotted(call.func)}")


def only_main_reads_the_environment(source: Source) -> Iterator[str]:
    """Settings are parsed from a mapping; `__main__` alone says which."""
    if source.is_test or source.package in ("harness", "scripts") or source.path.stem == "__main__":
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and _dotted(node) in ("os.environ", "os.getenv"):
            yield source.offence(node.lineno, f"{_dotted(node)}: only __main__ reads it")
    for line, name in source.imports:
        if name in ("os.environ", "os.getenv"):
            yield source.offence(line, f"{name}: only __main__ reads it")


def names_say_what_a_module_holds(source: Source) -> Iterator[str]:
    for part in source.path.with_suffix("").parts:
        if part in BANNED_NAMES:
            yield source.offence(1, f"{part!r} says nothing: name it after what it holds")


def nothing_is_patched_skipped_or_slept(source: Source) -> Iterator[str]:
    """Fakes, not mocks; the virtual clock, not the real one."""
    real_time = source.path.stem.endswith("_sockets") or source.package == "scripts"
    for line, name in source.imports:
        if name.startswith("unittest.mock") or name == "unittest.mock":
            yield source.offence(line, "fakes, not mocks: pass one in by argument")
    for node in ast.walk(source.tree):
        name = _dotted(node) if isinstance(node, ast.Attribute) else ""
        if name in BANNED_CALLS and not (
            name == "time.sleep" and (real_time or not source.is_test)
        ):
            yield source.offence(getattr(node, "lineno", 1), f"{name}: {BANNED_CALLS[name]}")


def ignores_name_their_code(source: Source) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        for pattern, what in BANNED_COMMENTS.items():
            if token.type == tokenize.COMMENT and re.search(pattern, token.string):
                yield source.offence(token.start[0], what)


def any_stays_in_the_codec(source: Source) -> Iterator[str]:
    """An explicit `Any` switches the type checker off; `object` asks to be looked at."""
    if source.path == PurePosixPath("contracts/codec.py"):
        return
    for line, name in source.imports:
        if name == "typing.Any":
            yield source.offence(line, "Any: write `object`, or the type")


def modules_say_what_they_are(source: Source) -> Iterator[str]:
    if not ast.get_docstring(source.tree):
        yield source.offence(1, "a module opens with what it is and what it refuses")


def modules_are_short(source: Source) -> Iterator[str]:
    lines = code_lines(source)
    # A table of cases is read by looking one up, so a test may be as long as anything may.
    usual = MODULE_LINES_MAX if source.is_test else MODULE_LINES_USUAL
    allowed = RATCHET["module_lines"].get(str(source.path), usual)
    if lines > min(allowed, MODULE_LINES_MAX):
        yield source.offence(1, f"{lines} lines of code, {allowed} allowed: divide it by subject")


def functions_are_short(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield source.offence(node.lineno, f"{node.name} has {lines} lines")


def modules_are_alive(source: Source) -> Iterator[str]:
    """Somebody imports it, or it can be started; its own tests alone do not keep it."""
    startable = 'if __name__ == "__main__":' in source.text or source.path.stem == "__main__"
    startable |= source.path.parent.name == "versions"  # Alembic finds a step by its folder
    if startable or source.is_test or source.path.name == "__init__.py":
        return
    if source.module not in {name for other in TREE.values() for name in _named_by(other, source)}:
        yield source.offence(1, "nobody imports it")


RULES: tuple[Callable[[Source], Iterator[str]], ...] = (
    imports_point_one_way,
    cores_are_pure,
    only_main_reads_the_environment,
    names_say_what_a_module_holds,
    nothing_is_patched_skipped_or_slept,
    ignores_name_their_code,
    any_stays_in_the_codec,
    modules_say_what_they_are,
    modules_are_short,
    functions_are_short,
    modules_are_alive,
)


def code_lines(source: Source) -> int:
    """Lines that hold code: no blanks, comments or docstrings."""
    prose = {
        line
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    numbered = enumerate(source.text.splitlines(), 1)
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in prose
        for number, line in numbered
    )


def _named_by(other: Source, source: Source) -> set[str]:
    """What `other` imports, or names in a string, as pytest's plugins are."""
    if other is source or (other.is_test and other.package == source.package != "harness"):
        return set()
    names = {name for _, name in other.imports}
    return names | ({source.module} if f'"{source.module}"' in other.text else set())


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
