"""What a plugin hands to the core: frozen descriptions, free of torch, whose targets are strings resolved on first use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from itertools import pairwise
from typing import Any, Literal, TypeVar, get_args

HOOK_API = (2, 0)
"""Version of the hook contract (major, minor). A minor adds; a major removes or changes. 2.0 is in
development: it may change until it is released."""

SETTINGS = ("config", "preprocessor_config", "predict")
"""Fields of specs that hold a dataclass, or say where it is."""

InputKind = Literal["text", "json", "row", "file", "number"]
"""What one input of a prediction is."""

ANY = "*"
"""Stands in `DataSpec.opens` for the data sets that a configuration names."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_PART = re.compile(r"[a-z][a-z0-9_]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


_T = TypeVar("_T")


class FieldDocs:
    """The docstring of a dataclass with those of its fields, which `help()` then shows; read from the source when asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __get__(self, instance: object, owner: type) -> str:
        """The text, and each field with its type, its default and its docstring, those of bases first."""
        import inspect

        bases = [base for base in owner.__mro__[::-1] if isinstance(vars(base).get("__doc__"), FieldDocs)]
        rows = {name: words for base in bases for name, words in _field_docs(base)}
        return "\n\n".join([inspect.cleandoc(self.text), *rows.values()])


def documented(cls: type[_T]) -> type[_T]:
    """A decorator of dataclasses: `help()` shows what stands below each field."""
    cls.__doc__ = FieldDocs(cls.__doc__ or "")  # type: ignore[assignment]
    return cls


def _field_docs(cls: type) -> Iterator[tuple[str, str]]:
    """Names of a class's own fields, and each as it is written, with its docstring below; none where the source is missing."""
    import ast
    import inspect
    from textwrap import dedent, indent

    try:
        (tree,) = ast.parse(dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError):
        return
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for line, below in pairwise([*body, ast.Pass()]):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            words = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            shown = indent(inspect.cleandoc(str(words)), "    ")
            yield line.target.id, f"{ast.unparse(line)}\n{shown}" if words else ast.unparse(line)


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class NoConfig:
    """The configuration of a component that has nothing to configure."""


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What sits on top of a backbone: the task it serves and the number of labels it tells apart."""

    task: str = ""
    """Task name, for instance `text-classification`; empty for the bare backbone."""
    labels: int = 0
    """Number of labels; 0 where the task has none."""


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class SampleType:
    """What raw samples are, as a data set has them and a task reads them. Types of one name are one; nobody lists them.

    A data set fits a task that reads the type of the same name and no field that its samples lack; it may well have more.
    """

    name: str
    """What a sample is, for instance `text`, whoever's plugin has it or reads it."""
    fields: tuple[str, ...]
    """What every sample has, or is read of it, by name: attributes where samples are objects, as `("text", "label")`."""

    def __post_init__(self) -> None:
        """Names are plain. Raises ValueError."""
        names = self.fields if isinstance(self.fields, tuple) else ()
        plain = names and all(isinstance(field, str) and field.isidentifier() for field in names)
        if not _NAME.fullmatch(self.name) or not plain or len(set(names)) < len(names):
            raise ValueError(
                f"SampleType {self.name!r}: expected a name of lower-case letters, digits, '_', '.' and '-' and a tuple of "
                f"different names of attributes, found {self.fields!r}"
            )

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.fields)})"

    def missing_in(self, other: SampleType) -> tuple[str, ...]:
        """Fields that samples of another type lack."""
        return tuple(field for field in self.fields if field not in other.fields)


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """What every component tells about itself."""

    name: str
    """Unique within its plugin and kind; `plugin/name` is unique everywhere."""
    summary: str
    """One line for `zoo list` and the docs."""
    target: str
    """`package.module:function`, imported on first use only."""
    config: type | str = NoConfig
    """A frozen dataclass, free of torch, whose fields are what a recipe may set; or its `package.module:Class`, which
    is imported on first use, so that a listing needn't make the classes of every plugin."""
    modality: str = ""
    """`text`, `image`, `audio`, ...; data for listings, never a branch in the core."""

    def __post_init__(self) -> None:
        """Names are plain, targets can be imported, and configurations are dataclasses. Raises ValueError."""
        kind = type(self).__name__
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{kind} name {self.name!r}: lower-case letters, digits, '_', '.' and '-' only")
        if len(self.name) > 100:
            raise ValueError(f"{kind} name {self.name[:40]!r}...: at most 100 letters")
        if not isinstance(self.summary, str) or len(self.summary) > 1000:
            raise ValueError(f"{kind} {self.name!r}: its summary is not a line of text")
        if not _TARGET.fullmatch(self.target):
            raise ValueError(f"{kind} {self.name!r}: target {self.target!r} is not 'package.module:function'")
        for place in SETTINGS:
            found = getattr(self, place, NoConfig)
            if not (_TARGET.fullmatch(found) if isinstance(found, str) else is_dataclass(found)):
                raise ValueError(
                    f"{kind} {self.name!r}: {place} {found!r} is not a dataclass, nor 'package.module:Class'"
                )


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec(Spec):
    """A model family. `target(config, head: Head) -> nn.Module`, built on the default device (meta too), without I/O; for one with
    `parts` `target(config, head, parts: Mapping[str, nn.Module])`."""

    sizes: Mapping[str, Mapping[str, Any]]
    """Named sizes as overrides of `config`, for instance `{"tiny": {"hidden_size": 128}}`; a model is `family_size`."""
    tasks: tuple[str, ...] = ()
    """Tasks that `Head.task` may name, besides the empty one where a bare backbone exists, and those of what it offers."""
    offers: str | tuple[str, ...] = ()
    """Name or names of `InterfaceSpec`s that its models keep: it serves every task that needs one of them, whoever's they are."""
    parts: tuple[str, ...] = ()
    """What it is put together from, as `("image", "text")`: bare backbones of other checkpoints, which a recipe names by part.
    `target` keeps each as the submodule of that name. Its preprocessor is a `zoo_core.CompositePreprocessor` of theirs."""
    names: str = ""
    """`package.module:function`; `() -> Mapping[str, Mapping[str, Any]]`: further names, those that another library
    gives its architectures, as overrides of `config`. Asked only for a name that nobody lists."""
    checkpoints: Mapping[str, str] = field(default_factory=dict)
    """Checkpoints that packages ship: registry name to `package.module:function`, `(fetcher) -> Path` of a folder that
    `interop` reads. Fetched only when the user asks by name."""
    preprocessor: str = ""
    """`package.module:Class` of a `zoo_core.Preprocessor`; empty for a model that takes tensors as they come."""
    preprocessor_config: type | str = NoConfig
    """Frozen dataclass with the settings of `Preprocessor.fit`, or where to find it."""
    backbone: str = ""
    """Prefix that the backbone's tensors carry in a model with a head and lack in the bare backbone, like `bert.`."""
    head: tuple[str, ...] = ()
    """Prefixes of tensors that belong to the head: initialised afresh when the task or the labels change."""
    layers: str = ""
    """Regular expression whose first group is a block's number, for layer-wise learning-rate decay."""
    layer_groups: str = ""
    """`package.module:function`; `(model) -> zoo_core.LayerGroups`: the family's own grouping, where a number in the
    names doesn't tell; takes the place of `layers`."""
    adapt: str = ""
    """`package.module:function`; `(name, tensor, shape) -> Tensor | None` fits a backbone tensor to another shape."""
    gradient_checkpointing: str = ""
    """`package.module:function`; `(model) -> None` turns on recomputation of activations."""
    interop: str = ""
    """`package.module:Class` of a `zoo_core.Interop`, which reads and writes the folders of another library."""
    license: str = ""
    """SPDX identifier of the architecture's code."""
    paper: str = ""
    """Title, venue and arXiv number of the source."""

    def __post_init__(self) -> None:
        """Parts have names that submodules and files can have. Raises ValueError."""
        Spec.__post_init__(self)
        wrong = [part for part in self.parts if not _PART.fullmatch(part)]
        if wrong or len(set(self.parts)) < len(self.parts) or (self.parts and self.preprocessor):
            raise ValueError(
                f"ModelSpec {self.name!r}: expected parts with different names of lower-case letters, digits and '_', and with "
                f"them no preprocessor of its own, found {', '.join(self.parts)}"
            )


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class InterfaceSpec(Spec):
    """What a task needs of any model, and a model may offer. `target` is a `typing.Protocol`, checkable at run time.

    Its docstring, and the summary in short, say what `forward` takes and gives. Whether a model offers it is checked when a
    recipe is resolved; whether it keeps it, its attributes and the arguments of its methods, before step 1. Arguments that the
    protocol takes by position are given so, all others by name.
    """

    preprocessor_protocol: str = ""
    """`package.module:Protocol` that the preprocessor of such a model keeps; empty where any will do."""
    preprocessor: str = ""
    """`package.module:Class` of a `zoo_core.Preprocessor`, for models that offer the interface and have none of their own."""
    preprocessor_config: type | str = NoConfig
    """Frozen dataclass with the settings of `Preprocessor.fit`, or where to find it."""


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class DataSpec(Spec):
    """A data set or a reader of the user's files: `target(config, **arguments) -> zoo_core.Data`, for one with `files` or `parts`
    `target(config, prepared: zoo_core.data.PreparedFiles, **arguments)`, and with `context: zoo_core.contract.DataContext` as
    the last before `arguments` for one that `opens` others."""

    samples: SampleType | None
    """What its samples are and have; a task states what it reads. None for what the parts have that its configuration names."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Fixed arguments of `target`, so that one function reads several data sets."""
    files: Mapping[str, str] = field(default_factory=dict)
    """sha256 of each file that `fetch` prepares, by its name; checked when they are prepared and whenever they are read."""
    fetch: str = ""
    """`package.module:function`; `(fetcher: zoo_core.Fetcher, name) -> Mapping[str, bytes]` downloads the data set of that name
    and prepares `files`; only when the user asks by name."""
    parts: tuple[str, ...] = ()
    """Data sets of the same plugin that it is made of, in place of files of its own."""
    opens: tuple[str, ...] = ()
    """Other data sets that `target` opens through its context; `("*",)` for those that its configuration names in `parts`,
    a list of sections as that of a recipe, each with a `weight` beside."""
    license: str = ""
    """Licence of the data itself."""
    licenses: Mapping[str, str] = field(default_factory=dict)
    """Licence of each source, by its name, where the data comes from several."""
    source: str = ""
    """Where the data comes from, in words."""

    def __post_init__(self) -> None:
        """Files have a function that prepares them, and are the data set's own or those of its parts."""
        Spec.__post_init__(self)
        if bool(self.files) != bool(self.fetch) or (self.files and self.parts):
            raise ValueError(f"DataSpec {self.name!r}: expected files together with fetch, or parts, or none of them")
        if not isinstance(self.samples, SampleType) and (self.samples is not None or self.opens != (ANY,)):
            raise ValueError(
                f"DataSpec {self.name!r}: expected a SampleType for samples, or None with opens=({ANY!r},), whose parts have one"
            )


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class LossSpec(Spec):
    """A loss. `target(config) -> callable(*inputs) -> (loss_sum, weight)`, both 0-d tensors."""

    inputs: tuple[str, ...]
    """Names of the callable's positional inputs; a task takes any loss that declares the inputs it offers."""
    paper: str = ""
    """Title, year and equation of the source."""


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSpec(Spec):
    """A task. `target(config, context: zoo_core.TaskContext) -> zoo_core.Task`."""

    reads: tuple[SampleType, ...]
    """What it reads of raw samples, of each type that it takes; `zoo finetune` prefers a reader of files for the first."""
    labelled: bool
    """Whether it learns from labels (fine-tuning) or without (pretraining)."""
    interface: str = ""
    """Name of the `InterfaceSpec` that it needs of a model, besides those that list it; empty where they are all there are."""
    loss: str = ""
    """Name of its default loss; empty where the model itself has the loss."""
    loss_inputs: tuple[str, ...] = ()
    """The inputs it offers to a loss; a recipe may choose any `LossSpec` with these `inputs`."""
    predict: type | str = NoConfig
    """Frozen dataclass with the options of `Task.predict`, or where to find it."""
    outputs: tuple[str, ...] = ()
    """Fields of one prediction, in the order to show them."""
    input: InputKind = "text"
    """What an input is, and `zoo predict` parses: `text`, a word or a line as it is; `json`, a value; `row`, a mapping, a JSON
    object or a row of a table; `file`, a path that exists; `number`, a whole number, so that `--num 3` asks for 0, 1 and 2."""
    input_suffixes: tuple[str, ...] = ()
    """Suffixes of the files that its inputs are (`.wav`); a folder then stands for all of them below it."""
    takes_sample_indices: bool = False
    """Whether texts may be numbers of samples to make, too, where an input is now a number and now something else; `--num 3`
    then asks for 0, 1 and 2 as well."""

    def __post_init__(self) -> None:
        """An input is one of the kinds, and only texts and files have suffixes. Raises ValueError."""
        Spec.__post_init__(self)
        if not isinstance(self.reads, tuple) or not all(isinstance(one, SampleType) for one in self.reads):
            raise ValueError(f"TaskSpec {self.name!r}: expected a tuple of SampleTypes for reads, found {self.reads!r}")
        if self.input not in get_args(InputKind):
            raise ValueError(f"TaskSpec {self.name!r}: input {self.input!r}, expected {', '.join(get_args(InputKind))}")
        if self.input_suffixes and self.input not in ("text", "file"):
            raise ValueError(
                f"TaskSpec {self.name!r}: inputs that are files have suffixes, and a {self.input} has none"
            )


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerSpec(Spec):
    """An optimizer. `target(groups, config) -> torch.optim.Optimizer`; `config` has at least `lr` and `weight_decay`."""

    dimensions: tuple[int, ...] = ()
    """Numbers of dimensions of the tensors it can train, `(2,)` for one of matrices alone; empty for any."""
    paper: str = ""
    """Title, year and equation of the source."""


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class LoggerSpec(Spec):
    """Watches the runs of a recipe that names it. `target(config) -> zoo_core.contract.Logger`."""


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class SamplerSpec(Spec):
    """Which samples an epoch has, and in what order. `target(labels, lengths, seed, epoch, config) -> indices`, all of numpy.

    `labels` are (N,) integers, the class of each training sample, or None where samples have none; `lengths` (N,) integers,
    what each costs, 1 where nobody says. It gives (N,) integers below N, the same for the same arguments: a sample may come several
    times or not at all. Batches hold neighbours, among 64 batches by length where lengths are known.
    """

    paper: str = ""
    """Title, year and equation of the source."""


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleSpec(Spec):
    """How the learning rate moves. `target(step, steps, config) -> factor` on the base rate at optimizer step `step` (from 0) of
    `steps`; a pure function, so that a resumed run goes on as it would have."""

    paper: str = ""
    """Title, year and equation of the source."""


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterSpec(Spec):
    """A way to train a model as a small difference to a checkpoint. `target(config) -> zoo_core.Adapter`; a checkpoint that was
    made with it holds the difference alone and needs the plugin whenever it is loaded."""

    paper: str = ""
    """Title, year and equation of the source."""


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class ExporterSpec(Spec):
    """A format that checkpoints are exported in, `zoo export NAME FOLDER --format name`. `target(config) -> zoo_core.Exporter`."""


@documented
@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """What an observer learns of a run."""

    name: str
    """Name that the checkpoint will be registered under."""
    folder: str
    """The run's folder."""
    task: str
    """Name of the task."""
    model: str
    """Name of the model."""
    steps: int
    """Optimizer steps planned."""
    seed: int
    """Seed of the run."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """The resolved recipe as plain data."""
