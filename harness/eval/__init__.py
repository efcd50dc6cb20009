"""How well the search finds, measured on documents whose headings ask: `make eval`.

corpora.py     the FAQs of Debian in four languages, and Python's, out of Debian's packages
pairs.py       sections without their own headings, and the headings as questions
measured.py    recall@5 and MRR@10 of an engine, or of plain FTS5
"""
