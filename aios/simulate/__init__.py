"""The kernel in virtual time: what is simulated is the kernel itself, never a model of it."""
