"""The commands. Each function's signature is its flags, its docstring its help; the work is imported when it runs."""
