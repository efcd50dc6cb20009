"""Writes `contracts/schemas/`: `python -m scripts.write_schemas`.

With `--check` it writes nothing, names the files that are not what the code says, and exits 1
where there is one. Whatever else stands in the folder is removed: it is generated as a whole.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from contracts import openapi, schema

FOLDER = Path(__file__).parent.parent / "contracts" / "schemas"


def expected() -> dict[str, str]:
    """The text of every file, by name."""
    documents = schema.documents() | openapi.documents()
    return {name: schema.rendered(document) for name, document in documents.items()}


def stale(folder: Path) -> list[str]:
    """The names of files that are missing, different, or not to be there."""
    found = {path.name: path.read_text("utf-8") for path in folder.glob("*.json")}
    wanted = expected()
    return sorted(
        name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
    )


def write(folder: Path) -> list[str]:
    """Make the folder what the code says; the names of the files that changed."""
    changed, wanted = stale(folder), expected()
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (folder / name).write_text(wanted[name], "utf-8")
        else:
            (folder / name).unlink()
    return changed


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.write_schemas")
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    if parser.parse_args(arguments).check:
        names = stale(folder)
        for name in names:
            print(f"stale: {folder.name}/{name} (`make schemas` writes it)", file=sys.stderr)
        return 1 if names else 0
    for name in write(folder):
        print(f"wrote {folder.name}/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
