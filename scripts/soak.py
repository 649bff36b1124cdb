"""Repeats a proof far more often than a test can afford and writes one record per proof under benchmarks/soak.

    scripts/soak NAME [NAME ...] [--trials N] [--seed S]

A proof is a function of `soaks` that takes the number of trials, the seed and an empty folder, and returns its counts with
`holds`. The tests run a few trials of each.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from records import keep
from soaks import extras, kills, mutants, ranks, together

RECORDS = Path(__file__).parent.parent / "benchmarks" / "soak"

Proof = Callable[[int | None, int, Path], dict[str, Any]]
"""`(trials, seed, folder) -> counts`; None for the proof's own number of trials."""

PROOFS: Mapping[str, Proof] = {
    proof.__name__: proof
    for proof in (
        *extras.PROOFS,
        *kills.PROOFS,
        *mutants.PROOFS,
        *ranks.PROOFS,
        *together.PROOFS,
    )
}


def main() -> int:
    """Run the proofs that are named; 1 if one of them doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proofs", nargs="+", choices=list(PROOFS))
    parser.add_argument("--trials", type=int, help="instead of each proof's own number")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    holds = True
    for name in options.proofs:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix=f"zoo-soak-{name}-") as folder:
            try:
                record = PROOFS[name](options.trials, options.seed, Path(folder))
            except ModuleNotFoundError as missing:
                print(f"{name}: SKIPPED, it needs a package that is not installed: pip install {missing.name}")
                holds = False
                continue
        record = {"proof": name, "seed": options.seed, **record, "seconds": round(time.perf_counter() - began, 1)}
        print(record)
        holds &= keep(RECORDS, name, record)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
