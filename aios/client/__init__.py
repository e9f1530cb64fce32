"""A program of any process as a client of the daemon: `aios.connect` and `aios.connect_sync`."""
