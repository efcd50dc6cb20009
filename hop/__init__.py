"""What every hop is made of: serving, streaming, calling the next hop, logs, settings."""
