"""Export formats of plugins, and programs of torch.export that are tried before they are kept."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_toys.runs import recipe, toy_zoo
from zoo_toys.sketches import Mirrored, PointKinds

from zoo_core import ExportSource, PluginError, RecipeError, StoreError, UnknownName, UsageError, export, load, train
from zoo_core.contract import Head, Predictor, TaskContext
from zoo_core.models.programs import ProgramExporter
from zoo_core.plugins.configs import ProgramConfig
from zoo_core.registry.zoo import Zoo

NAME = "toy_tiny.sketched"


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """With a classifier of points."""
    root = tmp_path_factory.mktemp("exported")
    zoo = toy_zoo(root / "home", EntryPoint("zoo-formats", "zoo_toys.exporters", "zoo.plugins"))
    train(recipe("sketched", steps=2), folder=root / "run", zoo=zoo)
    return zoo


def test_a_format_of_a_plugin_is_written_with_its_settings_all_of_it_or_nothing(zoo: Zoo, tmp_path: Path) -> None:
    folder = export(NAME, tmp_path / "new" / "out", format="table", settings={"separator": "\t"}, zoo=zoo)
    rows = [line.split("\t") for line in (folder / "tensors.csv").read_text().splitlines()]
    assert ["head.weight", "2", "16"] in rows and [path.name for path in folder.iterdir()] == ["tensors.csv"]
    with pytest.raises(StoreError, match="exists"):
        export(NAME, folder, format="table", zoo=zoo)
    with pytest.raises(PluginError, match=r"zoo-formats/stumbling: exporting .* raised KeyError: .*exporters\.py"):
        export(NAME, tmp_path / "a", format="stumbling", zoo=zoo)
    with pytest.raises(PluginError, match=r"name\.txt: expected a list of bytes, found str"):
        export(NAME, tmp_path / "b", format="loose", zoo=zoo)
    with pytest.raises(UnknownName, match="unknown exporter 'tabel'") as unknown:
        export(NAME, tmp_path / "c", format="tabel", zoo=zoo)
    assert "table" in unknown.value.hint
    with pytest.raises(RecipeError, match="settings of table: seperator"):
        export(NAME, tmp_path / "d", format="table", settings={"seperator": ";"}, zoo=zoo)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]


def test_what_a_format_is_not_for_is_refused_by_name(zoo: Zoo, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="zoo-toys/mlp knows no folders of other libraries") as refused:
        export(NAME, tmp_path / "out", zoo=zoo)
    assert "--format" in refused.value.hint
    with pytest.raises(UsageError, match="PointTeacher gives no example of a batch"):
        export(NAME, tmp_path / "out", format="torch-program", zoo=zoo)
    assert not list(tmp_path.iterdir())


class Traced(PointKinds):
    """Gives an example."""

    def example_batch(self, rows: int) -> dict[str, Tensor]:
        """Points on a line."""
        return {"points": torch.linspace(-1, 1, 2 * rows).view(rows, 2)}


class Fixed(Traced):
    """Fixes the number of samples that it was traced with."""

    def logits(self, modules: Mapping[str, nn.Module], batch: Any) -> Tensor:
        """(B, C)."""
        return super().logits(modules, batch) + torch.zeros(len(batch["points"]), 1)


class Looping(Traced):
    """Goes on until a number is small enough."""

    def logits(self, modules: Mapping[str, nn.Module], batch: Any) -> Tensor:
        """(B, C)."""
        found = super().logits(modules, batch)
        while found.abs().max() > 1:
            found = found / 2
        return found


class Moody(Traced):
    """Another answer whenever it is asked."""

    times = 0

    def logits(self, modules: Mapping[str, nn.Module], batch: Any) -> Tensor:
        """(B, C)."""
        self.times += 1
        return super().logits(modules, batch) + self.times


class Silent(Mirrored):
    """Gives an example of what it makes nothing of."""

    def example_batch(self, rows: int) -> dict[str, Tensor]:
        """Points."""
        return {"points": torch.zeros(rows, 2)}


def source(zoo: Zoo, task: type[Predictor]) -> ExportSource:
    loaded = load(NAME, zoo=zoo)
    context = TaskContext(model=loaded.model, preprocessor=None, labels=loaded.labels)
    return ExportSource(
        name=NAME,
        reference=loaded.reference,
        model="zoo-toys/mlp",
        config={},
        head=Head(),
        labels=loaded.labels,
        license="",
        card={},
        preprocessor=None,
        interop=None,
        tensors=dict,
        predictor=lambda: task(None, context),
    )


@pytest.fixture
def exported(zoo: Zoo) -> Callable[[type[Predictor]], Any]:
    return lambda task: ProgramExporter(ProgramConfig()).files(source(zoo, task))


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # as torch itself reads the file
def test_a_program_gives_what_the_model_gives_for_any_number_of_samples(
    exported: Callable[[type[Predictor]], Any], zoo: Zoo, tmp_path: Path
) -> None:
    files = exported(Traced)
    record = json.loads(files["program.json"][0])
    assert record["inputs"] == {"points": {"dtype": "float32", "shape": [None, 2]}}
    assert record["largest_difference"] == 0.0 < record["largest_output"]
    assert record["labels"] == ["inner", "outer"] and record["samples_tried"] == [3, 1]
    (tmp_path / "program.pt2").write_bytes(files["program.pt2"][0])
    with zipfile.ZipFile(tmp_path / "program.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    # A protocol-2 pickle begins so, also in a file of torch.save, which is an archive by itself.
    assert not [name for name, data in contents.items() if data[:2] in (b"\x80\x02", b"PK") or name.endswith(".pkl")]
    program = torch.export.load(tmp_path / "program.pt2").module()
    points = torch.randn(7, 2)
    with torch.no_grad():
        assert torch.equal(program({"points": points}), load(NAME, zoo=zoo).model(points))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Fixed, r"the program takes no batch of points \(3, 2\)"),
        (Looping, r"torch\.export can't trace Looping\.outputs"),
        (Silent, "Silent has no outputs to export"),
        (Moody, "expected a program whose numbers are within"),
    ],
)
def test_a_program_that_is_none_of_the_model_is_refused(
    exported: Callable[[type[Predictor]], Any], task: type[Predictor], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        exported(task)
