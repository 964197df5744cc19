"""The first step of a study: a folder of images becomes contributors with fingerprints, and a list of problems."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

import numpy as np

from infra.store import StoreError
from tasks.partition.claims import named, read_claims
from tasks.partition.contributors import describe, leave_out, ownership, rename, restrict, settle_small
from tasks.partition.duplicates import find_duplicates, is_heldout
from tasks.partition.folder import Folder
from tasks.partition.images import Decoded, Refused, decode
from tasks.partition.types import Claim, DataError, Image, Partition, Problem
from tasks.partition.uploaded import Uploaded, open_data
from tasks.study import DataSpec

Progress = Callable[[int, int], None]
LONGEST_ATTRIBUTION = 100_000  # bytes of an ATTRIBUTION.txt; all of them stand in the report


def partition(
    spec: DataSpec,
    resolution: int,
    *,
    prompts: bool = False,
    opted_out: Collection[str] = (),
    progress: Progress | None = None,
) -> Partition:
    """Read the images of a study: every image decoded once, at `resolution` x `resolution` pixels.

    With `prompts`, for models that take them, each image needs one in the metadata, and equal pixels with other prompts are
    rows of their own; what is held out and what is a duplicate stay matters of the pixels alone. Images of contributors
    who have `opted_out` are left out. `progress(done, total)` is called in the caller's thread after each image. Raises
    DataError, which lists every problem, when the folder or its table cannot be used or fewer than two contributors have
    training images.
    An unreachable store raises the file system's own OSError: were it a problem of one image, a slow network would
    change who owns what.
    """
    folder = open_data(spec.url)
    claims = read_claims(folder, spec, prompts=prompts)
    wanted, names, elsewhere = restrict(claims.accepted, claims.names, spec.only, opted_out)
    wanted, names, gone = leave_out(wanted, names, opted_out)
    decoded, broken = _decode_all(folder, wanted, spec, resolution, progress)
    images = sorted(
        (
            Image(claim.file_name, found.digest, claim.shares, claim.date, _heldout(found, spec), claim.prompt)
            for claim, found in decoded
        ),
        key=lambda image: (image.digest, image.file_name),
    )
    becomes, small = settle_small(images, names, minimum=spec.minimum_images, small=spec.small_contributors)
    problems = [
        *claims.problems,
        *elsewhere,
        *gone,
        *broken,
        *_remarks(decoded, resolution),
        *find_duplicates(images),
        *small,
    ]
    images = rename(images, becomes)
    contributors = describe(images, becomes)
    if len(contributors) < 2:
        left = f"only {contributors[0].name!r} has" if contributors else "no contributor has"
        raise DataError(
            f"{spec.url}: {left} training images; credit is shared between at least two. Who has fewer than "
            f"data.minimum_images ({spec.minimum_images}), counted without held-out ones, is merged with others or left "
            "out: lower it, or set data.small_contributors to keep",
            problems,
        )
    if not any(image.heldout for image in images):
        reason = "no image is held out; raise data.heldout_fraction or change data.heldout_salt"
        problems.append(Problem(spec.url, "no-heldout", reason, "kept"))
    pixels = {found.digest: found.pixels for _, found in decoded}
    row = {image.key: image for image in images}
    train = tuple(sorted(key for key, image in row.items() if not image.heldout))
    heldout = tuple(sorted(key for key, image in row.items() if image.heldout))
    return Partition(
        contributors=contributors,
        images=tuple(images),
        problems=tuple(problems),
        train_digests=train,
        heldout_digests=heldout,
        ownership=ownership(images, train, [contributor.name for contributor in contributors]),
        train_pixels=_stack([row[key].digest for key in train], pixels, resolution),
        heldout_pixels=_stack([row[key].digest for key in heldout], pixels, resolution),
        train_prompts=tuple(row[key].prompt for key in train) if prompts else (),
        heldout_prompts=tuple(row[key].prompt for key in heldout) if prompts else (),
    )


def attribution(spec: DataSpec) -> str:
    """Text of ATTRIBUTION.txt in the data folder, or of those in all uploads; '' if there is none: what a statement must
    print beside images."""
    folder = open_data(spec.url)

    def text(name: str) -> str:
        if folder.files[name] > LONGEST_ATTRIBUTION:
            return (
                f"{name!r} has {folder.files[name]:,} bytes; {LONGEST_ATTRIBUTION:,} is the most, so it is not printed."
            )
        try:
            return folder.read(name).decode("utf-8", errors="replace")
        except Refused as refused:  # one damaged upload; the statement is made nevertheless, and says so
            return str(refused)

    return "\n\n".join(text(name) for name in folder.named("ATTRIBUTION.txt"))


def _heldout(found: Decoded, spec: DataSpec) -> bool:
    return is_heldout(found.digest, spec.heldout_salt, spec.heldout_fraction)


def _stack(digests: list[str], pixels: dict[str, np.ndarray], resolution: int) -> np.ndarray:
    stacked = np.empty((len(digests), resolution, resolution, 3), dtype=np.uint8)
    for row, digest in enumerate(digests):
        stacked[row] = pixels[digest]
    return stacked


def _decode_all(
    folder: Folder | Uploaded, claims: list[Claim], spec: DataSpec, resolution: int, progress: Progress | None
) -> tuple[list[tuple[Claim, Decoded]], list[Problem]]:
    """All images that can be read, and a problem for each that cannot; both in the order of `claims`."""

    def one(claim: Claim) -> Decoded | Refused:
        try:
            return _read(folder, claim.file_name, spec, resolution)
        except Refused as refused:
            return refused

    found: dict[int, Decoded | Refused] = {}
    # Decoding frees Python's lock. A remote store is waited for more than computed with, so it gets more threads.
    pool = ThreadPoolExecutor(max_workers=4 if folder.is_local else 16)
    try:
        jobs: dict[Future[Decoded | Refused], int] = {pool.submit(one, claim): i for i, claim in enumerate(claims)}
        for done, job in enumerate(as_completed(jobs), start=1):
            found[jobs[job]] = job.result()
            if progress is not None:
                progress(done, len(claims))
    finally:
        pool.shutdown(cancel_futures=True)
    decoded, broken = [], []
    for i, claim in enumerate(claims):
        match found[i]:
            case Decoded() as image:
                decoded.append((claim, image))
            case Refused() as refused:
                broken.append(Problem(claim.file_name, refused.kind, str(refused), "left out"))
    return decoded, broken


def _read(folder: Folder | Uploaded, name: str, spec: DataSpec, resolution: int) -> Decoded:
    # Not even uncompressed 16-bit RGBA is larger than this; so no need to fetch such a file to refuse it.
    if folder.files[name] > spec.maximum_megapixels * 8e6 + 2**20:
        raise Refused("too-large", f"{name!r} has {folder.files[name] / 1e6:.0f} MB, too much for any image allowed")
    try:
        data = folder.read(name)
    except StoreError:
        raise  # also where it is a PermissionError: credentials that have expired are no problem of one image
    except FileNotFoundError:
        raise Refused("missing-file", f"{name!r} vanished while the folder was read") from None
    except PermissionError:
        raise Refused("unreadable", f"{name!r} may not be read: permission denied") from None
    return decode(data, name, resolution=resolution, maximum_megapixels=spec.maximum_megapixels)


def _remarks(decoded: list[tuple[Claim, Decoded]], resolution: int) -> Iterator[Problem]:
    """What was changed: by image where it is rare, by owner for shape and size, which are often everybody's."""
    oblong: dict[str, list[str]] = defaultdict(list)
    tiny: dict[str, list[str]] = defaultdict(list)
    for claim, found in decoded:
        for remark in found.remarks:
            yield Problem(claim.file_name, remark.kind, remark.reason, remark.action)
        for owner, _ in claim.shares:
            if found.width != found.height:
                oblong[owner].append(claim.file_name)
            if min(found.width, found.height) < resolution:
                tiny[owner].append(claim.file_name)
    for owner, files in sorted(oblong.items()):
        reason = f"{len(files)} images of {owner!r} are not square; their middle square is used: {named(files)}"
        yield Problem(owner, "cropped", reason, "converted")
    for owner, files in sorted(tiny.items()):
        reason = f"{len(files)} images of {owner!r} are smaller than {resolution} pixels; enlarged: {named(files)}"
        yield Problem(owner, "enlarged", reason, "converted")
