"""Where agent programs run: as tasks of the kernel, or as operating-system processes."""
