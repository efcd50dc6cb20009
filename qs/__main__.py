"""`python -m qs`: the one place of this program that reads the environment."""

import os
import sys

from hop.run import run
from qs.app import open_app
from qs.config import QueryServiceSettings
from qs.retrieval.engines import make_outgoing

if __name__ == "__main__":
    sys.exit(run(QueryServiceSettings, open_app, os.environ, sys.argv[1:], outgoing=make_outgoing))
