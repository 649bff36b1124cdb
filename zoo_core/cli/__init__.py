"""The command line: `zoo`, also reachable as `python -m zoo_core`.

Commands say and show; what they do is a function of the packages below, which knows nothing of words and terminals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_core import names_of

if TYPE_CHECKING:
    from zoo_core.cli.app import main as main
    from zoo_core.cli.progress import PlainReporter as PlainReporter
    from zoo_core.cli.render import output_for as output_for

__getattr__, __dir__, __all__ = names_of(__name__, __file__)
