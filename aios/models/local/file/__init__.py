"""A model's file: what its header says, and how much memory it takes."""
