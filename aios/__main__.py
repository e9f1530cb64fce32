"""`python -m aios`: the command `aios`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the working directory: what lies there is not ours to import
    from aios.cli import main

    main()
