"""Writes every name and signature of the public packages, as they stand in the source, to a file that a test holds them to.

scripts/surface            writes tests/api/MAJOR.MINOR.txt of the hook API that the core has
scripts/surface --check    fails where it is not up to date, or where it breaks an earlier file of the same major
"""

from __future__ import annotations

import argparse
import ast
import difflib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from zoo_core.testing import fs

ROOT = Path(__file__).parent.parent
FROZEN = ROOT / "tests" / "api"
PACKAGES = ("zoo_core.contract", "zoo_core.tasks", "zoo_core.data", "zoo_core.cli", "zoo_core")
"""Where a name of several is written out: in the first. What proofs need, `zoo_core.testing`, may change with any version."""

DUNDERS = ("__init__", "__call__", "__len__", "__getitem__", "__iter__", "__enter__", "__exit__")
"""Special methods that are part of what a class offers."""
_WORDS = ("abstract", "classmethod", "staticmethod", "contextmanager")
_KIND = re.compile(rf"(({'|'.join(_WORDS)}|class|def|property|module|dataclass(\([^)]*\))?) )*")

Definition = ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign


@dataclass(frozen=True)
class Found:
    """Where a name is defined."""

    module: str
    node: Definition | None
    """None for a module."""


@cache
def tree_of(module: str) -> ast.Module:
    """The source of a module or package."""
    return ast.parse(file_of(module).read_text())


def file_of(module: str) -> Path:
    """The file of a module or package."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def exports(package: str) -> dict[str, Found]:
    """What a package gives out, by name: the lines `from module import name as name` of its own file."""
    found = {}
    for node in ast.walk(tree_of(package)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zoo_core."):
            for alias in node.names:
                if alias.asname == alias.name:
                    found[alias.name] = definition(str(node.module), alias.name)
    return found


def definition(module: str, name: str) -> Found:
    """Where a name of a module is defined, through imports. Raises KeyError where nothing defines it."""
    if file_of(f"{module}.{name}").is_file():
        return Found(f"{module}.{name}", None)
    for node in ast.walk(tree_of(module)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("zoo_core."):
            continue
        if name in (alias.asname or alias.name for alias in node.names):
            return definition(str(node.module), name)
    for node in tree_of(module).body:
        if isinstance(node, Definition) and name in names_of(node):
            return Found(module, node)
    raise KeyError(f"{module} defines no {name}")


def names_of(node: Definition) -> list[str]:
    """What a definition defines."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def surface() -> str:
    """The whole file."""
    written: dict[tuple[str, int], str] = {}
    lines = [
        f"Hook API {version()}: what plugins may rely on. Written by scripts/surface; CONTRIBUTING.md says what may change."
    ]
    for package in PACKAGES:
        lines += ["", package]
        for name, found in sorted(exports(package).items()):
            key = found.module, id(found.node)
            if key in written:
                lines.append(f"    {name}: see {written[key]}")
            else:
                written[key] = f"{package}.{name}"
                lines += [f"    {line}" for line in described(name, found)]
    return "\n".join(lines) + "\n"


def described(name: str, found: Found) -> Iterator[str]:
    """The lines of one name."""
    if found.node is None:
        yield f"module {name}"
        for node in tree_of(found.module).body:
            if isinstance(node, Definition):
                for inner in names_of(node):
                    if not inner.startswith("_"):
                        yield from (f"    {line}" for line in described(inner, Found(found.module, node)))
    elif isinstance(found.node, ast.ClassDef):
        yield class_line(found.node)
        yield from (f"    {line}" for line in members(found.node, found.module).values())
    elif isinstance(found.node, ast.FunctionDef):
        yield function_line(found.node)
    else:
        yield variable_line(name, found.node)


def class_line(node: ast.ClassDef) -> str:
    """As it is written, with the arguments of its `dataclass`."""
    made = [ast.unparse(one) for one in node.decorator_list if ast.unparse(one).partition("(")[0] == "dataclass"]
    bases = ", ".join(ast.unparse(base) for base in [*node.bases, *(word.value for word in node.keywords)])
    return f"{made[0] + ' ' if made else ''}class {node.name}{f'({bases})' if bases else ''}"


def members(node: ast.ClassDef, module: str) -> dict[str, str]:
    """Lines of a class's public fields, methods and attributes by name, those of bases that no package gives out first."""
    lines: dict[str, str] = {}
    for base in node.bases:
        name = ast.unparse(base).partition("[")[0]
        try:
            found = definition(module, name)
        except KeyError:
            continue  # of another library
        if isinstance(found.node, ast.ClassDef) and not is_public(found):
            lines |= members(found.node, found.module)
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and (inner.name in DUNDERS or not inner.name.startswith("_")):
            lines[inner.name] = function_line(inner)
        elif isinstance(inner, ast.Assign | ast.AnnAssign):
            lines |= {name: variable_line(name, inner) for name in names_of(inner) if not name.startswith("_")}
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            lines |= {name: f"{name}: set in __init__" for name in attributes(inner) if name not in lines}
    return lines


def is_public(found: Found) -> bool:
    """Whether a package gives a definition out."""
    return any(one.node is found.node for package in PACKAGES for one in exports(package).values())


