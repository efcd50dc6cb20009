"""`python -m bff.chat`: the chat for a terminal. It knows no more of the BFF than any client does.

call.py      one question over HTTP: events held to the contract's order, or a refusal
screen.py    what is seen of an answer in a terminal
__main__.py  arguments, the loop of questions, Ctrl-C, the exit status
"""
