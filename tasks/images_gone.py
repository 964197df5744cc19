"""Images that were removed while something is made of them.

Who opts out waits for work that is under way, but cannot see a machine that was cut off from Prefect or asleep, and comes
back. So what is made of people's images asks before it is stored. Latents, checkpoints, weights and drawn images, which an
opt-out removes, look again before they are recorded, and are taken away if the images went in between: never after that, for
what the ledger has must not be made a second time.
"""

from __future__ import annotations

from collections.abc import Callable

from infra.store import Store

Check = Callable[[], None]  # raises ImagesGone


class ImagesGone(RuntimeError):
    """Something has to be made from images, or was made from them, and they are no longer in the store."""


def nobodys() -> None:
    """The check of what is made of nobody's images."""


def check_images(store: Store, pixels: str) -> None:
    """Are they still there?

    Args:
        pixels: sha256 of data/<sha256>.safetensors.

    Raises:
        ImagesGone: if they were removed.
    """
    if not store.exists(f"data/{pixels}.safetensors"):
        raise ImagesGone(
            f"the images that this is made of were removed from {store.url} while it was made (an opt-out, or gc): "
            "nothing of it is kept; start the study again"
        )


def look_again(check: Check, store: Store, key: str) -> None:
    """Are the images still there of which `key` in the store is made? If not, it is removed, and ImagesGone is raised."""
    try:
        check()
    except ImagesGone:
        store.delete(key)
        raise
