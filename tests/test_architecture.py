"""The house held to its own rules: floors, doors, words, sizes. One test for each rule, which lists all who break it."""

from __future__ import annotations

import ast
import graphlib
import importlib
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import zoo_core

ROOT = Path(__file__).parent.parent
CORE = ROOT / "zoo_core"
PLUGINS = sorted(path for path in (ROOT / "plugins").iterdir() if path.is_dir())

FLOORS = (
    "errors", "storage", "contract", "data", "plugins", "models", "registry", "config", "training", "tasks", "preflight",
    "runs", "api", "cli", "testing", "__main__",
)  # fmt: skip
"""From the ground up: folders of the core and the files beside them. A module imports from its own folder and from below."""

MOST_FOLDERS, MOST_FILES, MOST_BESIDE = 14, 14, 4
"""Folders of the core, files of one folder, and files of the core that lie in none."""

PUBLIC = ("zoo_core", "zoo_core.contract", "zoo_core.data", "zoo_core.tasks", "zoo_core.testing", "zoo_core.cli")
"""What plugins and scripts import from."""

LIBRARIES = ("zoo_transformers",)
"""What lies beside the plugins without being one: they may import it, from its public package alone."""

DOORS = {
    "pluggy": {"contract.hookspecs", "plugins.host", "plugins.validation"},
    "yaml": {"contract.yamltext"},
    "accelerate": {"training.hardware"},
    "matplotlib": {"tasks.drawing"},
    "psutil": {"runs.extras", "storage.machine"},
    "rich": {"cli.progress", "cli.render"},
    "huggingface_hub": {"storage.hub"},
    "pyarrow": {"data.tables.parquet", "data.tables.parquet_child"},
    "PIL": {"data.images"},
}
"""The one place of each third-party library in the core."""


def sources(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*.py") if "__pycache__" not in path.parts and "tests" not in path.parts
    )


PRODUCT = [path for folder in (CORE, *PLUGINS) for path in sources(folder)]
"""Everything that is installed."""


def at(path: Path, line: int, what: object) -> str:
    return f"{path.relative_to(ROOT)}:{line}: {what}"


def module_of(path: Path) -> str:
    """`training.loop` of a file of the core; a folder's own file is called as the folder."""
    parts = path.relative_to(CORE).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


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


MODULES = {module_of(path): path for path in sources(CORE)}


def needs(path: Path) -> Iterator[tuple[str, int]]:
    """Modules of the core that a file of it imports; a folder that is imported stands for its own file."""
    for name, line in imports(path):
        if name.startswith("zoo_core.") and name.removeprefix("zoo_core.") in MODULES:
            yield name.removeprefix("zoo_core."), line


def test_imports_go_down_the_floors_only() -> None:
    floor = {name: number for number, name in enumerate(FLOORS)}
    rooms = {module.partition(".")[0] for module in MODULES} - {"__init__"}
    assert rooms == set(FLOORS)
    upwards = [
        at(path, line, f"{module} imports {name}, which is not below it")
        for module, path in MODULES.items()
        if module != "__init__"
        for name, line in needs(path)
        if (own := module.partition(".")[0]) != (other := name.partition(".")[0]) and floor[other] >= floor[own]
    ]
    assert upwards == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        if path.name != "__init__.py":  # a folder's own file gives out names and has no others of its own
            graph[module] |= {name for name, _ in needs(path) if MODULES[name].name != "__init__.py"}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_a_reader_can_see_the_house_from_its_tree() -> None:
    files = Counter(path.parent for path in PRODUCT)
    assert {folder: count for folder, count in files.items() if count > MOST_FILES} == {}
    assert len([folder for folder in files if CORE in folder.parents]) <= MOST_FOLDERS
    assert files[CORE] <= MOST_BESIDE
    untold = [
        str(path.relative_to(ROOT))
        for path in sources(CORE)
        if path.name == "__init__.py"
        and len(re.findall(r"[.;](\s|$)", ast.get_docstring(ast.parse(path.read_text())) or "")) < 2
    ]
    assert untold == [], "a folder says in two sentences what lives there and what may not"


def test_each_library_has_one_door() -> None:
    used = [
        at(path, line, name)
        for module, path in MODULES.items()
        for name, line in imports(path)
        if (library := name.partition(".")[0]) in DOORS and module not in DOORS[library]
    ]
    assert used == []


