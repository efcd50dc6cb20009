"""Stand-ins for the servers this project talks to, good enough to be used on their own."""
