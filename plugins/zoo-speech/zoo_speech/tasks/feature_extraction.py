"""Embeddings of recordings: the mean of an encoder's states, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from zoo_core import DataError
from zoo_core.contract import File
from zoo_speech.configs.tasks import EmbeddingOptions
from zoo_speech.preprocessor import Samples
from zoo_speech.tasks.common import EncoderPredictor


class FeatureExtraction(EncoderPredictor):
    """Embeds recordings; nothing is trained."""

    remedy = "train an encoder for any other task; its checkpoints serve speech-feature-extraction too"

    def read(self, item: Any, number: int, options: EmbeddingOptions) -> Samples:
        """A waveform. Raises `DataError` for one longer than the model hears, unless it may be cut."""
        samples, most = self.preprocessor.waveform(item, number), self.encoder.most_samples
        if len(samples) > most and not options.truncate:
            raise DataError(
                f"input {number + 1}: longer than {most / self.encoder.rate:g} s",
                hint="cut it into pieces, or set truncate=true",
            )
        return samples[:most]

    def answer(self, inputs: Sequence[Samples], options: EmbeddingOptions) -> list[dict[str, Any]]:
        """One vector for each recording, the mean over its own frames, and all of them in a file if they are asked for."""
        states, lengths = self.encoder.states(self.model, self.batch_of(inputs))
        rows = zip(states.float(), lengths.tolist(), strict=True)
        return [_answer(row[:length], options) for row, length in rows]


def _answer(states: Tensor, options: EmbeddingOptions) -> dict[str, Any]:
    """`states` are (T, H)."""
    mean = states.mean(0)
    answer: dict[str, Any] = {"embedding": (F.normalize(mean, dim=0) if options.normalize else mean).tolist()}
    if options.frames:
        answer["frames"] = File(".npy", _npy(states.cpu().numpy()))
    return answer


def _npy(values: NDArray[np.float32]) -> bytes:
    file = BytesIO()
    np.lib.format.write_array(file, values, allow_pickle=False)
    return file.getvalue()
