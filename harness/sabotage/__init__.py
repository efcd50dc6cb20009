"""Sabotage: would the tests notice? `make mutants` breaks one law at a time and expects them to."""
