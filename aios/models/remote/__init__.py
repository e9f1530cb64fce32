"""A model behind an HTTP server: the protocols, the exchange, its limits."""
