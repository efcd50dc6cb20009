"""How fast and in what memory a large corpus is ingested and searched: `make bench-retrieval`."""
