"""Files of records: what was measured or proved, with the environment it was found in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo_core.testing import describe_environment, fs


def write_json(path: Path, content: Any) -> None:
    """Write a record, for people to read and to compare."""
    fs.make_folder(path.parent)
    fs.write_file(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def keep(folder: Path, name: str, record: Mapping[str, Any]) -> bool:
    """Write the record of a claim or a proof, and say and return whether it holds."""
    write_json(folder / f"{name}.json", {**record, "environment": describe_environment()})
    print(f"{name}: {'holds' if record['holds'] else 'DOES NOT HOLD'}")
    return bool(record["holds"])
