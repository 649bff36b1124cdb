"""The documents are executed: blocks run, commands exist, tables come from records, trees and links match the disk."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from zoo_core.cli.app import find_command, parse
from zoo_core.cli.commands import COMMANDS
from zoo_core.contract import Observers, Providers

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/README.md")])


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_blocks_run_in_order(path: Path, tmp_path: Path) -> None:
    code = "\n".join(blocks(path, "python"))
    if not code:
        return
    environ = {"PATH": "/usr/bin:/bin", "ZOO_HOME": str(tmp_path), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environ, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_shell_blocks_exist_with_their_options(path: Path) -> None:
    for block in blocks(path, "bash"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].startswith("./"):
                assert (ROOT / words[0]).is_file(), line
            elif words and words[0] == "zoo":
                parse(*find_command(words[1:]))


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [command.name for command in COMMANDS if f"`zoo {command.name}`" not in text] == []


def test_every_hook_is_documented_with_its_arguments() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text()
    for group in (Providers, Observers):
        for name, function in vars(group).items():
            if name.startswith("zoo_"):
                arguments = ", ".join(function.__code__.co_varnames[1 : function.__code__.co_argcount])
                assert f"`{name}({arguments})`" in text, name
                assert function.__doc__


def test_tables_are_those_of_the_records() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "tables.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / target).exists(), target
    for target in re.findall(r"`((?:zoo_core|scripts|tests|plugins|docs|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / target).exists(), target


def test_the_tree_in_the_readme_matches_the_disk() -> None:
    tree = re.search(r"## The house\n\n```\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert tree
    for line in tree[1].splitlines():
        assert (ROOT / line.split()[0]).exists(), line
    listed = next(line for line in tree[1].splitlines() if line.startswith("scripts/"))
    on_disk = {p.name for p in (ROOT / "scripts").iterdir() if p.is_file() and not p.suffix}
    assert set(re.split(r"[,\s]+", listed)[1:]) == on_disk
