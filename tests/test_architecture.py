"""The house held to its own rules: floors, doors, words, sizes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import zoo_core

ROOT = Path(__file__).parent.parent
CORE = ROOT / "zoo_core"
PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if path.is_dir())

FLOORS = (
    ("errors", "specs", "data.kinds", "runs.bootstrap", "runs.verdicts"),
    ("system", "machine", "silence", "arguments"),
    ("answers", "inputs", "hub", "splits", "hookspecs", "fs", "yamltext", "discovery", "environment", "settings",
     "runs.guard", "contract.fields", "contract.panics", "contract.patterns", "storage.budgets",
     "data.labels", "data.options", "data.bad", "data.jsontext"),
    ("data.folders", "storage.heads", "runs.watchdog"),
    ("schema", "data.splitting", "data.lines"),
    ("card", "contract.sizes", "contract.rehearsal", "contract.rehearsal_child", "data.delimited", "data.files", "data.archives",
     "data.parquet", "data.parquet_child", "builtin"),
    ("catalogue", "layers", "runs.lock"),
    ("trial", "aliases", "ports", "runs.claim"),
    ("plugins", "tensors", "tables", "plot"),
    ("store", "registry", "storage.folders", "data.images"),
    ("data.pixels", "data.survey"),
    ("fetch", "recipe", "storage.garbage"),
    ("training.task", "training.workers", "training.interrupt", "training.confusion",
     "build", "checkpoint", "runs.identity", "runs.record", "runs.tail", "data.spread"),
    ("finetune", "exchange", "training.packing"),
    ("training.randomness", "training.report", "training.losses", "training.schedule",
     "training.order", "training.optim", "training.freezing", "training.ema", "training.state", "training.hardware",
     "training.classify", "training.answering", "training.best", "runs.undeclared"),
    ("training.meter", "training.agreement", "runs.baselines", "runs.contracts", "runs.replaced"),
    ("training.evaluate", "training.loop", "training.folder", "runs.undisturbed"),
    ("training.setup", "runs.extras"),
    ("training.statistics", "runs.preflight"),
    ("training.snapshot",),
    ("training.guards",),
    ("training.publish", "runs.rows", "runs.extras_child"),
    ("runs.finishing", "runs.measure"),
    ("training.run",),
    ("runs.late_extras",),
    ("factory",),
    ("upkeep",),
    ("cli", "testing"),
    ("__main__",),
)  # fmt: skip
"""From the ground up; a module imports from lower floors only."""

DOORS = {
    "pluggy": {"hookspecs", "plugins", "trial"},
    "yaml": {"yamltext"},
    "accelerate": {"training.hardware"},
    "matplotlib": {"plot"},
    "psutil": {"machine", "runs.extras"},
    "rich": {"cli"},
    "huggingface_hub": {"hub"},
    "pyarrow": {"data.parquet", "data.parquet_child"},
    "PIL": {"data.images"},
}
"""The one place of each third-party library in the core."""


def sources(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*.py") if "__pycache__" not in path.parts and "tests" not in path.parts
    )


def module_of(path: Path) -> str:
    parts = path.relative_to(CORE).with_suffix("").parts
    return parts[0] if parts[0] in ("cli", "testing") else ".".join(parts).removesuffix(".__init__") or "__init__"


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Modules that a file imports, those under `TYPE_CHECKING` left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def floor_of(module: str) -> int | None:
    return next((number for number, names in enumerate(FLOORS) if module in names), None)


def test_every_module_of_the_core_has_a_floor() -> None:
    known = {name for names in FLOORS for name in names}
    found = {module_of(path) for path in sources(CORE)} - {
        "__init__",
        "training",
        "runs",
        "data",
        "contract",
        "storage",
    }
    assert found == known


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_the_floors_only(path: Path) -> None:
    own = floor_of(module_of(path))
    if own is None:
        return
    for name, line in imports(path):
        target = name.removeprefix("zoo_core.")
        target = target.split(".")[0] if target.startswith(("cli", "testing")) else target
        floor = floor_of(target) if name.startswith("zoo_core.") else None
        same = target == module_of(path)
        assert floor is None or floor < own or same, (
            f"{path.name}:{line} imports {name} from floor {floor}, above {own}"
        )


@pytest.mark.parametrize("library", DOORS)
def test_each_library_has_one_door(library: str) -> None:
    users = {module_of(path) for path in sources(CORE) if any(n.split(".")[0] == library for n, _ in imports(path))}
    assert users <= DOORS[library]


def test_the_core_imports_no_plugin_and_no_library_of_one() -> None:
    foreign = {
        "transformers",
        "tokenizers",
        "timm",
        "torchvision",
        "torchaudio",
        "sacrebleu",
        "sklearn",
        "torchmetrics",
    }
    foreign |= {path.name.replace("-", "_") for path in PLUGINS}
    found = [f"{p.name}:{line} {n}" for p in sources(CORE) for n, line in imports(p) if n.split(".")[0] in foreign]
    assert found == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_imports_no_other_plugin_and_nothing_private(plugin: Path) -> None:
    own = plugin.name.replace("-", "_")
    others = {path.name.replace("-", "_") for path in PLUGINS} - {own}
    for path in sources(plugin):
        for name, line in imports(path):
            assert name.split(".")[0] not in others, f"{path.name}:{line} imports {name}"
            private = name.startswith("zoo_core") and any(part.startswith("_") for part in name.split(".")[1:])
            assert not private, f"{path.name}:{line} imports {name}"


@pytest.mark.parametrize("distribution", [ROOT, *PLUGINS], ids=lambda path: path.name if path != ROOT else "zoo-core")
def test_a_distribution_declares_every_library_that_it_imports(distribution: Path) -> None:
    package = CORE if distribution == ROOT else distribution / distribution.name.replace("-", "_")
    project = tomllib.loads((distribution / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^A-Za-z0-9_.-]", entry)[0].lower() for entry in project["dependencies"]}
    providers = packages_distributions()
    undeclared = {
        f"{path.name}:{line} imports {name}"
        for path in sources(package)
        for name, line in imports(path)
        if (library := name.split(".")[0]) not in {*sys.stdlib_module_names, "zoo_core", package.name}
        and not declared & {provider.lower().replace("_", "-") for provider in providers.get(library, [library])}
    }
    assert undeclared == set()


WORDS = re.compile(
    r"\b(text|texts|tokens?|tokenizers?|images?|pixels?|audio|speech|bert|gpt2?|vit|whisper|gan|transformers|timm|huggingface|sentences?)\b",
    re.IGNORECASE,
)
SPOKEN = {"errors", "specs", "hookspecs", "training.task", "data.images", "data.pixels", "data.survey"}
"""Where an example may name a modality; the last three read a format of files, as `tables` does, whatever it is for."""


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_or_value_of_the_core_speaks_of_a_modality(path: Path) -> None:
    """Identifiers and strings that are not prose; `text` as the name of a string is no modality."""
    if module_of(path) in SPOKEN:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        names = [getattr(node, field, None) for field in ("name", "attr", "id", "arg")]
        # A library at its one door is called what it is called.
        names = [n for n in names if module_of(path) not in DOORS.get(str(n).partition(".")[0], ())]
        value = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
        if value is not None and " " not in value and "\n" not in value:
            names.append(value)
        for name in names:
            parts = re.split(r"[_\W]+", name) if isinstance(name, str) else []
            spoken = [p for p in parts if WORDS.fullmatch(p) and p.lower() not in ("text", "texts", "token", "tokens")]
            assert not spoken, f"{path.name}:{getattr(node, 'lineno', '?')}: {name}"


WRITERS = re.compile(
    r"""\.write_(text|bytes)\(|\bshutil\.|\bos\.(rename|replace|remove|unlink|link|symlink|mkdir|makedirs|rmdir)\(|
    \.(rename|unlink|mkdir|rmdir|symlink_to|hardlink_to|touch)\(|\bopen\([^)]*["'][wax]b?\+?["']|\bnp\.save|save_file\(|
    torch\.save|savefig\(""",
    re.VERBOSE,
)
UNSAFE = re.compile(
    r"\bimport (pickle|dill|joblib)\b|\bpickle\.(load|dump)|torch\.load|\beval\(|\bexec\(|"
    r"yaml\.(load|unsafe_load|full_load)\(|shell=True|trust_remote_code"
)


@pytest.mark.parametrize(
    "path", [p for folder in (CORE, *PLUGINS) for p in sources(folder)], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_disk_has_one_door_and_nothing_runs_code_from_data(path: Path) -> None:
    code = re.sub(r"(interop|self)\.rename\(", "", _without_prose(path))
    unsafe = [match.group() for match in UNSAFE.finditer(code.replace("model.eval()", "").replace(".eval()", ""))]
    assert unsafe == []
    testing = CORE / "testing"
    if path not in (CORE / "fs.py", CORE / "system.py") and testing not in path.parents:
        assert [match.group() for match in WRITERS.finditer(code)] == []


@pytest.mark.parametrize(
    "path", [p for folder in (CORE, *PLUGINS) for p in sources(folder)], ids=lambda path: str(path.relative_to(ROOT))
)
def test_paths_that_users_write_are_expanded_in_one_place(path: Path) -> None:
    """`expanduser` raises a RuntimeError for a home that there is not; `zoo_core.inputs.expanded` one of ours."""
    assert path == CORE / "inputs.py" or ".expanduser(" not in _without_prose(path)


def _without_prose(path: Path) -> str:
    """The code of a file; comments, docstrings and strings of several words left out."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            node.value = ""
    return ast.unparse(tree)


ENVIRONMENT = {"training.hardware", "machine"}
"""Where a variable of the process's own environment is set."""


def foreign_changes(tree: ast.AST) -> list[str]:
    """Where code changes what belongs to another module: an attribute of something imported, or the environment."""
    names = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    changed: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.Delete):
            changed += node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            changed.append(node.target)
        elif isinstance(node, ast.With):
            changed += [item.optional_vars for item in node.items if item.optional_vars]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr"):
            changed.append(ast.Attribute(node.args[0], "?"))
        elif isinstance(node, ast.Call) and re.fullmatch(
            r"os\.(putenv|unsetenv|environ\.(update|setdefault|pop|clear))", ast.unparse(node.func)
        ):
            changed.append(node.func)
    return [ast.unparse(target) for target in changed if _root(target) in names]


def _root(target: ast.expr) -> str:
    """The name that an attribute or item hangs on; nothing for a plain name."""
    inner = target
    while isinstance(inner, ast.Attribute | ast.Subscript):
        inner = inner.value
    return inner.id if isinstance(inner, ast.Name) and inner is not target else ""


@pytest.mark.parametrize(
    "path", [p for folder in (CORE, *PLUGINS) for p in sources(folder)], ids=lambda path: str(path.relative_to(ROOT))
)
def test_nothing_that_belongs_to_another_module_is_changed(path: Path) -> None:
    """What is patched for a moment in one thread is patched for all of them, and two at once leave it so."""
    changes = foreign_changes(ast.parse(path.read_text()))
    if CORE in path.parents and module_of(path) in ENVIRONMENT:
        changes = [change for change in changes if not change.startswith("os.environ")]
    if CORE / "testing" in path.parents:
        return
    assert changes == []


def test_changes_of_foreign_modules_are_seen() -> None:
    code = "import torch.nn as nn, os\nnn.Module.a = 1\nsetattr(nn.init, name, 1)\nos.environ['A'] = b\nnn = 2\nx.y = 3"
    assert sorted(foreign_changes(ast.parse(code))) == ["nn.Module.a", "nn.init.?", "os.environ['A']"]


def test_the_guards_above_would_catch_what_they_guard_against() -> None:
    assert (
        WRITERS.search('open(path, "wb")')
        and WRITERS.search("path.write_text(x)")
        and WRITERS.search("os.replace(a, b)")
    )
    assert UNSAFE.search("torch.load(f)") and UNSAFE.search("eval(x)") and UNSAFE.search("import pickle")
    assert WORDS.fullmatch("image") and floor_of("errors") == 0 and floor_of("factory") > floor_of("build")  # type: ignore[operator]


@pytest.mark.parametrize(
    "path", [p for folder in (CORE, *PLUGINS) for p in sources(folder)], ids=lambda path: str(path.relative_to(ROOT))
)
def test_files_and_functions_stay_small_enough_to_read(path: Path) -> None:
    code = path.read_text()
    assert code.count("\n") <= 400
    tree = ast.parse(code)
    assert ast.get_docstring(tree) or not code.strip(), "a module says its duty in its docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 80, f"{node.name} has {node.end_lineno - node.lineno + 1} lines"  # type: ignore[operator]


def test_the_public_names_are_exactly_those_that_resolve() -> None:
    assert zoo_core.__all__ == sorted(zoo_core.__all__)
    for name in zoo_core.__all__:
        assert getattr(zoo_core, name) is not None
    with pytest.raises(AttributeError):
        zoo_core.no_such_name  # noqa: B018


def test_importing_the_core_imports_nothing_else() -> None:
    code = "import sys, zoo_core; print([m for m in ('torch', 'yaml', 'pluggy', 'numpy', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_plugin_modules_are_free_of_torch() -> None:
    modules = [f"{path.name.replace('-', '_')}.plugin" for path in PLUGINS]
    code = f"import sys; import {', '.join(modules)}; print('torch' in sys.modules, 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
