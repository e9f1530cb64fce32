"""The local model: llama.cpp in a worker process, stepping all running generations together in batches."""
