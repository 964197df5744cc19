"""What holds a contributor's data after everything that can go is gone, in sentences for people."""

from __future__ import annotations

from itertools import groupby

from infra.store import Store
from tasks.epoch.records import images_of_epochs
from tasks.opt_out.past import Past

SHOWN = 5  # statements that one sentence names


def still_holds(name: str, past: Past) -> tuple[str, ...]:
    """What stays, and until when."""
    said = []
    for study, of_study in groupby(sorted(past.epochs[name], key=str), key=lambda pair: pair[0]):
        numbers = sorted(number for _, number in of_study if number is not None)
        which = f"epoch {', '.join(map(str, numbers))} of study '{study}'" if numbers else f"study '{study}'"
        said.append(
            f"reference model, pruned model (of LoRA: their adapters), images drawn from the reference, and reference "
            f"statistics of {which} were made from their images too, held-out ones among them, and from their prompts where "
            "the model takes some: until the study's next epoch, and in the store until housekeeping takes retired epochs "
            "away"
        )
    if statements := past.statements[name]:
        listed = ", ".join(statements[:SHOWN]) + (" …" if len(statements) > SHOWN else "")
        count = f"{len(statements)} {'statement' if len(statements) == 1 else 'statements'}"
        said.append(f"{count} made so far with their name and credit, which people were told: {listed}")
    if said:
        said.append("the ledger's records of coalitions: names, fingerprints and values, no images")
    said.append("a data folder outside this store, if theirs lie in one: it is read, but their images are left out")
    said.append(
        "images in which others have a share too, in these others' uploads or in a data folder: they stay there, and models "
        "are trained on them without this contributor's share, until the other owners take them out"
    )
    return tuple(said)


def could_not(store: Store) -> tuple[str, ...]:
    """What cannot be done any more where prepared images are gone."""
    there = store.entries("data")
    epochs = sorted(epoch for key, epoch in images_of_epochs(store).items() if key not in there)
    if not epochs:
        return ()
    return (
        f"{', '.join(epochs)}: the images that it froze are gone, so a reference that is missing, or the statistics of a "
        "new property, cannot be made any more; that takes a new epoch",
    )
