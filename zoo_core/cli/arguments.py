"""Arguments of the commands that change the user's store."""

from __future__ import annotations

import argparse


def alias(parser: argparse.ArgumentParser) -> None:
    """Of `zoo alias`."""
    parser.add_argument("name", help="name of a checkpoint, without a version")
    parser.add_argument("version", nargs="?", help="the version that the bare name shall mean")
    parser.add_argument("--clear", action="store_true", help="let the name mean again what it means by itself")


def rm(parser: argparse.ArgumentParser) -> None:
    """Of `zoo rm`."""
    parser.add_argument("names", nargs="+", metavar="NAME@VERSION", help="checkpoints of your store")
    parser.add_argument(
        "--force", action="store_true", help="also what others were derived from, or an alias stands for"
    )


def gc(parser: argparse.ArgumentParser) -> None:
    """Of `zoo gc`."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be freed and remove nothing")
