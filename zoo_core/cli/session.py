"""What a command's body works with: the plugins, the store and the registry, made when first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from zoo_core.cli.render import Output, output_for, write_json

if TYPE_CHECKING:
    from zoo_core.cli.progress import PlainReporter
    from zoo_core.plugins.host import PluginHost
    from zoo_core.registry.registry import Registry
    from zoo_core.registry.store import Store
    from zoo_core.registry.zoo import Zoo


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command found out; only one of `document` and `show` is called."""

    document: Callable[[], Any]
    """Gives the JSON document."""
    show: Callable[[Output], None]
    """Writes the answer for people."""
    notes: tuple[str, ...] = ()
    """Lines for stderr after the answer: what was left out, what to type next."""
    exit_code: int | Callable[[], int] = 0
    """What the program exits with; a function where only the shown answer tells."""


class Finished(SystemExit):
    """The program is done early, with nothing to answer; any other `SystemExit` is a plugin's."""


class Session:
    """One run of the program."""

    def __init__(self, environ: Mapping[str, str], stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.environ = environ
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    @cached_property
    def output(self) -> Output:
        """Where answers go."""
        return output_for(self.stdout, self.environ)

    @cached_property
    def errors(self) -> Output:
        """Where notes go."""
        return output_for(self.stderr, self.environ)

    @cached_property
    def host(self) -> PluginHost:
        """The installed plugins."""
        from zoo_core.plugins.host import PluginHost

        return PluginHost.discover(self.environ)

    @cached_property
    def store(self) -> Store:
        """The user's checkpoint store."""
        from zoo_core.registry.store import Store
        from zoo_core.storage.paths import home

        return Store(home(self.environ))

    @cached_property
    def registry(self) -> Registry:
        """Every card there is."""
        from zoo_core.registry.registry import Registry

        return Registry(self.host, self.store)

    @cached_property
    def zoo(self) -> Zoo:
        """Plugins and registry as the factory takes them."""
        from zoo_core.registry.zoo import Zoo

        return Zoo(self.host, self.registry)

    def reporter(self) -> PlainReporter:
        """Shows the progress of a run on stderr."""
        from zoo_core.cli.progress import reporter_for

        return reporter_for(self.stderr, self.environ)

    def write_json(self, document: Any) -> None:
        """The one document of `--json`."""
        write_json(self.stdout, document)
