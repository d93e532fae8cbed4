"""``python -m osim_exo``: the command line."""

import sys

from osim_exo.cli import main

if __name__ == "__main__":
    sys.exit(main())
