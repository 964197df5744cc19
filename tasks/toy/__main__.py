"""Command line of the step; see the package for why it exists."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tasks.toy import PLAYERS, Steps, ToyError, make


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.toy", description="Train a small autoencoder and a small text-to-image model on OpenMoji."
    )
    parser.add_argument("--images", type=Path, required=True, help="folder with metadata.csv, such as data/openmoji")
    parser.add_argument("--out", type=Path, required=True, help="folder to make, such as data/openmoji-models")
    parser.add_argument(
        "--without", nargs="+", default=list(PLAYERS), metavar="NAME",
        help="designers whose images are not learned from (default: the players of the toy studies)",
    )  # fmt: skip
    steps = Steps()
    parser.add_argument("--autoencoder-steps", type=int, default=steps.autoencoder, help="default %(default)s")
    parser.add_argument("--text-to-image-steps", type=int, default=steps.text_to_image, help="default %(default)s")
    options = parser.parse_args(arguments)
    try:
        make(
            options.images,
            Path(os.path.normpath(options.out)),
            without=options.without,
            steps=Steps(options.autoencoder_steps, options.text_to_image_steps),
        )
    except ToyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
