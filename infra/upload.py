"""Hand in a folder of images as a contributor: upload, read back, complete. Broken off, the same command goes on.

    python -m infra.upload FOLDER --contributor "Emily Jäger" --to s3://bucket/prefix [--collection NAME]

Nothing is sent before every name in the folder was looked at. The layout is infra.uploads'. A complete upload is announced
to the Prefect server of PREFECT_API_URL, if one is set (infra.announce).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import shlex
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from infra.announce import NotAnnounced, announce
from infra.digest import canonical_json, sha256_of_file
from infra.local_tree import tree
from infra.names import one_spelling, refused_file
from infra.opt_outs import RETURN, standing
from infra.settings import store_url
from infra.store import Store, StoreError, StoreRefused
from infra.uploads import COLLECTION, COMPLETE, LARGEST_FILE, STARTED, Upload, UploadedFile

AT_ONCE = 8
SHOWN = 20  # problems in one message
_LITTER = {"thumbs.db", "desktop.ini"}  # what file managers leave; hidden files are passed over too


class UploadError(RuntimeError):
    """The folder cannot be handed in as it is; the message says what to change."""


def prepare(folder: Path, contributor: str, collection: str = COLLECTION) -> tuple[Upload, dict[str, Path]]:
    """Look at every file of a folder.

    Returns:
        The upload that they make, and where each digest's file is.

    Raises:
        UploadError: if there is nothing, a name is refused, or something is no plain file; names all of it.
    """
    if not folder.is_dir():
        raise UploadError(f"{folder} is not a folder")
    found, problems = _files(folder)
    if problems:
        more = f"\n  … and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UploadError("nothing was sent:\n  " + "\n  ".join(problems[:SHOWN]) + more)
    if not found:
        raise UploadError(f"there are no files in {folder}")
    digests = {name: sha256_of_file(path) for name, path in found.items()}
    files = [UploadedFile(name=name, sha256=digests[name], size=found[name].stat().st_size) for name in sorted(found)]
    try:
        upload = Upload(collection=collection, contributor=one_spelling(contributor).strip(), files=tuple(files))
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors()
        )
        raise UploadError(f"nothing was sent: {said}") from error
    return upload, {digests[name]: path for name, path in found.items()}


def hand_in(
    upload: Upload, paths: dict[str, Path], store: Store, say: Callable[[str], None] = lambda text: None
) -> bool:
    """Bring an upload into a store and complete it. What is there already is not sent again.

    Returns:
        False if it was complete before.

    Raises:
        UploadError: if a file changed meanwhile, or the contributor has opted out.
        StoreError: if the store cannot be used, or does not give back what it was given.
    """
    _check_not_out(upload, store, say)
    began = {
        "contributor": upload.contributor,
        "files": len(upload.files),
        "bytes": sum(file.size for file in upload.files),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    store.create(
        f"{upload.folder}/{STARTED}", canonical_json(began)
    )  # fails here if we may not, before anything is sent
    there = store.entries(upload.folder)
    if f"{upload.folder}/{COMPLETE}" in there:
        return False
    needed = {file.sha256: file for file in upload.files}.values()  # equal files are kept once
    missing = [file for file in needed if (entry := there.get(upload.key(file))) is None or entry.size != file.size]
    if len(missing) < len(needed):
        say(f"{len(needed) - len(missing)} of {len(needed)} files are there from before")
    _each("sent", missing, lambda file: _send(upload, file, paths[file.sha256], store), say)
    with tempfile.TemporaryDirectory(prefix="credit-") as scratch:
        _each("read back", needed, lambda file: _read_back(upload, file, store, Path(scratch)), say)
    _check_not_out(upload, store, say)  # it may have taken hours
    data = canonical_json(upload.model_dump(mode="json"))
    if not store.create(f"{upload.folder}/{COMPLETE}", data):
        # A second command did the same at the same time, or our own answer was lost: fine, if it says the same.
        present = store.read(f"{upload.folder}/{COMPLETE}", limit=len(data))
        if present != data:
            raise StoreError(f"{store.where(f'{upload.folder}/{COMPLETE}')} is there, and is not this upload's")
    return True


def _check_not_out(upload: Upload, store: Store, say: Callable[[str], None]) -> None:
    try:
        out = standing(store, upload.contributor)
    except StoreRefused as error:  # credentials for their own folder only; whoever runs the study leaves them out
        say(f"not known from here whether {upload.contributor} has opted out: {error}")
        return
    if out is not None:
        raise UploadError(
            f"{upload.contributor} opted out on {out[1].when:%Y-%m-%d} (asked for by {out[1].by}), so nothing is taken. To "
            f"return, whoever runs the study says: {RETURN} {shlex.quote(upload.contributor)}"
        )


def _files(folder: Path) -> tuple[dict[str, Path], list[str]]:
    found: dict[str, Path] = {}
    problems: list[str] = []
    try:
        for entry in tree(str(folder), into=lambda name: not name.rpartition("/")[2].startswith(".")):
            plain = entry.name.rpartition("/")[2]
            if plain.startswith(".") or plain.lower() in _LITTER or entry.is_folder:
                continue
            relative, status = one_spelling(entry.name), entry.status
            reason = refused_file(relative)
            if status is None:
                reason = entry.reason
            elif stat.S_ISLNK(status.st_mode):
                reason = "is a link; put the file itself there"
            elif not stat.S_ISREG(status.st_mode):
                reason = "is a pipe or a device, not a file"
            elif status.st_size > LARGEST_FILE:
                reason = f"has {status.st_size:,} bytes; {LARGEST_FILE:,} is the most"
            elif relative in found:
                reason = "is there twice, spelt in two ways that look the same"
            if reason:
                problems.append(f"{relative!r} {reason}")
            found[relative] = folder / entry.name
    except OSError as error:
        raise UploadError(f"cannot look into {error.filename}: {error.strerror}") from error
    return found, problems


def _send(upload: Upload, file: UploadedFile, path: Path, store: Store) -> None:
    try:
        digest = store.write_file(upload.key(file), path)
    except FileNotFoundError as error:
        raise UploadError(f"{file.name!r} was removed while it was to be uploaded; start again") from error
    if digest != file.sha256:
        store.delete(upload.key(file))
        raise UploadError(f"{file.name!r} was changed while it was uploaded; start again")


def _read_back(upload: Upload, file: UploadedFile, store: Store, scratch: Path) -> None:
    target = scratch / file.sha256
    try:
        store.read_file(upload.key(file), target, file.sha256)
    except StoreError as error:
        if not isinstance(error, OSError):  # damaged: it must not be taken for whole the next time
            store.delete(upload.key(file))
        raise
    target.unlink()


def _each(
    done: str, files: Iterable[UploadedFile], do: Callable[[UploadedFile], None], say: Callable[[str], None]
) -> None:
    files, said = list(files), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(do, file) for file in files]
        try:
            for number, job in enumerate(concurrent.futures.as_completed(jobs), start=1):
                job.result()
                if time.monotonic() - said > 5 or number == len(files):
                    say(f"{number} of {len(files)} files {done}")
                    said = time.monotonic()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _announce(upload: Upload) -> None:
    """Tell the Prefect server, or say that nobody was told: the upload is complete either way."""
    try:
        print(f"announced to {announce(upload)}")
    except NotAnnounced as error:
        again = shlex.join(
            ["python", "-m", "infra.upload", *(a for a in sys.argv[1:] if a != "--announce"), "--announce"]
        )
        print(
            f"complete, but nobody was told of it: {error}. The schedule of `reattribute` will find it, or announce it "
            f"again with:\n  {again}",
            file=sys.stderr,
        )


def main() -> int:
    """Hand in a folder; 0 if it is complete, 2 if it cannot be as it is, 1 if the store cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m infra.upload", description="Hands in a folder of images.")
    parser.add_argument("folder", type=Path, help="images, and metadata.csv if the names need one")
    parser.add_argument("--contributor", required=True, metavar="NAME", help="whose they are, as it is to be printed")
    parser.add_argument("--to", metavar="URL", help="the store, such as s3://bucket/prefix; CREDIT_STORE if not given")
    parser.add_argument("--collection", default=COLLECTION, help="what they are for; default: %(default)s")
    parser.add_argument("--announce", action="store_true", help="announce it also if it was complete before")
    parser.add_argument("--dry-run", action="store_true", help="only look at the folder, and say where it would go")
    arguments = parser.parse_args()
    try:
        store = Store(arguments.to or store_url())
        upload, paths = prepare(arguments.folder, arguments.contributor, arguments.collection)
        size = sum(file.size for file in upload.files)
        print(f"{len(upload.files)} files, {size:,} bytes, for {store.where(upload.folder)}", flush=True)
        if arguments.dry_run:
            return 0
        new = hand_in(upload, paths, store, lambda text: print(text, flush=True))
        print("complete" if new else "complete since an earlier time; nothing was sent", flush=True)
        if new or arguments.announce:
            _announce(upload)
        return 0
    except UploadError as error:
        print(error, file=sys.stderr)
        return 2
    except (StoreError, OSError) as error:
        print(f"not complete yet; the same command goes on where it was: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it was", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
