"""Showing what is on record of runs: tables, calls, charts, what was used."""
