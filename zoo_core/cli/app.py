"""From the arguments to the exit code: finds the command, runs its body, and turns every failure into one message."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import zoo_core
from zoo_core.cli.commands import COMMANDS, Command
from zoo_core.cli.session import Answer, Finished, Session
from zoo_core.cli.streams import Answers, Notes, fill_closed_descriptors
from zoo_core.errors import UnknownName, UsageError, ZooError, printable
from zoo_core.storage.machine import remedy_of

UNEXPECTED, INTERRUPTED, PIPE_CLOSED = 70, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line, without the program's name, and return the exit code. Never raises, never shows a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    fill_closed_descriptors()
    answers, notes = Answers(sys.stdout), Notes(sys.stderr)
    try:
        try:
            return _run(words, os.environ, answers.as_text(), notes.as_text())
        finally:
            # A closed pipe shows here, while it can still be answered, and not at the interpreter's last flush.
            answers.flush()
    except Finished:
        return 0
    except SystemExit as left:
        failure = Failure("PluginError", f"a plugin called sys.exit({left.code!r})", "report it to its authors", 3)
    except KeyboardInterrupt as stopped:
        # A run that stopped cleanly says with which code and where it stands.
        code = getattr(stopped, "exit_code", INTERRUPTED)
        failure = Failure(type(stopped).__name__, str(stopped) or "interrupted", "", code)
    except BrokenPipeError:
        answers.drop()
        return PIPE_CLOSED
    except ZooError as error:
        _debug(error, notes.as_text())
        failure = Failure(type(error).__name__, error.message, error.hint, error.exit_code)
    except Exception as error:  # noqa: BLE001 - the border to the user: nothing may pass it as a traceback
        _debug(error, notes.as_text())
        message = f"unexpected {type(error).__name__}: {error}"
        hint = remedy_of(error) or "run again with ZOO_DEBUG=1 for the traceback"
        failure = Failure(type(error).__name__, message, hint, UNEXPECTED)
    return _report(words, failure, answers, notes)


def _run(words: Sequence[str], environ: Mapping[str, str], answers: TextIO, notes: TextIO) -> int:
    """Find the command, parse its arguments, run it and show its answer."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(program_help(), file=answers)
        return 0
    if words[0] == "--version":
        print(f"zoo-core {zoo_core.__version__}", file=answers)
        return 0
    members = [command for command in COMMANDS if command.name.startswith(words[0] + " ")]
    if members and list(words[1:]) in (["-h"], ["--help"]):
        print("\n".join(f"zoo {command.name}  {command.summary}" for command in members), file=answers)
        return 0
    command, rest = find_command(words)
    _require_folder()
    arguments = parse(command, rest, answers)
    session = Session(environ, sys.stdin or io.StringIO(), answers, notes)
    answer = _body(command)(arguments, session)
    if arguments.json:
        session.write_json(answer.document())
    else:
        answer.show(session.output)
        for note in answer.notes:
            session.errors.line(note)
    return answer.exit_code if isinstance(answer.exit_code, int) else answer.exit_code()


def _require_folder() -> None:
    """Raise `UsageError` where the working folder was removed behind the shell's back: no path means anything then."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working folder is no longer there", hint="change to one that is: cd") from None


def find_command(words: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command that the words call and what follows it. Raises `UnknownName` with the nearest commands."""
    known = {command.name: command for command in COMMANDS}
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in known:
            return known[name], words[length:]
    members = [name for name in known if name.split(" ")[0] == words[0]]
    if members:
        asked = " ".join(words[:2])
        raise UnknownName("command", asked, members, hint=f"commands: {', '.join(f'zoo {name}' for name in members)}")
    raise UnknownName("command", words[0], known)


def parse(command: Command, words: Sequence[str], output: TextIO | None = None) -> argparse.Namespace:
    """The command's arguments; `after` holds what stands behind `--`, which is never an option. Raises `UsageError`."""
    words = list(words)
    cut = _end_of_options(words)
    parser = command.parser()
    if {"-h", "--help"} & set(words[:cut]):
        parser.print_help(output)
        raise Finished(0)
    # Left to itself argparse lays out the usage, for messages that this parser words itself.
    parser.usage = ""
    arguments = parser.parse_intermixed_args(words[:cut])
    arguments.after = words[cut + 1 :]
    if arguments.after and "inputs" not in arguments:
        raise UsageError(f"zoo {command.name}: nothing may follow --", hint=f"see: zoo {command.name} --help")
    return arguments


