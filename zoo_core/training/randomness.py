"""Randomness as a function, not a state: every draw of a step is keyed, so there is no generator to save."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_MASK = (1 << 64) - 1


def key(*words: int) -> int:
    """A 63-bit seed from whole numbers (splitmix64, Steele et al., 2014); different words give unrelated seeds."""
    state = 0x9E3779B97F4A7C15
    for word in words:
        state = (state + (word & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def reseed(seed: int, device: torch.device) -> None:
    """Key torch's global generators of the host and of `device`; a hundred times cheaper than `torch.manual_seed`."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


class RowDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Gives a micro-batch the draws that its rows have in the whole batch.

    Sample `r` of a batch of R rows is row `r // parts` of part `r % parts`. Where a random operation fills a tensor whose first
    dimension is the R / parts samples of a part, or a multiple of them with the rows of a sample side by side, it is done for
    all R and the part's rows are taken; the generator is keyed alike for all parts. Any other draw, like a permutation of the
    batch, is every part's own and the same in all of them.
    """

    def __init__(self, rows: int, part: int, parts: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows, self.part, self.parts = rows, part, parts
        self.others: set[str] = set()
        """Random operations that were left as they are, by name."""
        self.several: set[str] = set()
        """Those that were taken for several rows of each sample, by name and how many: a first dimension can't say what it is."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Done as it is, unless it draws."""
        if func in _PLAIN:
            return func(*args, **kwargs) if kwargs else func(*args)
        named = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags:
            _PLAIN.add(func)
            return func(*args, **named)
        return _ROUTES.get(func._schema.name, RowDraws._as_is)(self, func, args, named)

    def _as_is(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.others.add(func._schema.name.removeprefix("aten::"))
        return func(*args, **named)

    def _filled(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """In place, like `bernoulli_`: the values of a tensor don't depend on what was in it."""
        target = args[0]
        if not self._by_row(func, target.shape):
            return self._as_is(func, args, named)
        whole = func(self._widened(target), *args[1:], **named)
        return target.copy_(self._own(whole))

    def _like(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """A new tensor in the shape of another, whose values may be probabilities."""
        if not self._by_row(func, args[0].shape):
            return self._as_is(func, args, named)
        whole = self._widened(args[0]).zero_()  # a probability for the rows of the other parts
        self._view(whole).copy_(args[0].view(self.rows, -1, *args[0].shape[1:]))
        return self._own(func(whole, *args[1:], **named)).clone()

    def _sized(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """A new tensor of a size that is among the arguments."""
        place = next((number for number, given in enumerate(args) if isinstance(given, list | tuple)), None)
        if place is None or not self._by_row(func, args[place]):
            return self._as_is(func, args, named)
        size = args[place]
        wide = [size[0] * self.parts, *size[1:]]
        return self._own(func(*args[:place], wide, *args[place + 1 :], **named)).clone()

    def _dropped(self, func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """`native_dropout`, which gives the scaled values and the mask."""
        given, p, train = args
        if not self._by_row(func, given.shape) or not train:
            return self._as_is(func, args, named)
        _, whole = func(torch.ones_like(self._widened(given)), p, train, **named)
        mask = self._own(whole)
        return given * mask * (1 / (1 - p) if p < 1 else 0.0), mask

    def _by_row(self, func: Any, size: Sequence[int]) -> bool:
        if not size or not size[0] or size[0] % self.rows:
            return False
        if size[0] != self.rows:
            self.several.add(f"{func._schema.name.removeprefix('aten::')} of {size[0] // self.rows}")
        return True

    def _widened(self, tensor: Tensor) -> Tensor:
        """An empty tensor with the rows of all parts, in the memory order of one part's."""
        strides = tensor.stride()
        order = sorted(range(tensor.ndim), key=lambda place: -strides[place])
        shape = [tensor.shape[0] * self.parts, *tensor.shape[1:]]
        whole = tensor.new_empty([shape[place] for place in order])
        return whole.permute([order.index(place) for place in range(tensor.ndim)])

    def _own(self, whole: Tensor) -> Tensor:
        """This part's rows (B k, ...) of those of all, (B parts k, ...)."""
        return self._view(whole).flatten(0, 1)

    def _view(self, whole: Tensor) -> Tensor:
        """The same as (B, k, ...), in the memory of the whole."""
        return whole.view(self.rows, self.parts, -1, *whole.shape[1:])[:, self.part]


_PLAIN: set[Any] = set()
"""Operations that are known to draw nothing, so that each is looked at once."""

_ROUTES: Mapping[str, Callable[[RowDraws, Any, tuple[Any, ...], dict[str, Any]], Any]] = {
    **{
        f"aten::{name}": RowDraws._filled
        for name in (
            "bernoulli_",
            "uniform_",
            "normal_",
            "exponential_",
            "random_",
            "geometric_",
            "cauchy_",
            "log_normal_",
        )
    },
    **{f"aten::{name}": RowDraws._like for name in ("rand_like", "randn_like", "randint_like", "bernoulli")},
    **{f"aten::{name}": RowDraws._sized for name in ("rand", "randn", "randint", "normal")},
    "aten::native_dropout": RowDraws._dropped,
}
"""How each random operation is made one of the whole batch."""
