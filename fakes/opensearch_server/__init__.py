"""An OpenSearch server without Java: the requests that an index and its search are made of.

    engine.py     what it holds, and what each request comes to: a pure function of its state
    query.py      the part of the query language that it knows, and its ranking
    faults.py     everything that it can do wrong, as rows
    stage.py      plays it over a trio stream, byte for byte, and keeps a journal

It is no product: it knows what the programs here ask of it, and answers anything else with 400. The
suite that its users are held to runs against a real node too, which is what proves it.
"""
