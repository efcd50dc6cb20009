"""What proves the stack: an in-memory world, drivers and checkers. Services never import it."""
