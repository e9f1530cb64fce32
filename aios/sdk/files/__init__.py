"""Plain words to operations on files: `plan` reads a request, `run` carries it out."""
