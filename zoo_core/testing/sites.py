"""Makes plugins on disk: installed ones with nothing but a metadata folder, and projects for a real installer."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from zoo_core.plugins.discovery import GROUP
from zoo_core.storage import fs


def package_of(distribution: str) -> str:
    """The import package that goes with a distribution's name here: `zoo-example` has `zoo_example`."""
    return distribution.lower().replace("-", "_").replace(".", "_")


def write_plugin(
    site: Path,
    distribution: str,
    source: str,
    *,
    version: str = "1.0",
    entries: Mapping[str, str] | None = None,
    modules: Mapping[str, str] | None = None,
) -> Path:
    """Lay out a plugin in `site` as an installer would have; `source` is its `plugin.py`. Returns the package folder.

    entries: entry points by name, by default the one that a sound plugin has. modules: further files of the package.
    """
    package = package_of(distribution)
    info = site / f"{package}-{version}.dist-info"
    points = {distribution: f"{package}.plugin"} if entries is None else entries
    fs.make_folder(info)
    _write(info / "METADATA", f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    _write(info / "entry_points.txt", f"[{GROUP}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items()))
    _write_package(site / package, source, modules or {})
    return site / package


def write_project(
    folder: Path,
    distribution: str,
    source: str,
    *,
    modules: Mapping[str, str],
    entries: Mapping[str, str] | None = None,
) -> Path:
    """The same plugin, version 1.0, as a source project that any installer can build. Returns the project folder."""
    package = package_of(distribution)
    points = {distribution: f"{package}.plugin"} if entries is None else entries
    project = folder / distribution
    fs.make_folder(project)
    lines = [
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n',
        f'[project]\nname = "{distribution}"\nversion = "1.0"\n',
        f'[project.entry-points."{GROUP}"]',
        *(f'"{name}" = "{value}"' for name, value in points.items()),
        f'\n[tool.hatch.build.targets.wheel]\npackages = ["{package}"]\n',
    ]
    _write(project / "pyproject.toml", "\n".join(lines))
    _write_package(project / package, source, modules)
    return project


@contextmanager
def on_path(*sites: Path) -> Iterator[None]:
    """Put the sites first on `sys.path`; afterwards take them off and forget what was imported from them."""
    path, modules = list(sys.path), set(sys.modules)
    sys.path[:0] = [str(site) for site in sites]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if _came_from(name, sites):
                del sys.modules[name]
        importlib.invalidate_caches()


def _came_from(name: str, sites: tuple[Path, ...]) -> bool:
    # By name as well: a plugin may have put anything into its module's place.
    origin = str(getattr(sys.modules[name], "__file__", None) or "")
    return any(Path(origin).is_relative_to(site) or (site / name.partition(".")[0]).is_dir() for site in sites)


def _write_package(package: Path, source: str, modules: Mapping[str, str]) -> None:
    fs.make_folder(package)
    for name, content in {"__init__.py": "", "plugin.py": source, **modules}.items():
        _write(package / name, content)


def _write(path: Path, content: str) -> None:
    fs.write_file(path, content.encode())
