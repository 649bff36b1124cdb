"""The recurrent text classifier of the Keras tutorial: embedding, LSTM, dropout, dense.

Papers: Hochreiter, Schmidhuber, Long Short-Term Memory, Neural Computation 1997; Glorot, Bengio, AISTATS 2010 (input
weights); Saxe, McClelland, Ganguli, ICLR 2014, arXiv 1312.6120 (recurrent weights); Jozefowicz, Zaremba, Sutskever,
ICML 2015 (forget bias 1). Code: ours, Apache-2.0.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo_core import UnknownName
from zoo_core.contract import Head
from zoo_nlp.configs.models import LSTMConfig


class Classified(NamedTuple):
    """What the classifier gives."""

    logits: Tensor
    """(B, C) unnormalised scores; without a head the last state, (B, H)."""


class LSTMClassifier(nn.Module):
    """Reads tokens one after another and classifies the state after the last real one."""

    def __init__(self, config: LSTMConfig, labels: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_size)
        self.lstm = nn.LSTM(config.embedding_size, config.hidden_size, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, labels) if labels else nn.Identity()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as Keras does; with PyTorch's own defaults the same network learns far more slowly."""
        size = self.lstm.hidden_size
        parameters = dict(self.lstm.named_parameters())
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        nn.init.xavier_uniform_(parameters["weight_ih_l0"])
        nn.init.orthogonal_(parameters["weight_hh_l0"])
        nn.init.zeros_(parameters["bias_hh_l0"])
        with torch.no_grad():
            # Gates lie as input, forget, cell, output.
            parameters["bias_ih_l0"].zero_()[size : 2 * size] = 1.0
        if isinstance(self.classifier, nn.Linear):
            nn.init.xavier_uniform_(self.classifier.weight)
            nn.init.zeros_(self.classifier.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Classified:
        """Logits of token ids (B, T), padded on the right where the mask (B, T) is 0."""
        states, _ = self.lstm(self.embedding(input_ids))  # (B, T, H)
        if attention_mask is None:
            last = states[:, -1]  # (B, H)
        else:
            # What comes after the last token can't reach its state, so this is exact and faster than packing.
            place = (attention_mask.sum(1) - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, states.shape[2])  # (B, 1, H)
            last = states.gather(1, place).squeeze(1)  # (B, H)
        return Classified(self.classifier(self.dropout(last)))


def build(config: LSTMConfig, head: Head) -> nn.Module:
    """The classifier, or what lies below it. Raises `UnknownName` for tasks other than text-classification."""
    if head.task not in ("", "text-classification"):
        raise UnknownName("task", head.task, ["text-classification"], where="lstm")
    return LSTMClassifier(config, head.labels)
