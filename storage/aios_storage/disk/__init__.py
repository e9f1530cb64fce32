"""The directory that everything is confined to: opening below it, paths, names that are written alike."""
