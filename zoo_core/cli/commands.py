"""Every command: its words, summary, example, arguments, exit codes and where its body lives."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from zoo_core.errors import UsageError, nearest

Argument = Callable[[argparse.ArgumentParser], object]
"""Declares itself to a parser."""

EXIT_CODES = {
    0: "done",
    1: "something went wrong, a check found something broken, or some inputs could not be answered",
    2: "a wrong argument, name, recipe or combination of them",
    3: "a plugin is missing, broken, incompatible or in conflict",
    4: "data that is missing, unreadable, malformed or empty",
    5: "a checkpoint, its card or the store is damaged, or the disk refused",
    6: "a training run that can't go on",
    70: "an unexpected error, which is a defect of the zoo or of a plugin",
    130: "interrupted (Ctrl-C)",
    141: "the reader of the output went away",
    143: "asked to stop (SIGTERM; 128 + its number for SIGHUP, SIGUSR1 and SIGUSR2); a training run saves a checkpoint first",
}
"""What each exit code means; `zoo_core.errors` says which error has which."""

HELP_WIDTH = 80
"""Columns of a command's help."""

RESUMABLE = (
    *("log_every", "save_every", "keep", "workers", "timeout", "skip_nonfinite", "max_bad"),
    *("baselines", "extras", "extras_timeout"),
)
"""Settings that `zoo resume` may change; `zoo_core.preflight.identity` says of each why."""

ALWAYS = (0, 2, 3, 70, 130, 141)
"""Exit codes that any command may give."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command of the `zoo` program."""

    name: str
    """The words that call it, like `list` or `plugin list`."""
    group: str
    """Heading it stands under in `zoo --help`."""
    summary: str
    """One line, for `zoo --help` and its own."""
    examples: tuple[str, ...]
    """Command lines to copy."""
    target: str
    """`module:function` of its body, imported when it runs."""
    arguments: tuple[Argument, ...] = ()
    """Its arguments besides `--json`."""
    exits: tuple[int, ...] = ()
    """Exit codes besides those any command may give."""

    def parser(self) -> argparse.ArgumentParser:
        """Its argument parser, with examples and exit codes at the end of the help."""
        codes = sorted({*ALWAYS, *self.exits})
        lines = ["examples:", *(f"  {example}" for example in self.examples), "", "exit codes:"]
        parser = _Parser(
            prog=f"zoo {self.name}",
            description=self.summary,
            epilog="\n".join([*lines, *(f"  {code:>3}  {EXIT_CODES[code]}" for code in codes)]),
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        for declare in self.arguments:
            declare(parser)
        return parser


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Lays help out at one width: the same words everywhere, and no import of shutil to measure the terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=HELP_WIDTH)


class _Parser(argparse.ArgumentParser):
    """Complains through our own errors, with the nearest option."""

    def error(self, message: str) -> NoReturn:
        hint = f"see: {self.prog} --help"
        unknown = message.removeprefix("unrecognized arguments: ").split(" ")[0].split("=")[0]
        if unknown.startswith("-") and unknown != message:
            valid = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
            hint = f"{nearest(unknown, valid)} {hint}"
        raise UsageError(f"{self.prog}: {message}", hint=hint)


def flag(name: str, help: str) -> Argument:
    """A switch that is off unless it is given."""
    return lambda parser: parser.add_argument(name, action="store_true", help=help)


def option(
    name: str, help: str, *, metavar: str | None = None, kind: Callable[[str], object] = str, required: bool = False
) -> Argument:
    """A value behind a name; None where it isn't given."""
    return lambda parser: parser.add_argument(name, metavar=metavar, type=kind, required=required, help=help)


def word(
    name: str, help: str, *, nargs: str | None = None, metavar: str | None = None, default: str | None = None
) -> Argument:
    """A value by its place, or several of them."""
    return lambda parser: parser.add_argument(name, nargs=nargs, metavar=metavar, default=default, help=help)


FIND, TRAIN, USE, KEEP = "find", "train", "use", "keep and check"

_CHECKPOINT = word("model", "a checkpoint", metavar="NAME")
_DATA = (
    option("--data", "name of a data set, or a path to a file of yours", required=True),
    lambda parser: parser.add_argument(
        "--columns",
        action="append",
        default=[],
        metavar="ROLE=COLUMN,...",
        help="which column of your file has which role",
    ),
)
_RUN = (
    word("settings", "settings of the recipe, like steps=200 or lr=1e-3", nargs="*", metavar="key=value"),
    flag("--resume", "go on with the newest run of this name; see: zoo resume"),
    option("--folder", "folder of the run (default: runs/NAME)"),
    option("--name", "name to register the checkpoint under (default: the recipe's)"),
    flag("--print-recipe", "print the resolved recipe and stop"),
)

