"""The daemon, from the command line: starting and ending it, what it does, what it says."""