def _end_of_options(words: Sequence[str]) -> int:
    """Position of the `--` behind which nothing is an option."""
    return words.index("--") if "--" in words else len(words)


def program_help() -> str:
    """What `zoo --help` shows."""
    lines = ["usage: zoo COMMAND ...", ""]
    width = max(len(command.name) for command in COMMANDS)
    for group in dict.fromkeys(command.group for command in COMMANDS):
        lines.append(f"{group}:")
        lines += [f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS if command.group == group]
        lines.append("")
    lines += ["Every command takes --json and --help; zoo COMMAND --help shows examples and exit codes."]
    lines += ["first steps: zoo doctor, zoo list, zoo recipes"]
    return "\n".join(lines)


def _body(command: Command) -> Callable[[argparse.Namespace, Session], Answer]:
    """The function that does the command's work."""
    import importlib

    module, _, name = command.target.partition(":")
    body: Any = getattr(importlib.import_module(module), name)
    return body  # type: ignore[no-any-return]


def _debug(error: Exception, notes: TextIO) -> None:
    """The traceback, for somebody who asked for it."""
    if os.environ.get("ZOO_DEBUG"):
        import traceback

        traceback.print_exception(error, file=notes)


class Failure(NamedTuple):
    """What went wrong, as `--json` states it."""

    type: str
    message: str
    hint: str
    exit_code: int


def _report(words: Sequence[str], failure: Failure, answers: Answers, notes: Notes) -> int:
    """Show a failure on stderr and, for `--json`, as the one document on stdout; a stream that went away is no matter."""

    def speak() -> None:
        if "--json" in words[: _end_of_options(words)]:
            from zoo_core.cli.render import write_json

            with contextlib.suppress(BrokenPipeError, ZooError):
                write_json(answers.as_text(), {"error": failure._asdict()})
        prefix = "" if failure.type in ("KeyboardInterrupt", "Interrupted") else "error: "
        notes.write(printable(f"{prefix}{failure.message}\n{failure.hint}".rstrip()) + "\n")
        notes.flush()

    if failure.type == "KeyboardInterrupt":
        speak()
    else:
        speak_once(failure.message, os.environ, speak)
    return failure.exit_code


_MOMENT = timedelta(seconds=3)
"""How long ranks wait for one another when they fail; one that goes on never answers."""


def speak_once(message: str, environ: Mapping[str, str], speak: Callable[[], None]) -> None:
    """Call `speak` in the main process, and in another one where the main one fails with another message or not at all.

    The main one stays until the others have spoken, because a launcher ends all when the first has ended.
    """
    rank, ranks = environ.get("RANK", "0"), environ.get("WORLD_SIZE", "1")
    store = _store(environ) if rank.isdecimal() and ranks.isdecimal() and int(ranks) > 1 else None
    if store is None:
        speak()
        return
    place = f"zoo/failed/{environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if int(rank) == 0:
        speak()
        with suppress(RuntimeError):
            store.set(place, message)
            store.wait([f"{place}/{other}" for other in range(1, int(ranks))], _MOMENT)
        return
    told = ""
    with suppress(RuntimeError):
        store.wait([place], _MOMENT)
        told = store.get(place).decode()
    if not told or told.removeprefix("unexpected ") not in message:
        speak()
    with suppress(RuntimeError):
        store.set(f"{place}/{rank}", "1")


def _store(environ: Mapping[str, str]) -> Any:
    """The launcher's store of words, or the main process's; None where there is neither."""
    distributed = sys.modules.get("torch.distributed")
    formed = distributed is not None and distributed.is_initialized()
    port = environ.get("MASTER_PORT", "")
    if not (formed or environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True") or not port.isdecimal():
        return None
    try:
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        return TCPStore(environ.get("MASTER_ADDR", ""), int(port), is_master=False, timeout=_MOMENT)
    except (ImportError, RuntimeError, ValueError):
        return None
