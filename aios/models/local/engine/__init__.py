"""The worker's side of a local model: the process that holds it, and llama.cpp."""
