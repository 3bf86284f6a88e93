"""``python -m jobstate``: the command line."""

import sys

from jobstate.cli import main

if __name__ == "__main__":
    sys.exit(main())
