"""The chat page in a real browser, over four real processes and the fake: `make test-web`.

served.py        the programs: documents in three scripts, and which question meets which fault
page_driver.py   the page as its reader meets it: by roles and names; and the pictures that are kept
conftest.py      one chain and one browser for all, a fresh context for each test
test_*           what is shown, what is stopped, what is inert, who can use it, and how it looks

Nothing here knows the page's scripts: they may change, what a reader sees may not.
"""
