"""The fault-injection suite of CI: `make test-faults`, four real processes over real sockets.

    chain.py                        the chain as processes: its limits, its documents, asking it
    cases.py                        the fake's catalogue, played through it
    relay.py, full_disk.py          what fails between two programs, and under one
    test_catalogue_sockets.py       every fault of the model server, in both modes
    test_hops_sockets.py            every fault of a connection between two of our programs
    test_half_open_sockets.py       peers that vanish, freeze, or stop reading
    test_signals_sockets.py         SIGTERM, SIGKILL and SIGSTOP while an answer is being written
    test_restarts_sockets.py        each program drained and restarted, under load
    test_exhaustion_sockets.py      full disks, and no descriptors left

Every fault ends in the code that its row, or CONTRACT, demands; then the chain must serve again.
"""
