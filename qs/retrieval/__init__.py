"""Search behind one port: what a retriever promises, and the engines that keep the promise."""
