"""Conversations, kept: what was asked and answered, out of sight of what answers."""
