"""Checkpoint folders of the public hub, downloaded only because a user asks for one by name."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from pathlib import Path

from zoo_core.errors import DataError, UsageError

PREFIX = "hub:"
"""How a name says that it is a repository of the hub: `hub:owner/name` or `hub:owner/name@revision`."""

WANTED = ("*.json", "*.txt", "*.model", "model.safetensors", "model-*-of-*.safetensors")
"""What is downloaded: descriptions, vocabularies and safetensors; never a pickle, never code."""
_UNWANTED = ("onnx/*", "openvino/*", "coreml/*", "gguf/*")

_REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def download(source: str, folder: Path) -> Path:
    """The folder with the files of `hub:owner/name[@revision]`: `folder`, or the library's cache where the hub is out of reach.

    Raises `UsageError` for what is no such name, `DataError` where it can't be had, with the reason.
    """
    match = _REPOSITORY.fullmatch(source.removeprefix(PREFIX))
    if match is None:
        raise UsageError(f"{source!r} is not of the form {PREFIX}owner/name or {PREFIX}owner/name@revision")
    # Late, as it takes a while and hardly anybody needs it.
    import huggingface_hub
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    repository, revision = match.groups()
    snapshot = partial(
        huggingface_hub.snapshot_download,
        repository,
        revision=revision,
        allow_patterns=list(WANTED),
        ignore_patterns=list(_UNWANTED),
    )
    try:
        snapshot(local_dir=folder, etag_timeout=10)
        return folder
    except Exception as error:  # noqa: BLE001 - its errors come from several libraries and have no common class
        with suppress(Exception):  # what other programs left in the library's own cache
            return Path(snapshot(local_files_only=True))
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"{source} can't be downloaded: {reason[0]}", hint="is the name right, and is there a network?"
        ) from None
