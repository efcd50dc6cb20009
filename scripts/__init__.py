"""What the Makefile calls: starting, checking and describing the stack; nothing is deployed."""
