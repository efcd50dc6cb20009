"""A real small model behind the whole chain: `make test-llm`, not `make test`.

    __main__.py        the command: BFF, QS and LLMGW as processes, over llama.cpp's own server
    model_server.py    that server as a process, and what it tells of itself
    debian_faq.py      the Debian FAQ, out of Debian's own package
    questions.py       what is asked: of the handbook, and of the FAQ (debian_faq.toml)
    replies.py         what came of one question, as data; what counts as cleanly parsed
    figures.py         many replies as figures, and as a page of the handbook
    leaving.py         how soon the server's slot is idle when a client has left

What it holds the stack to stands in `figures.faults`: with the schema sent, 95 of 100 replies
parse; and never does a client see a citation of what was not retrieved for it.
"""