def attributes(init: ast.FunctionDef) -> list[str]:
    """Public attributes that a constructor sets, in its order."""
    return [
        target.attr
        for node in ast.walk(init)
        for target in _targets(node)
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self" and target.attr[0] != "_"
    ]


def _targets(node: ast.AST) -> list[ast.expr]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [inner for target in targets for inner in (target.elts if isinstance(target, ast.Tuple) else [target])]


def function_line(node: ast.FunctionDef) -> str:
    """A signature as it is written."""
    marks = [ast.unparse(one) for one in node.decorator_list]
    kind = "property" if "property" in marks or "cached_property" in marks else "def"
    words = [mark.replace("abstractmethod", "abstract") for mark in marks]
    front = " ".join([word for word in words if word in _WORDS] + [kind])
    given = "" if kind == "property" else f"({ast.unparse(node.args)})"
    return f"{front} {node.name}{given} -> {ast.unparse(node.returns) if node.returns else 'Any'}"


def variable_line(name: str, node: ast.Assign | ast.AnnAssign | ast.expr) -> str:
    """Type and default of a field, an alias; of a constant of the core the name, as its value may change."""
    if name.isupper():
        return name
    value = f" = {ast.unparse(node.value)}" if isinstance(node, ast.Assign | ast.AnnAssign) and node.value else ""
    return f"{name}{f': {ast.unparse(node.annotation)}' if isinstance(node, ast.AnnAssign) else ''}{value}"


def version() -> str:
    """The hook API of the source, as `2.0`."""
    node = definition("zoo_core.contract.specs", "HOOK_API").node
    assert isinstance(node, ast.Assign)
    return ".".join(map(str, ast.literal_eval(node.value)))


def entries(text: str) -> dict[str, str]:
    """The lines of a file by the path of names that leads to each."""
    found: dict[str, str] = {}
    path: list[str] = []
    for line in text.splitlines()[1:]:
        if words := line.strip():
            depth = (len(line) - len(words)) // 4
            name = re.split(r"[^\w.]", _KIND.sub("", words, count=1), maxsplit=1)[0]
            path = [*path[:depth], name]
            found[".".join(path)] = words
    return found


def broken(old: str, new: str) -> list[str]:
    """What a plugin written against `old` may not find in `new`: all but new names, and arguments and fields with a default."""
    before, after = entries(old), entries(new)
    lines = [f"{path}: is gone, was: {line}" for path, line in before.items() if path not in after]
    for path, line in after.items():
        owner = path.rpartition(".")[0]
        if path in before:
            if before[path] != line and not _only_adds(before[path], line):
                lines.append(f"{path}: was: {before[path]}\n{' ' * len(path)}   is: {line}")
        elif owner in before and _is_class(before[owner]) and _demands(line):
            lines.append(f"{path}: is new and has to be given by those who have {owner} today: {line}")
    return lines


def _is_class(line: str) -> bool:
    return _KIND.match(line) is not None and " class " in f" {line}"


def _demands(line: str) -> bool:
    """Whether a new member of a class asks something of its users: an abstract method, or a field without a default."""
    return "abstract" in line.split() or re.fullmatch(r"\w+: (?!set in __init__)[^=]*", line) is not None


def _only_adds(old: str, new: str) -> bool:
    """Whether a signature has but further arguments, each with a default, behind those it had."""
    one, two = _parsed(old), _parsed(new)
    if one is None or two is None or old.partition("def ")[0] != new.partition("def ")[0]:
        return False
    (was, its_type), (now, type_now) = one, two
    return its_type == type_now and now[: len(was)] == was and all(default for _, _, default in now[len(was) :])


def _parsed(line: str) -> tuple[list[tuple[str, str, str]], str] | None:
    """Arguments of a signature with kind, text and default, and its type; None for a line that has none."""
    try:
        (node,) = ast.parse(f"def {line.partition('def ')[2]}: ...").body
    except SyntaxError:
        return None
    assert isinstance(node, ast.FunctionDef)
    plain = [*node.args.posonlyargs, *node.args.args]
    defaults = [None] * (len(plain) - len(node.args.defaults)) + list(node.args.defaults)
    pairs = [("plain", *pair) for pair in zip(plain, defaults, strict=True)]
    pairs += [("named", *pair) for pair in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    pairs += [(kind, one, ast.Constant("")) for kind, one in (("*", node.args.vararg), ("**", node.args.kwarg)) if one]
    shown = [(kind, ast.unparse(one), ast.unparse(default) if default else "") for kind, one, default in pairs]
    return shown, ast.unparse(node.returns) if node.returns else ""


def problems() -> list[str]:
    """What differs from the file of this version, and what breaks earlier ones of the same major."""
    now, path = surface(), FROZEN / f"{version()}.txt"
    kept = path.read_text() if path.is_file() else ""
    lines = [
        line
        for line in difflib.unified_diff(kept.splitlines(), now.splitlines(), "the file", "the code", lineterm="", n=0)
        if not line.startswith("@@")
    ]
    for earlier in sorted(FROZEN.glob(f"{version().partition('.')[0]}.*.txt")):
        if earlier != path:
            lines += [f"{earlier.name}: {line}" for line in broken(earlier.read_text(), now)]
    return lines


def main() -> None:
    """Write the file, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        fs.make_folder(FROZEN)
        fs.write_file(FROZEN / f"{version()}.txt", surface().encode())
    elif found := problems():
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
