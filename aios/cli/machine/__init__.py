"""The machine and its settings: what there is, what is well, what is trusted."""
