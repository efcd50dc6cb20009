"""`python -m llmgw`: the one place of this program that reads the environment."""

import os
import sys

from hop.run import run
from llmgw.app import open_app
from llmgw.config import GatewaySettings
from llmgw.outgoing import make_outgoing

if __name__ == "__main__":
    sys.exit(run(GatewaySettings, open_app, os.environ, sys.argv[1:], outgoing=make_outgoing))
