"""Measures what the README claims and writes one record per claim under benchmarks/claims.

    scripts/claims NAME [NAME ...]

Every figure comes out of a real run of a shipped recipe, with its data, split, seed and baselines beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from measures import gan, nlp, speech, vision
from records import keep

RECORDS = Path(__file__).parent.parent / "benchmarks" / "claims"

CLAIMS: Mapping[str, Callable[[], dict[str, Any]]] = {
    claim.__name__: claim for claim in (*nlp.CLAIMS, *vision.CLAIMS, *speech.CLAIMS, *gan.CLAIMS)
}


def main() -> int:
    """Measure the claims that are named; 1 if one of them doesn't hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claims", nargs="+", choices=list(CLAIMS))
    parser.add_argument(
        "--reuse", action="store_true", help="take figures from registered checkpoints of the same name"
    )
    holds = True
    for name in parser.parse_args().claims:
        holds &= keep(RECORDS, name, CLAIMS[name]())
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
