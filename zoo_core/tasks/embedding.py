"""What answers with a vector for each input."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from zoo_core.contract.predictor import Predictor


class EmbeddingPredictor(Predictor):
    """Embeds inputs."""

    @abstractmethod
    def vectors(self, inputs: Sequence[Any]) -> Tensor:
        """(B, D) of inputs that were read, in single precision."""

    def answer(self, inputs: Sequence[Any], options: Any) -> list[dict[str, Any]]:
        """One vector for each input, of length 1 where `normalize` asks for it."""
        found = self.vectors(inputs)
        return [{"embedding": vector} for vector in (F.normalize(found) if options.normalize else found).tolist()]
