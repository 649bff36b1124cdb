"""Data sets that plugins have fetched: what one consists of, how it comes here and where it then is."""

from __future__ import annotations

import os

from zoo_core.contract.specs import ANY
from zoo_core.data.fetch import Fetcher, PreparedFiles, data_root
from zoo_core.plugins.host import PluginHost, RegisteredComponent


def fetched_parts(provided: RegisteredComponent, host: PluginHost) -> list[RegisteredComponent]:
    """The data sets with files that one consists of or opens by itself; none where there is nothing to fetch."""
    opened = [host.find("data", name, [provided.plugin]) for name in provided.spec.opens if name != ANY]
    return [*_parts(provided, host), *(part for one in opened for part in fetched_parts(one, host))]


def fetch_data(provided: RegisteredComponent, host: PluginHost, fetcher: Fetcher) -> None:
    """Download and prepare what a data set consists of, as far as it isn't there."""
    for part in fetched_parts(provided, host):
        fetcher.prepare(part.spec.name, part.spec.files, host.resolve(part.spec.fetch, part))


def prepared_files(provided: RegisteredComponent, host: PluginHost) -> list[PreparedFiles]:
    """What was fetched for a data set, for its reader; none where there is nothing to fetch. Raises `DataError`."""
    parts = {part.spec.name: part.spec.files for part in _parts(provided, host)}
    return [PreparedFiles.find(provided.spec.name, parts, data_root(os.environ))] if parts else []


def _parts(provided: RegisteredComponent, host: PluginHost) -> list[RegisteredComponent]:
    """The data sets whose files its reader is given: itself or its parts."""
    parts = [host.find("data", f"{provided.plugin}/{part}") for part in provided.spec.parts]
    return parts or [provided] * bool(provided.spec.files)
