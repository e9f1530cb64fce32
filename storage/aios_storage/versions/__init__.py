"""The version store: files and their history, transactions, blobs, retention, undo."""
