"""`python -m bff`: the one place of this program that reads the environment."""

import os
import sys

from bff.app import open_app
from bff.config import BffSettings
from hop.run import run

if __name__ == "__main__":
    sys.exit(run(BffSettings, open_app, os.environ, sys.argv[1:]))
