"""Two small models made from OpenMoji, in the place of those which a paper-scale study takes from elsewhere.

A latent diffusion model stands on a frozen autoencoder, and LoRA on a whole Stable Diffusion; both are gigabytes that
somebody else trained. So that these code paths run for everybody, on two cores and without a download, this step trains
the smallest models of the very same `diffusers` and `transformers` classes, and saves them as a hub would give them.

They learn from the images of designers who are not players of the toy studies. Otherwise the base of a LoRA study would
know the players' images already, and v(∅), its score, would hold part of everybody's credit.

    python -m tasks.toy --images data/openmoji --out data/openmoji-models
"""

from tasks.toy.make import PLAYERS, Steps, ToyError, make

__all__ = ["PLAYERS", "Steps", "ToyError", "make"]
