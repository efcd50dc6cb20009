"""`make bench`: how fast the stack is, as ratios to what does the same work on the same machine.

__main__.py    the command: what to measure, in which order, for how long
rows.py        who is measured: our programs and, side by side, others on the same road
upstream.py    the model server: the fake's own bytes, carried by something that is never slow
relay.py       the floor: a TCP relay that reads nothing · pass_through.py: our libraries' floor
peers.py       other people's gateways, where `make bench-peers` installed them
load.py        the load driver: closed loop, open loop, paced streams, clients that leave
measures.py    the measurements · processes.py: processor time, memory, descriptors
figures.py     samples → medians and ratios · report.py, plot.py: figures → a page and a picture
profiled.py    runs a program and notes where its time goes
"""
