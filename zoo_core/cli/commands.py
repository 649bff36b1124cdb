"""Every command: its words, summary, example, arguments, exit codes and where its body lives."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from zoo_core.cli import arguments
from zoo_core.errors import UsageError, nearest

Arguments = Callable[[argparse.ArgumentParser], None]

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
    arguments: Arguments
    """Adds its arguments to a parser."""
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
        self.arguments(parser)
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


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="shell pattern on the name, like 'tiny*'")
    parser.add_argument("--task", help="only checkpoints for this task")
    parser.add_argument("--modality", help="only checkpoints of this modality")
    parser.add_argument(
        "--all",
        action="store_true",
        help="older versions, checkpoints whose plugin is missing, and bare architectures too",
    )


def _search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="+", help="words that must all occur in a name, summary, task, label or modality"
    )


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a checkpoint (also name@version), an architecture, or any component or recipe")


def _nothing(parser: argparse.ArgumentParser) -> None:
    """No arguments of its own."""


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "settings", nargs="*", metavar="key=value", help="settings of the recipe, like steps=200 or lr=1e-3"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the newest run of this name; see: zoo resume")
    parser.add_argument("--folder", help="folder of the run (default: runs/NAME)")
    parser.add_argument("--name", help="name to register the checkpoint under (default: the recipe's)")
    parser.add_argument("--print-recipe", action="store_true", help="print the resolved recipe and stop")


def _pretrain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="a recipe file, or the name of one from: zoo recipes")
    _run(parser)


def _resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="the folder of a run that was stopped or killed")
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="key=value",
        help=f"settings that a resume may change: {', '.join(RESUMABLE)}",
    )


def _data_of_the_user(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", required=True, help="name of a data set, or a path to a file of yours")
    parser.add_argument(
        "--columns",
        action="append",
        default=[],
        metavar="ROLE=COLUMN,...",
        help="which column of your file has which role",
    )


def _finetune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="NAME", help="the checkpoint to start from")
    parser.add_argument("--task", required=True, help="the task to learn")
    _data_of_the_user(parser)
    _run(parser)


def _evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="NAME", help="a checkpoint")
    _data_of_the_user(parser)
    parser.add_argument(
        "--split", help="split to measure, or all (default: all rows of data without splits, else test)"
    )
    parser.add_argument("--output", metavar="FOLDER", help="keep what the evaluation leaves, like a confusion matrix")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings of the data")


def _predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="NAME", help="a checkpoint")
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="inputs, key=value options, '-' for lines of stdin; all after -- is input",
    )
    parser.add_argument("--task", help="another task that the checkpoint serves without training")
    parser.add_argument("--file", help="read inputs from the lines of a file")
    parser.add_argument("--limit", type=int, help="take at most this many inputs")
    parser.add_argument("--num", type=int, help="make this many samples: the inputs 0, 1, 2, ... of a generator")
    parser.add_argument("--seed", type=int, help="where a generator's numbers are counted from; the same as seed=SEED")
    parser.add_argument("--output", metavar="FOLDER", help="where files that belong to answers go (predictions/NAME)")
    parser.add_argument("--stream", action="store_true", help="show an answer piece by piece while it is made")


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="checkpoints to check")
    parser.add_argument("--all", action="store_true", help="check every checkpoint")


def _data_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="data sets from: zoo data list")


def _import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", help="a checkpoint folder of another library, hub:OWNER/NAME, or a checkpoint that a package ships"
    )
    parser.add_argument("--model", help="the architecture family that reads the folder")
    parser.add_argument("--name", help="name to register the checkpoint under")


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a checkpoint")
    parser.add_argument("folder", help="a folder that doesn't exist yet")


FIND, TRAIN, USE, KEEP = "find", "train", "use", "keep and check"

COMMANDS = (
    Command(
        name="list",
        group=FIND,
        summary="List checkpoints.",
        examples=("zoo list", "zoo list 'tiny*' --json"),
        target="zoo_core.cli.listing:list_checkpoints",
        arguments=_list,
        exits=(5,),
    ),
    Command(
        name="search",
        group=FIND,
        summary="Search checkpoints and architectures by words.",
        examples=("zoo search sentiment", "zoo search tiny classification"),
        target="zoo_core.cli.listing:search",
        arguments=_search,
        exits=(5,),
    ),
    Command(
        name="show",
        group=FIND,
        summary="Show the card of a checkpoint, or an architecture, a task, a data set, a loss, an optimizer or a recipe.",
        examples=("zoo show mood_tiny.tweets", "zoo show mood_tiny.tweets@1 --json", "zoo show mood_tiny"),
        target="zoo_core.cli.show:show",
        arguments=_show,
        exits=(5,),
    ),
    Command(
        name="recipes",
        group=FIND,
        summary="List the recipes that plugins ship.",
        examples=("zoo recipes",),
        target="zoo_core.cli.listing:list_recipes",
        arguments=_nothing,
    ),
    Command(
        name="pretrain",
        group=TRAIN,
        summary="Train a model from a recipe and register the checkpoint.",
        examples=("zoo pretrain my_recipe.yaml steps=200 lr=1e-3", "zoo pretrain my_recipe.yaml --folder runs/mine"),
        target="zoo_core.cli.train:pretrain",
        arguments=_pretrain,
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
        arguments=_finetune,
        exits=(4, 5, 6, 143),
    ),
    Command(
        name="resume",
        group=TRAIN,
        summary="Go on with a run that was stopped or killed, to the same bits.",
        examples=("zoo resume runs/mood_tiny.tweets", "zoo resume runs/mood_tiny.tweets workers=4"),
        target="zoo_core.cli.train:resume",
        arguments=_resume,
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
        arguments=_predict,
        exits=(1, 4, 5),
    ),
    Command(
        name="evaluate",
        group=USE,
        summary="Measure a checkpoint on a data set or your own file.",
        examples=("zoo evaluate mood_tiny.tweets --data tweets --split test",),
        target="zoo_core.cli.infer:evaluate",
        arguments=_evaluate,
        exits=(4, 5),
    ),
    Command(
        name="verify",
        group=KEEP,
        summary="Hash the files of checkpoints and compare them with their cards.",
        examples=("zoo verify mood_tiny.tweets", "zoo verify --all"),
        target="zoo_core.cli.keep:verify",
        arguments=_verify,
        exits=(5,),
    ),
    Command(
        name="alias",
        group=KEEP,
        summary="Say which version a bare name means; without a version, show it and its history.",
        examples=("zoo alias mood_tiny.tweets", "zoo alias mood_tiny.tweets 2", "zoo alias mood_tiny.tweets --clear"),
        target="zoo_core.cli.keep:alias",
        arguments=arguments.alias,
        exits=(5,),
    ),
    Command(
        name="rm",
        group=KEEP,
        summary="Take versions out of your store; zoo gc frees their files.",
        examples=("zoo rm mood_tiny.tweets@2",),
        target="zoo_core.cli.keep:remove",
        arguments=arguments.rm,
        exits=(5,),
    ),
    Command(
        name="gc",
        group=KEEP,
        summary="Free the files in your store that no checkpoint refers to.",
        examples=("zoo gc --dry-run", "zoo gc"),
        target="zoo_core.cli.keep:collect",
        arguments=arguments.gc,
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
        arguments=_import,
        exits=(5,),
    ),
    Command(
        name="export",
        group=KEEP,
        summary="Write a checkpoint as a folder that another library opens.",
        examples=("zoo export mood_tiny.tweets ./exported",),
        target="zoo_core.cli.keep:export_folder",
        arguments=_export,
        exits=(5,),
    ),
    Command(
        name="data list",
        group=KEEP,
        summary="List data sets and readers of your files.",
        examples=("zoo data list",),
        target="zoo_core.cli.listing:list_data",
        arguments=_nothing,
    ),
    Command(
        name="data fetch",
        group=KEEP,
        summary="Download data sets, when you name them and never before.",
        examples=("zoo data fetch tweets",),
        target="zoo_core.cli.listing:fetch_data",
        arguments=_data_fetch,
        exits=(4, 5),
    ),
    Command(
        name="plugin list",
        group=KEEP,
        summary="List plugins, what they provide and what is wrong with them.",
        examples=("zoo plugin list",),
        target="zoo_core.cli.listing:list_plugins",
        arguments=_nothing,
    ),
    Command(
        name="doctor",
        group=KEEP,
        summary="Check the installation: versions, device, plugins, store, catalogue and disk.",
        examples=("zoo doctor", "zoo doctor --json"),
        target="zoo_core.cli.doctor:doctor",
        arguments=_nothing,
        exits=(1,),
    ),
)
