"""Exports what a task computes of a batch as a program of `torch.export`, once it gives what the model gives."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from zoo_core.contract.interop import json_file
from zoo_core.contract.predictor import Predictor, inference_mode
from zoo_core.errors import UsageError
from zoo_core.models.exporters import Exporter, ExportSource

if TYPE_CHECKING:
    from zoo_core.storage.fs import Buffer

PROGRAM, RECORD = "program.pt2", "program.json"
"""Names of the files."""
_TRACED, _TRIED = 2, (3, 1)
"""Samples of the batch that is traced, and of those that are tried."""

Batch = dict[str, Tensor]


class ProgramExporter(Exporter):
    """`program.pt2` of `Predictor.outputs`; `program.json` says what it takes and how near the model it was.

    Sizes that differ between the task's example batches are free. Nothing in the file is pickled; but `torch.export.load` unpickles
    what another file has, and is for files that one trusts.
    """

    def files(self, source: ExportSource) -> dict[str, Sequence[Buffer]]:
        """The program, its record, and the files of the preprocessor. Raises `UsageError` for what can't be traced."""
        predictor = source.predictor()
        with inference_mode(predictor.model):
            traced, tried = predictor.example_batch(_TRACED), [predictor.example_batch(rows) for rows in _TRIED]
            asked = _Asked(predictor.modules())
            # Before anything is traced: what a task computes once and keeps would otherwise be kept of a trace.
            expected = [predictor.outputs(asked, batch) for batch in tried]
            program = self._program(source, predictor, asked.found, traced, tried[0])
            difference, largest = self._compared(source, program, tried, expected)
        program.example_inputs = None  # which would be pickled
        written = io.BytesIO()
        torch.export.save(program, written)
        record = {
            "checkpoint": source.reference,
            "labels": list(source.labels),
            "torch": torch.__version__,
            "inputs": {name: _described(tensor, tried[0][name]) for name, tensor in traced.items()},
            "samples_tried": list(_TRIED),
            "largest_difference": difference,
            "largest_output": largest,
        }
        others = source.preprocessor.files() if source.preprocessor else {}
        files: dict[str, Sequence[Buffer]] = {name: [data] for name, data in others.items()}
        return {**files, PROGRAM: [written.getbuffer()], RECORD: [json_file(record)]}

    def _program(
        self, source: ExportSource, predictor: Predictor, modules: dict[str, nn.Module], traced: Batch, other: Batch
    ) -> torch.export.ExportedProgram:
        free = {
            name: dict.fromkeys(_free(tensor, other[name]), torch.export.Dim.AUTO) for name, tensor in traced.items()
        }
        try:
            return torch.export.export(_Outputs(predictor, modules), (traced,), dynamic_shapes=(free,), strict=False)
        except Exception as error:
            raise UsageError(
                f"{source.name}: torch.export can't trace {type(predictor).__name__}.outputs: {_first_line(error)}",
                hint="what depends on the values of a tensor, like a loop until an end is found, has no program",
            ) from error

    def _compared(
        self, source: ExportSource, program: torch.export.ExportedProgram, tried: list[Batch], expected: list[Any]
    ) -> tuple[float, float]:
        """The largest difference from the model's numbers, and the largest of these. Raises `UsageError` for too large a one."""
        module, differences, sizes = program.module(), [0.0], [0.0]
        for batch, wanted in zip(tried, expected, strict=True):
            try:
                found = module(batch)
            except Exception as error:
                raise UsageError(
                    f"{source.name}: the program takes no batch of {_shapes(batch)}: {_first_line(error)}",
                    hint="outputs fixes a size that example_batch changes, as len(tensor) does; write tensor.shape[0]",
                ) from error
            for ours, theirs in zip(_leaves(wanted), _leaves(found), strict=True):
                differences.append(float((ours.double() - theirs.double()).abs().max()))
                sizes.append(float(ours.double().abs().max()))
        difference, largest = max(differences), max(sizes)
        # A difference that is not a number is none that is small.
        if not difference <= self.config.tolerance * largest:
            raise UsageError(
                f"{source.name}: expected a program whose numbers are within {self.config.tolerance * largest:.1e} of the "
                f"model's, found a difference of {difference:.1e}",
                hint="nothing was written; outputs must depend on its batch alone",
            )
        return difference, largest


class _Asked(Mapping[str, nn.Module]):
    """Modules by name, of which it notes those that somebody asked for: what a program needs."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules = modules
        self.found: dict[str, nn.Module] = {}

    def __getitem__(self, name: str) -> nn.Module:
        return self.found.setdefault(name, self.modules[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.modules)

    def __len__(self) -> int:
        return len(self.modules)


class _Outputs(nn.Module):
    """`Predictor.outputs` as a module of what it asks for."""

    def __init__(self, predictor: Predictor, modules: dict[str, nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(modules)
        self.outputs = predictor.outputs

    def forward(self, batch: Batch) -> Any:
        """As the task's."""
        return self.outputs(dict(self.parts), batch)


def _free(tensor: Tensor, other: Tensor) -> list[int]:
    """Dimensions whose size is free: those in which two examples differ."""
    return [place for place, (one, two) in enumerate(zip(tensor.shape, other.shape, strict=True)) if one != two]


def _described(tensor: Tensor, other: Tensor) -> dict[str, Any]:
    """Type and shape of an input; null stands for a size that is free."""
    free = _free(tensor, other)
    shape = [None if place in free else size for place, size in enumerate(tensor.shape)]
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": shape}


def _shapes(batch: Batch) -> str:
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in batch.items())


def _leaves(outputs: Any) -> list[Tensor]:
    """The tensors of what a module gave."""
    return [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
