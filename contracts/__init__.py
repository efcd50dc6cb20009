"""What the hops say to one another: CONTRACT v1 as code. Pure: no I/O, no clock."""
