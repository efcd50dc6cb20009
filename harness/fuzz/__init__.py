"""Coverage-guided fuzzing: `make fuzz MINUTES=n`. `targets` says what is fuzzed, and the laws."""
