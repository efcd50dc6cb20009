"""The settings of this checkout: the environment, over `.env.local` where there is one.

Values are taken as they are written: no `${NAME}` is filled in, since a key may hold a `$`.
"""

import os
from pathlib import Path

from dotenv import dotenv_values

from scripts.stack import merge

ROOT = Path(__file__).resolve().parent.parent


def load(root: Path = ROOT) -> dict[str, str]:
    """Every variable the programs may read."""
    return merge(dotenv_values(root / ".env.local", interpolate=False), os.environ)
