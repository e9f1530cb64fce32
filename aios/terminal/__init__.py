"""What is printed: the one way out for text and data, tables, exit codes, odd streams."""
