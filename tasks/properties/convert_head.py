"""Once, by hand: LAION's linear head from the pickled file it is published as to safetensors.

    python -m tasks.properties.convert_head sa_0_4_vit_l_14_linear.pth head.safetensors

The pickle is read by torch's restricted reader (weights_only), which makes tensors and nothing else. No study reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from tasks.properties.aesthetic import check_head


def convert_head(source: Path, target: Path) -> None:
    """Write `weight` [1, d] and `bias` [1] of a torch.nn.Linear's saved state as safetensors, in float32.

    Raises:
        ValueError: if the source is not such a state.
        FileNotFoundError: if there is no source.
    """
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch's reader meets a file that is none of its own with whatever comes up
        raise ValueError(
            f"{source} holds more than tensors, or is no file of torch ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{source} is not the saved state of a torch.nn.Linear")
    check_head({str(key): list(value.shape) for key, value in state.items()}, str(source))
    save_file({key: value.to(torch.float32).contiguous() for key, value in state.items()}, target)


def main(arguments: Sequence[str]) -> int:
    """0 when the file was written; 2, with a sentence on stderr, when it could not be."""
    if len(arguments) != 2:
        print("usage: python -m tasks.properties.convert_head IN.pth OUT.safetensors", file=sys.stderr)
        return 2
    source, target = map(Path, arguments)
    try:
        convert_head(source, target)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{target}: set properties.aesthetic_head to it")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
