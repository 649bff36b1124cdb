"""`python -m zoo_core` is `zoo`: what is needed to answer an interruption, before everything else is imported."""

from __future__ import annotations

import sys


def main() -> int:
    """The program, from its first import on."""
    try:
        from zoo_core.cli.app import main as program

        return program()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
