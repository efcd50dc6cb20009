"""Filling the index: a folder of documents read, cut into chunks and written, incrementally."""
