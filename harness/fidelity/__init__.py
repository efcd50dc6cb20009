"""The fake held against the servers it stands for: `make test-fidelity`, not `make test`."""