FOREIGN = {
    *("transformers", "tokenizers", "timm", "torchvision", "torchaudio", "sacrebleu", "sklearn", "torchmetrics"),
    *(path.name.replace("-", "_") for path in PLUGINS),
}


def test_the_core_imports_no_plugin_and_no_library_of_one() -> None:
    used = [at(p, line, n) for p in sources(CORE) for n, line in imports(p) if n.partition(".")[0] in FOREIGN]
    assert used == []


def test_a_plugin_imports_no_other_plugin() -> None:
    packages = {path.name.replace("-", "_") for path in PLUGINS}
    used = [
        at(path, line, name)
        for plugin in PLUGINS
        for path in sources(plugin)
        for name, line in imports(path)
        if name.partition(".")[0] in packages - {plugin.name.replace("-", "_"), *LIBRARIES}
    ]
    assert used == []


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
SPOKEN = {
    *("errors", "contract.specs", "contract.hookspecs", "contract.task", "contract.data"),
    *("data", "data.images", "data.pixels", "data.image_survey"),
}
"""Where an example may name a modality; the last three read a format of files, as `tables` does, whatever it is for."""


def test_no_name_or_value_of_the_core_speaks_of_a_modality() -> None:
    """Identifiers and strings that are not prose; `text` as the name of a string is no modality."""
    spoken = [
        at(path, getattr(node, "lineno", 0), name)
        for module, path in MODULES.items()
        if module not in SPOKEN
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names_in(node, module)
        for part in re.split(r"[_\W]+", name)
        if WORDS.fullmatch(part) and part.lower() not in ("text", "texts", "token", "tokens")
    ]
    assert spoken == []


def names_in(node: ast.AST, module: str) -> Iterator[str]:
    """What a node calls things, and its value where that is a word."""
    names = [getattr(node, field, None) for field in ("name", "attr", "id", "arg")]
    # A library at its one door is called what it is called.
    yield from (n for n in names if isinstance(n, str) and module not in DOORS.get(n.partition(".")[0], ()))
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and not re.search(r"[ \n]", node.value):
        yield node.value


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


DISK = {CORE / "storage" / "fs.py", CORE / "storage" / "system.py"}


def test_nothing_runs_code_from_data() -> None:
    """But for weights alone, in a process that can open nothing, behind one door."""
    unsafe = [
        at(path, 0, match.group())
        for path in PRODUCT
        for match in UNSAFE.finditer(without_prose(path).replace(".eval()", ""))
    ]
    assert unsafe == [at(CORE / "registry" / "convert.py", 0, "torch.load")]
    assert "weights_only=True" in (CORE / "registry" / "convert.py").read_text()


def test_the_disk_has_one_door() -> None:
    written = [
        at(path, 0, match.group())
        for path in PRODUCT
        if path not in DISK and CORE / "testing" not in path.parents
        for match in WRITERS.finditer(re.sub(r"(interop|self)\.rename\(", "", without_prose(path)))
    ]
    assert written == []


def test_paths_that_users_write_are_expanded_in_one_place() -> None:
    """`expanduser` raises a RuntimeError where the home folder isn't known; `zoo_core.storage.paths.expanded` one of ours."""
    found = [at(p, 0, "expanduser") for p in PRODUCT if ".expanduser(" in without_prose(p)]
    assert found == [at(CORE / "storage" / "paths.py", 0, "expanduser")]


