"""The daemon: one kernel for every client of a home, over a Unix socket and over HTTP."""
