"""An input of a target: bytes, and how they are sent. And the files that inputs are kept in.

Two bytes that UTF-8 never uses are marks, so that a few bytes reach every limit and every cut:

    FF   here a piece ends
    FE   the character before, 512 times more

What is kept is one JSON string a line, byte for character (ISO 8859-1), so that a diff can be read.
"""

import json
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).parent / "corpus"
FINDINGS: Final = Path(__file__).parent / "findings"
SENT_BYTES_MAX: Final = 12 * 1024
_REPEATED: Final = re.compile(rb"([\xc2-\xf4][\x80-\xbf]{1,3}|[^\xfe\xff])(\xfe{1,32})")
_TIMES: Final = 512


def pieces_of(data: bytes, most: int = SENT_BYTES_MAX) -> list[bytes]:
    """What is sent, piece by piece, `most` bytes of it; the pieces hold neither mark."""
    spread = _REPEATED.sub(_run, data)[:most]
    return spread.replace(b"\xfe", b"").split(b"\xff")


def _run(found: re.Match[bytes]) -> bytes:
    return found[1] * (1 + _TIMES * len(found[2]))


def cuts_of(pieces: list[bytes]) -> Iterator[list[bytes]]:
    """The same bytes in one piece, one by one, and as the input says."""
    whole = b"".join(pieces)
    yield [whole]
    yield [whole[at : at + 1] for at in range(len(whole))]
    yield pieces


def read_kept(path: Path) -> list[bytes]:
    """The inputs that a file keeps; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line).encode("latin-1") for line in path.read_text("ascii").splitlines()]


def write_kept(path: Path, inputs: Iterable[bytes]) -> None:
    """Keep these inputs, each once, the short ones first."""
    ordered = sorted(set(inputs), key=lambda data: (len(data), data))
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(map(line_of, ordered)), "ascii")


def line_of(data: bytes) -> str:
    """An input as it is kept."""
    return json.dumps(data.decode("latin-1")) + "\n"


def write_folder(folder: Path, inputs: Iterable[bytes]) -> None:
    """One file for each input, as libFuzzer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / sha256(data).hexdigest()).write_bytes(data)


def read_folder(folder: Path) -> list[bytes]:
    """The inputs in a folder of libFuzzer's."""
    return [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]
