"""Random worlds: `python -m harness.sim`."""
