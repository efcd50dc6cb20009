"""What `make test` leaves out: tests of other people's clients, which need those clients."""

collect_ignore = ["clients"]
