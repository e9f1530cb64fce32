"""The index's daemon: one process for each root that watches, embeds and holds vectors, and its clients."""
