"""Random projection of gradients, from millions of numbers an image to a few thousand, without the matrix.

    projected float32[b, k] = gradients [b, p] · P [p, k] / √k          P: ±1 (Rademacher) or standard normal, by seed

P has no place in memory (35 M × 2,048 in bits is 9 GB), so it is made a block of rows at a time and forgotten. Block c
comes from Philox with the seed as its key and c in its counter: any block by itself, the same on every machine and however
the gradient is cut into parts. Inner products are kept: for unit vectors E[⟨Px, Py⟩] = ⟨x, y⟩ with a s.d. of at most
√(2/k) (Johnson & Lindenstrauss 1984; with signs Achlioptas 2003).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from .checks import check_whole

BLOCK_ROWS = 1024  # part of what a seed means: with another number the same seed is another matrix


@dataclass(frozen=True)
class Projection:
    """rows: p, numbers of a gradient. dimension: k, what is left of them; a multiple of 64. kind: `rademacher` is bits
    of the generator as they are; `gaussian` goes through numpy's normal distribution, which a later numpy may change."""

    rows: int
    dimension: int
    seed: int
    kind: Literal["rademacher", "gaussian"] = "rademacher"

    def __post_init__(self) -> None:
        check_whole(self.rows, 1, "rows of a projection")
        check_whole(self.seed, 0, "seed of a projection")
        if check_whole(self.dimension, 64, "dimension of a projection") % 64:
            raise ValueError(f"dimension of a projection must be a multiple of 64, not {self.dimension}")
        if self.kind not in ("rademacher", "gaussian"):
            raise ValueError(f"unknown kind of projection {self.kind!r}; there are rademacher and gaussian")

    def block(self, number: int) -> NDArray[np.float32]:
        """Rows BLOCK_ROWS · number and on of P, without the 1/√k: float32[BLOCK_ROWS, k]."""
        bits = np.random.Philox(key=self.seed, counter=[0, 0, 0, number])
        if self.kind == "gaussian":
            return np.random.Generator(bits).standard_normal((BLOCK_ROWS, self.dimension), dtype=np.float32)
        raw = bits.random_raw(BLOCK_ROWS * self.dimension // 64).astype("<u8").view(np.uint8)
        signs = np.unpackbits(raw, bitorder="little").reshape(BLOCK_ROWS, self.dimension)
        return signs.astype(np.float32) * 2 - 1

    def parts(self, start: int, stop: int) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """Rows start … stop of P: (first, last + 1, float32[last + 1 - first, k]), at most a block at a time."""
        while start < stop:
            number, offset = divmod(start, BLOCK_ROWS)
            end = min(stop, (number + 1) * BLOCK_ROWS)
            yield start, end, self.block(number)[offset : offset + end - start]
            start = end

    def apply(self, gradients: torch.Tensor | Iterable[torch.Tensor]) -> NDArray[np.float32]:
        """float32[b, k] of b gradients.

        gradients: [b, p], or its parts [b, …] in order (one a parameter of the network, on any device), which need not be
        one tensor ever. Sums are float32 on the tensors' device. ValueError where the parts do not have p numbers an image.
        """
        at, total = 0, None
        for tensor in [gradients] if isinstance(gradients, torch.Tensor) else gradients:
            part = tensor.detach().reshape(len(tensor), -1).to(torch.float32)
            if at + part.shape[1] > self.rows:
                raise ValueError(f"gradients have more than {self.rows} numbers an image, which this projection is for")
            if total is None:
                total = torch.zeros(len(part), self.dimension, device=part.device)
            for start, end, rows in self.parts(at, at + part.shape[1]):
                total += part[:, start - at : end - at] @ torch.from_numpy(rows).to(part.device)
            at += part.shape[1]
        if total is None or at != self.rows:
            raise ValueError(f"gradients have {at} numbers an image, but this projection is of {self.rows}")
        return (total / self.dimension**0.5).cpu().numpy()
