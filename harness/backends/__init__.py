"""The store and the search engine on real servers, started here (`make test-backends`)."""
