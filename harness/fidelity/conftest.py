"""Collects nothing unless FIDELITY_PYTHON names the environment that holds the real server."""

import os

collect_ignore_glob = [] if os.environ.get("FIDELITY_PYTHON") else ["test_*.py"]
