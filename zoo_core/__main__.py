"""`python -m zoo_core` is `zoo`."""

import sys

from zoo_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
