"""What plugins share that build on Hugging Face Transformers. Importing this imports nothing else.

It is a library and no plugin: it brings no component, and no plugin is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_core import names_of

if TYPE_CHECKING:
    from zoo_transformers.building import cache_argument as cache_argument
    from zoo_transformers.building import checkpoint_activations as checkpoint_activations
    from zoo_transformers.building import construct as construct
    from zoo_transformers.building import describe as describe
    from zoo_transformers.building import quiet as quiet
    from zoo_transformers.fields import GENERATION as GENERATION
    from zoo_transformers.fields import STORED as STORED
    from zoo_transformers.fields import WORDS as WORDS
    from zoo_transformers.fields import config_rules as config_rules
    from zoo_transformers.fields import labels_of as labels_of
    from zoo_transformers.fields import names as names
    from zoo_transformers.fields import whole_numbers as whole_numbers
    from zoo_transformers.interop import TransformersInterop as TransformersInterop
    from zoo_transformers.interop import json_bytes as json_bytes
    from zoo_transformers.tokenizer import foreign_tokenizer_of as foreign_tokenizer_of
    from zoo_transformers.tokenizer import tokenizer_of as tokenizer_of

__getattr__, __dir__, __all__ = names_of(__name__, __file__)
