"""The command line: `zoo`, also reachable as `python -m zoo_core`."""

from zoo_core.cli.app import main

__all__ = ["main"]
