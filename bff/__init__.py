"""BFF, the client's one call: a pure relay of the stream, and the chat page."""
