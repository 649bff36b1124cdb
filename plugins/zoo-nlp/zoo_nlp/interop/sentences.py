"""Folders of Sentence Transformers: the modules behind an encoder, as far as they are those of feature-extraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zoo_core import CorruptFile, UsageError
from zoo_core.contract import read_json, read_object, unsupported
from zoo_nlp.interop.fields import POOLING, SENTENCE_TRANSFORMERS, SENTENCES

_MODULES = "modules.json"


def sentence_notices(files: Mapping[str, bytes], *, lowercase: bool) -> tuple[str, ...]:
    """What the user should know of the modules behind an encoder; nothing for a folder without them.

    Raises `UsageError` for modules that change an embedding and that feature-extraction doesn't have; `lowercase` says
    whether the tokenizer ignores case.
    """
    notices: list[str] = []
    for rules in (SENTENCES, SENTENCE_TRANSFORMERS):
        if rules.file in files:
            notices += rules.check(read_object(files, rules.file))
    if "sentence_bert_config.json" in files and not lowercase:
        found = read_object(files, "sentence_bert_config.json").get("do_lower_case", False)
        if found is not False:
            raise unsupported("sentence_bert_config.json", "do_lower_case", False, found)
    if _MODULES not in files:
        return tuple(notices)
    kinds = []
    for module in _modules(files):
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        kinds.append(kind)
        if kind == "Pooling":
            where = f"{module.get('path')}/config.json"
            rules = replace(POOLING, file=where)
            notices += rules.check(read_object(files, where))
        elif kind not in ("Transformer", "Normalize"):
            raise UsageError(
                f"{_MODULES}: expected Transformer, Pooling and Normalize, found {kind!r:.80}",
                hint="feature-extraction has no such module, so its embeddings would be others",
            )
    if "Pooling" not in kinds:
        raise UsageError(f"{_MODULES}: expected a module Pooling, found {', '.join(kinds)[:200] or 'none'}")
    if "Normalize" not in kinds:
        notices.append(f"{_MODULES}: its embeddings have no fixed length; ask for them with normalize=false")
    return tuple(notices)


def _modules(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    modules = read_json(files, _MODULES)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise CorruptFile(f"{_MODULES}: expected a list of objects")
    return modules
