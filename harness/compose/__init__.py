"""The containers, held to what they promise on a machine without Docker: `make test-compose`."""
