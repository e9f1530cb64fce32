"""Which model serves a call: the router, what it predicts with, and the way over models that fail or fall short."""
