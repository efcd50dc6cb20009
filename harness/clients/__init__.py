"""Other people's clients against the fake, in an environment of their own: `make test-clients`."""
