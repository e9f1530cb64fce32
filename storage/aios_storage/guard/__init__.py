"""What agents may not change: what the next run is started from, and what gets executed by its name."""
