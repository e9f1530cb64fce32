"""Files and what is found in them: versions, search, the index, plain words."""
