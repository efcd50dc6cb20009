"""The real servers behind the ports, installed and started here: `make test-backends`."""
