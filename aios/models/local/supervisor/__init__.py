"""The kernel's side of a local model: a client, the worker's lives, and which models are in memory."""
