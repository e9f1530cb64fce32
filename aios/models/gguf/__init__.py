"""The local model: GGUF files through llama.cpp, in a worker process of its own."""
