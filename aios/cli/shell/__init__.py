"""The shell of the semantic file system: a plain line is a search."""
