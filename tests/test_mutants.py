"""A few of the damaged files that `scripts/soak mutants` reads by the million."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent / "scripts"
CODE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from soaks.mutants import mutants
record = mutants(3000, 0, Path(sys.argv[2]))
print("record", json.dumps(record))
"""


def test_damaged_files_are_read_or_one_typed_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(SCRIPTS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads(done.stdout.rpartition("record ")[2])
    assert record["bad"] == [] and record["holds"]
    assert record["mutants"] > 2900
    for name, counts in record["kinds"].items():
        assert any(word.endswith(("Error", "File")) for word in counts), (name, counts)