def without_prose(path: Path) -> str:
    """The code of a file; comments, docstrings and strings of several words left out."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            node.value = ""
    return ast.unparse(tree)


ENVIRONMENT = {"training.hardware", "storage.machine"}
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


def test_nothing_that_belongs_to_another_module_is_changed() -> None:
    """What is patched for a moment in one thread is patched for all of them, and two at once leave it so."""
    changes = [
        at(path, 0, change)
        for path in PRODUCT
        if CORE / "testing" not in path.parents
        for change in foreign_changes(ast.parse(path.read_text()))
        if not (change.startswith("os.environ") and CORE in path.parents and module_of(path) in ENVIRONMENT)
    ]
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
    assert WORDS.fullmatch("image") and FLOORS.index("errors") == 0 and FLOORS.index("api") > FLOORS.index("models")


PHRASES = re.compile(
    r"\b(is due|are due|is told|told of|heard of|there is not|there are not|what is none|as far as they tell|rivals?)\b",
    re.IGNORECASE,
)
FORMER = {
    *(
        "Trial",
        "try_plugin",
        "Provided",
        "settle",
        "Moment",
        "Facts",
        "Final",
        "Best",
        "Start",
        "Prepared",
        "AnsweringTask",
        "Foreign",
    ),
    *(
        "Shelf",
        "Keeper",
        "serving",
        "leave_ranks",
        "watching",
        "spot",
        "place_of",
        "in_order",
        "retrospect",
        "overview",
        "instruments",
    ),
    *("Writer", "choose", "hide", "Files", "Encoded", "Stacked", "Packed", "Pictures", "fitted", "squashed", "Problem"),
    *("Adversaries", "Judge", "NetworkJudge", "seen", "beside", "asked", "Walk", "Latents"),
    *(
        "pieces",
        "quietest",
        "covering",
        "stretch",
        "Stretches",
        "heard",
        "Heard",
        "Listener",
        "Written",
        "spelled",
        "Reader",
    ),
    *("Lane", "judged", "scored", "compared", "no_longer", "called"),
}
"""What classes and functions were called before they got the field's word."""


def test_messages_and_docstrings_are_in_plain_words() -> None:
    found = [
        at(path, node.lineno, match.group())
        for path in [*PRODUCT, *sources(ROOT / "scripts")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for match in PHRASES.finditer(node.value)
    ]
    assert found == []


def test_nothing_is_called_by_a_former_name() -> None:
    found = [
        at(path, node.lineno, node.name)
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in FORMER
    ]
    assert found == []


MOST_LINES, LONGEST_FUNCTION = 400, 80


def test_files_and_functions_stay_small_enough_to_read() -> None:
    offenders = []
    for path in PRODUCT:
        code = path.read_text()
        tree = ast.parse(code)
        if code.count("\n") > MOST_LINES:
            offenders.append(at(path, code.count("\n"), f"more than {MOST_LINES} lines"))
        if code.strip() and not ast.get_docstring(tree):
            offenders.append(at(path, 1, "a module says its duty in its docstring"))
        offenders += [
            at(path, node.lineno, f"{node.name} has {(node.end_lineno or 0) - node.lineno + 1} lines")
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
        ]
    assert offenders == []


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


def test_answering_imports_nothing_of_training() -> None:
    code = (
        "import sys, zoo_core\n"
        "zoo_core.load('bert_tiny.sentiment').predict(['fine'])\n"
        "print([name for name in sys.modules if name.startswith(tuple(f'zoo_core.{room}' for room in sys.argv[1:]))])"
    )
    command = [sys.executable, "-c", code, "training", "preflight", "runs"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_what_public_packages_give_out_resolves_and_is_what_type_checkers_see() -> None:
    for package in (*PUBLIC, *LIBRARIES):
        module = importlib.import_module(package)
        tree = ast.parse(Path(str(module.__file__)).read_text())
        seen = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert seen - {None} == set(module.__all__), package
        unresolved = [name for name in module.__all__ if getattr(module, name) is None]
        hidden = [
            name for name in module.__all__ if f"{package.removeprefix('zoo_core').lstrip('.')}.{name}" in MODULES
        ]
        assert (unresolved, hidden) == ([], []), package


def test_plugins_and_scripts_import_public_packages_only() -> None:
    outside = [
        at(path, line, name)
        for path in [*(p for plugin in PLUGINS for p in sources(plugin)), *sources(ROOT / "scripts")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name, line in [(getattr(node, "module", None) or node.names[0].name, node.lineno)]
        if name.startswith(("zoo_core", *LIBRARIES))
        and name not in (*PUBLIC, *LIBRARIES)
        and name.partition(".")[0] not in path.parts
    ]
    assert outside == []


def test_a_plugins_hooks_are_one_screen() -> None:
    long = [
        at(path, count, "lines")
        for path in PRODUCT
        if path.name == "plugin.py" and (count := len(path.read_text().splitlines())) > 40
    ]
    assert long == []


def test_plugin_modules_specs_and_configurations_are_free_of_torch() -> None:
    modules = [
        ".".join(path.relative_to(plugin).with_suffix("").parts).removesuffix(".__init__")
        for plugin in PLUGINS
        for path in sources(plugin)
        if path.name == "plugin.py" or path.parent.name in ("specs", "configs")
    ]
    code = f"import sys; import {', '.join(modules)}; print([m for m in ('torch', 'transformers', 'timm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
