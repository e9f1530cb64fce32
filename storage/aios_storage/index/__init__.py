"""The index: what files say, by words and by pieces with vectors, derived from the version store."""
