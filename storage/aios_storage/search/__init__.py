"""Search by meaning and by keywords, groups of what was found, saved queries and shares."""
