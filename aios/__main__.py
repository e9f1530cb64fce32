"""`python -m aios`: the command `aios`."""

from aios.cli import main

if __name__ == "__main__":
    main()
