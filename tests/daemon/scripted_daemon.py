"""A daemon as a program, whose model writes on and on."""

import sys

from aios.models.scripted import ScriptedModel
from aios.server.daemon import main

if __name__ == "__main__":
    sys.exit(main([ScriptedModel(" ".join(["word"] * 100_000), slots=128, delay_s=0.02)]))