COMMANDS = (
    Command(
        name="list",
        group=FIND,
        summary="List checkpoints.",
        examples=("zoo list", "zoo list 'tiny*' --json"),
        target="zoo_core.cli.listing:list_checkpoints",
        arguments=(
            word("pattern", "shell pattern on the name, like 'tiny*'", nargs="?", default="*"),
            option("--task", "only checkpoints for this task"),
            option("--modality", "only checkpoints of this modality"),
            flag("--all", "older versions, checkpoints whose plugin is missing, and bare architectures too"),
        ),
        exits=(5,),
    ),
    Command(
        name="search",
        group=FIND,
        summary="Search checkpoints and architectures by words.",
        examples=("zoo search sentiment", "zoo search tiny classification"),
        target="zoo_core.cli.listing:search",
        arguments=(word("words", "words that must all occur in a name, summary, task, label or modality", nargs="+"),),
        exits=(5,),
    ),
    Command(
        name="show",
        group=FIND,
        summary="Show the card of a checkpoint, or an architecture, a task, a data set, a loss, an optimizer or a recipe.",
        examples=("zoo show mood_tiny.tweets", "zoo show mood_tiny.tweets@1 --json", "zoo show mood_tiny"),
        target="zoo_core.cli.show:show",
        arguments=(word("name", "a checkpoint (also name@version), an architecture, or any component or recipe"),),
        exits=(5,),
    ),
    Command(
        name="recipes",
        group=FIND,
        summary="List the recipes that plugins ship.",
        examples=("zoo recipes",),
        target="zoo_core.cli.listing:list_recipes",
    ),
    Command(
        name="pretrain",
        group=TRAIN,
        summary="Train a model from a recipe and register the checkpoint.",
        examples=("zoo pretrain my_recipe.yaml steps=200 lr=1e-3", "zoo pretrain my_recipe.yaml --folder runs/mine"),
        target="zoo_core.cli.train:pretrain",
        arguments=(word("recipe", "a recipe file, or the name of one from: zoo recipes"), *_RUN),
        exits=(4, 5, 6, 143),
    ),
    Command(
        name="finetune",
        group=TRAIN,
        summary="Train a checkpoint further for a task, on a data set or your own file.",
        examples=(
            "zoo finetune mood_tiny.wiki --task TASK --data tweets",
            "zoo finetune mood_tiny.wiki --task TASK --data reviews.csv --columns label=stars epochs=1",
        ),
        target="zoo_core.cli.train:finetune",
        arguments=(
            word("model", "the checkpoint to start from", metavar="NAME"),
            option("--task", "the task to learn", required=True),
            *_DATA,
            *_RUN,
        ),
        exits=(4, 5, 6, 143),
    ),
    Command(
        name="resume",
        group=TRAIN,
        summary="Go on with a run that was stopped or killed, to the same bits.",
        examples=("zoo resume runs/mood_tiny.tweets", "zoo resume runs/mood_tiny.tweets workers=4"),
        target="zoo_core.cli.train:resume",
        arguments=(
            word("folder", "the folder of a run that was stopped or killed", metavar="FOLDER"),
            word(
                "settings",
                f"settings that a resume may change: {', '.join(RESUMABLE)}",
                nargs="*",
                metavar="key=value",
            ),
        ),
        exits=(4, 5, 6, 143),
    ),
    Command(
        name="predict",
        group=USE,
        summary="Ask a checkpoint.",
        examples=(
            'zoo predict mood_tiny.tweets "what a lovely day" top_k=3',
            "zoo predict mood_tiny.tweets - --json < lines",
            "zoo predict mood_tiny.tweets -- 'a=b is an input here'",
        ),
        target="zoo_core.cli.infer:predict",
        arguments=(
            _CHECKPOINT,
            word(
                "inputs",
                "inputs, key=value options, '-' for lines of stdin; all after -- is input",
                nargs="*",
                metavar="INPUT",
            ),
            option("--task", "another task that the checkpoint serves without training"),
            option("--file", "read inputs from the lines of a file"),
            option("--limit", "take at most this many inputs", kind=int),
            option("--num", "make this many samples: the inputs 0, 1, 2, ... of a generator", kind=int),
            option("--seed", "where a generator's numbers are counted from; the same as seed=SEED", kind=int),
            option("--output", "where files that belong to answers go (predictions/NAME)", metavar="FOLDER"),
            flag("--stream", "show an answer piece by piece while it is made"),
        ),
        exits=(1, 4, 5),
    ),
    Command(
        name="evaluate",
        group=USE,
        summary="Measure a checkpoint on a data set or your own file.",
        examples=("zoo evaluate mood_tiny.tweets --data tweets --split test",),
        target="zoo_core.cli.infer:evaluate",
        arguments=(
            _CHECKPOINT,
            *_DATA,
            option("--split", "split to measure, or all (default: all rows of data without splits, else test)"),
            option("--output", "keep what the evaluation leaves, like a confusion matrix", metavar="FOLDER"),
            word("settings", "settings of the data", nargs="*", metavar="key=value"),
        ),
        exits=(4, 5),
    ),
    Command(
        name="verify",
        group=KEEP,
        summary="Hash the files of checkpoints and compare them with their cards.",
        examples=("zoo verify mood_tiny.tweets", "zoo verify --all"),
        target="zoo_core.cli.keep:verify",
        arguments=(
            word("names", "checkpoints to check", nargs="*", metavar="NAME"),
            flag("--all", "check every checkpoint"),
        ),
        exits=(5,),
    ),
    Command(
        name="alias",
        group=KEEP,
        summary="Say which version a bare name means; without a version, show it and its history.",
        examples=("zoo alias mood_tiny.tweets", "zoo alias mood_tiny.tweets 2", "zoo alias mood_tiny.tweets --clear"),
        target="zoo_core.cli.keep:alias",
        arguments=(
            word("name", "name of a checkpoint, without a version"),
            word("version", "the version that the bare name shall mean", nargs="?"),
            flag("--clear", "let the name mean again what it means by itself"),
        ),
        exits=(5,),
    ),
    Command(
        name="rm",
        group=KEEP,
        summary="Take versions out of your store; zoo gc frees their files.",
        examples=("zoo rm mood_tiny.tweets@2",),
        target="zoo_core.cli.keep:remove",
        arguments=(
            word("names", "checkpoints of your store", nargs="+", metavar="NAME@VERSION"),
            flag("--force", "also what others were derived from, or an alias stands for"),
        ),
        exits=(5,),
    ),
    Command(
        name="gc",
        group=KEEP,
        summary="Free the files in your store that no checkpoint refers to.",
        examples=("zoo gc --dry-run", "zoo gc"),
        target="zoo_core.cli.keep:collect",
        arguments=(flag("--dry-run", "say what would be freed and remove nothing"),),
        exits=(5,),
    ),
    Command(
        name="import",
        group=KEEP,
        summary="Register a checkpoint of another library, from a folder or a package.",
        examples=(
            "zoo import ./downloaded --model mood --name mood_base.theirs",
            "zoo import hub:somebody/mood-base --model mood --name mood_base.theirs",
        ),
        target="zoo_core.cli.keep:import_folder",
        arguments=(
            word(
                "source", "a checkpoint folder of another library, hub:OWNER/NAME, or a checkpoint that a package ships"
            ),
            option("--model", "the architecture family that reads the folder"),
            option("--name", "name to register the checkpoint under"),
        ),
        exits=(5,),
    ),
    Command(
        name="export",
        group=KEEP,
        summary="Write a checkpoint in a format that other programs open.",
        examples=(
            "zoo export mood_tiny.tweets ./exported",
            "zoo export mood_tiny.tweets ./program --format torch-program",
        ),
        target="zoo_core.cli.keep:export",
        arguments=(
            word("name", "a checkpoint"),
            word("folder", "a folder that doesn't exist yet"),
            word("settings", "settings of the format; zoo show FORMAT has them", nargs="*", metavar="key=value"),
            option(
                "--format",
                "library (the default, a folder for the other library of the model's family), torch-program, or a format that "
                "a plugin brings",
            ),
            option("--task", "another task that the checkpoint serves without training"),
        ),
        exits=(5,),
    ),
    Command(
        name="data list",
        group=KEEP,
        summary="List data sets and readers of your files.",
        examples=("zoo data list",),
        target="zoo_core.cli.listing:list_data",
    ),
    Command(
        name="data fetch",
        group=KEEP,
        summary="Download data sets, when you name them and never before.",
        examples=("zoo data fetch tweets",),
        target="zoo_core.cli.listing:download_data",
        arguments=(word("names", "data sets from: zoo data list", nargs="+", metavar="NAME"),),
        exits=(4, 5),
    ),
    Command(
        name="plugin list",
        group=KEEP,
        summary="List plugins, what they provide and what is wrong with them.",
        examples=("zoo plugin list",),
        target="zoo_core.cli.listing:list_plugins",
    ),
    Command(
        name="doctor",
        group=KEEP,
        summary="Check the installation: versions, device, plugins, store, catalogue and disk.",
        examples=("zoo doctor", "zoo doctor --json"),
        target="zoo_core.cli.doctor:doctor",
        exits=(1,),
    ),
)
