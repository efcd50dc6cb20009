"""The query service: retrieve from the index, ask the gateway, and answer with sources."""
