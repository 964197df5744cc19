"""Who claims which file: rows of the metadata, or the sub-folders, turned into claims whose owners are understood.

Everything that can be wrong with a row before its image is opened is found here.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tasks.partition import dates
from tasks.partition.folder import METADATA, Folder, relative_path
from tasks.partition.metadata import Row, find_metadata, read_rows
from tasks.partition.names import clean, quoted, unsafe
from tasks.partition.shares import LONGEST_CELL, ShareError, parse_shares
from tasks.partition.types import DataError, Files, Problem, Shares
from tasks.partition.uploaded import Handed, Uploaded
from tasks.study import DataSpec

# Files that belong beside data and are no images; hidden files are passed over too, unless they end like an image.
_DOCUMENTS = ("readme", "license", "licence", "attribution", "notice", "copying", "changelog", "citation")
_IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".jp2"}
LARGEST_TABLE = 64 * 2**20  # bytes of a table in an upload, which anybody may have made
_LISTED_NAMES = 10  # how many file names one sentence holds at most


@dataclass(frozen=True)
class Claim:
    """A file that exists, with the owners and the date that its row gives it."""

    file_name: str
    shares: Shares
    date: str | None


@dataclass
class Claims:
    """All claims, what was wrong with the others, and every name that was understood (also without an image)."""

    accepted: list[Claim] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def refuse(self, subject: str, kind: str, reason: str) -> None:
        self.problems.append(Problem(subject, kind, reason, "left out"))


def read_claims(found: Folder | Uploaded, spec: DataSpec) -> Claims:
    """Claims of the whole folder, or of all uploads, in the order of the files' names.

    Raises DataError as `metadata` does; an upload whose table is damaged is a problem of its own.
    """
    claims = Claims(problems=sorted(found.refused.values(), key=lambda problem: problem.subject))
    if isinstance(found, Uploaded):
        _from_uploads(found, spec, claims)
    elif (table := find_metadata(found)) is None:
        _from_folders(found, claims)
    else:
        rows, problems = read_rows(found, table, spec)
        claims.problems += problems
        _from_rows(rows, found, claims)
    claims.accepted.sort(key=lambda claim: claim.file_name)
    by_spelling: dict[str, list[str]] = defaultdict(list)
    for name in sorted(claims.names):
        by_spelling[" ".join(name.casefold().split())].append(name)
    for alike in by_spelling.values():
        for name in alike[1:]:
            reason = (
                f"{name!r} differs from {alike[0]!r} by case or spaces only; both count as contributors of their own"
            )
            claims.problems.append(Problem(name, "similar-name", reason, "kept"))
    return claims


def named(files: list[str]) -> str:
    """The first few of `files`, quoted, and how many more there are."""
    shown = ", ".join(repr(name) for name in files[:_LISTED_NAMES])
    return shown + (f" and {len(files) - _LISTED_NAMES} more" if len(files) > _LISTED_NAMES else "")


def _from_folders(folder: Folder, claims: Claims) -> None:
    """Each folder of the first level is a contributor; its name is a name as it stands, never owners with shares."""
    nested = sorted(name for name in folder.files if PurePosixPath(name).name in METADATA)
    if nested:
        raise DataError(
            f"{folder.url} has no metadata file at its top, but there are {named(nested)}; point data.url at one of "
            "these folders, or join the tables into one at the top"
        )
    owned: dict[str, list[str]] = {owner: [] for owner in folder.folders if not owner.startswith(".")}
    for name in sorted(folder.files):
        if _passed_over(name):
            continue
        owner, slash, _ = name.partition("/")
        if slash:
            owned.setdefault(owner, []).append(name)
        else:
            claims.refuse(name, "no-owner", f"{name!r} lies in no contributor's folder and there is no metadata file")
    for folder_name, files in sorted(owned.items()):
        owner = clean(folder_name)
        if unsafe(owner):
            _refuse_name(owner, folder_name, files, claims)
            continue
        if folder_name != owner:
            _respelled(folder_name, owner, claims)
        claims.names.add(owner)
        claims.accepted += [Claim(name, ((owner, 1.0),), None) for name in files]


def _from_uploads(found: Uploaded, spec: DataSpec, claims: Claims) -> None:
    """Each upload by its own table, if it has one. What a contributor handed in twice, with the same owners and date, counts
    once: a folder that is handed in again with one more image must not double the others."""
    seen: dict[tuple[str, str, Shares, str | None], Handed] = {}
    for upload in found.uploads:
        of_upload = Claims()
        _from_upload(upload, spec, of_upload)
        again: list[Claim] = []
        for claim in of_upload.accepted:
            first = seen.setdefault(
                (upload.contributor, upload.sha256[claim.file_name], claim.shares, claim.date), upload
            )
            (claims.accepted if first is upload else again).append(claim)
        claims.problems += of_upload.problems
        claims.names |= of_upload.names
        if again:
            reason = (
                f"{len(again)} files of {upload.url} were handed in by {upload.contributor!r} in another upload too; they "
                f"count once: {named([claim.file_name for claim in again])}"
            )
            claims.problems.append(Problem(upload.url, "handed-in-again", reason, "kept"))


def _from_upload(upload: Handed, spec: DataSpec, claims: Claims) -> None:
    files = [name for name in sorted(upload.files) if not _passed_over(name.removeprefix(upload.prefix))]
    if unsafe(upload.contributor):
        _refuse_name(upload.contributor, upload.contributor, files, claims)
        return
    claims.names.add(upload.contributor)
    try:
        table = find_metadata(upload)
        if table is None:
            claims.accepted += [Claim(name, ((upload.contributor, 1.0),), None) for name in files]
            return
        if upload.files[table] > LARGEST_TABLE:
            raise DataError(f"{table} has {upload.files[table]:,} bytes; {LARGEST_TABLE:,} is the most")
        rows, problems = read_rows(upload, table, spec, owner_known=True)
    except (
        ValueError,
        OverflowError,
        FileNotFoundError,
    ) as error:  # DataError, Refused, or what a hostile table provokes
        reason = f"the table of {upload.url}, by {upload.contributor!r}, cannot be used, nor can its images: {error}"
        claims.refuse(upload.url, "bad-metadata", reason)
        return
    claims.problems += problems
    _from_rows(rows, upload, claims, upload.contributor)


def _from_rows(rows: list[Row], folder: Files, claims: Claims, uploader: str | None = None) -> None:
    by_file: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if not isinstance(row.file_name, str):
            empty = row.file_name is None
            reason = (
                f"{row.where} has {'no file_name' if empty else f'the file_name {quoted(row.file_name)}, not a text'}"
            )
            claims.refuse(row.where, "no-file-name" if empty else "wrong-type", reason)
            continue
        try:
            by_file[folder.prefix + relative_path(row.file_name)].append(row)
        except ValueError as error:
            kind = "unsafe-path" if row.file_name.strip() else "no-file-name"
            claims.refuse(row.file_name or row.where, kind, f"{row.where}: file_name {quoted(row.file_name)} {error}")
    unsafe_files: dict[str, list[str]] = defaultdict(list)
    unlike = {name.casefold(): name for name in folder.files}
    for name, listed in sorted(by_file.items()):
        row = listed[0]
        shares = _owners(name, row, claims, uploader)
        if len(listed) > 1 and not _repeats_agree(name, listed, claims):
            continue
        if shares is None:
            continue
        bad = [owner for owner, _ in shares if unsafe(owner)]
        for owner in bad:
            unsafe_files[owner].append(name)
        claims.names |= {owner for owner, _ in shares} - set(bad)
        if name not in folder.files:
            if name not in folder.refused:  # already reported by the folder itself
                near = unlike.get(name.casefold())
                hint = f"; there is {near!r}, which differs by case" if near else ""
                claims.refuse(name, "missing-file", f"{row.where} lists {name!r}, which is not in the folder{hint}")
        elif not bad:
            claims.accepted.append(Claim(name, shares, _date(name, row, claims)))
    for owner, files in sorted(unsafe_files.items()):
        _refuse_name(owner, owner, files, claims)
    _name_remarks(by_file, claims)
    for name in sorted(set(folder.files) - set(by_file)):
        plain = name.removeprefix(folder.prefix)
        if plain not in METADATA and not _passed_over(plain):
            claims.refuse(name, "unlisted-file", f"{name!r} is in the folder but not in the metadata; add a row for it")


def _owners(name: str, row: Row, claims: Claims, uploader: str | None) -> Shares | None:
    """Owners in a row's cell; None, with a problem, where there are none to be had. In an upload they are the uploader, if
    nothing else is said, and never others alone: nobody puts images into another's name."""
    cell = row.owners
    if isinstance(cell, int) and not isinstance(cell, bool):
        cell = str(cell)  # owners known by number are common, and only a CSV table makes them text
    if cell is None or cell != cell:
        cell = ""
    if not isinstance(cell, str):
        claims.refuse(name, "wrong-type", f"{row.where}: the owner of {name!r} is {quoted(cell)}, not a text")
        return None
    if uploader is not None and clean(cell) in ("", uploader):  # a name may look like owners with shares
        return ((uploader, 1.0),)
    try:
        shares = parse_shares(cell)
    except ShareError as error:
        claims.refuse(name, "bad-shares", f"{row.where}: the owner cell {quoted(cell)} of {name!r} {error}")
        return None
    if not shares:
        claims.refuse(name, "no-owner", f"{row.where} gives {name!r} no owner")
        return None
    if uploader is not None and uploader not in dict(shares):
        reason = (
            f"{row.where}: {name!r} was handed in by {uploader!r} and is said to be of {quoted(cell)}; whoever hands an "
            "image in must be one of its owners"
        )
        claims.refuse(name, "others-name", reason)
        return None
    return shares


def _repeats_agree(name: str, listed: list[Row], claims: Claims) -> bool:
    where = " and ".join(row.where for row in listed)
    if all((row.owners, row.date) == (listed[0].owners, listed[0].date) for row in listed):
        reason = f"{where} list {name!r} with the same owner; it counts once"
        claims.problems.append(Problem(name, "repeated-row", reason, "kept"))
        return True
    claims.refuse(name, "repeated-row", f"{where} list {name!r} with different owners or dates; keep one row")
    return False


def _date(name: str, row: Row, claims: Claims) -> str | None:
    try:
        return dates.as_text(row.date)
    except ValueError:
        reason = f"{row.where}: the date {quoted(row.date)} of {name!r} is not an ISO date; the image has no date"
        claims.problems.append(Problem(name, "bad-date", reason, "kept"))
        return None


def _refuse_name(owner: str, subject: str, files: list[str], claims: Claims) -> None:
    """One problem for a name that is refused, with its images."""
    reason = f"the name {quoted(owner)} {unsafe(owner)}; its {len(files)} images are left out: {named(files)}"
    claims.refuse(subject, "unsafe-name", reason)


def _name_remarks(by_file: dict[str, list[Row]], claims: Claims) -> None:
    """Names that were respelled, and names that look as if several owners were meant."""
    cells = {row.owners for rows in by_file.values() for row in rows if isinstance(row.owners, str)}
    for cell in sorted(cells):
        if len(cell) <= LONGEST_CELL and clean(cell) in claims.names:
            if cell.strip() != clean(cell):
                _respelled(cell, clean(cell), claims)
            if ";" in cell:
                reason = (
                    f"{quoted(cell)} counts as one name; if it means several owners, write shares, such as a:0.5;b:0.5"
                )
                claims.problems.append(Problem(clean(cell), "semicolon-name", reason, "kept"))


def _respelled(raw: str, name: str, claims: Claims) -> None:
    reason = f"{raw!r} is written {name!r} here, in Unicode's composed form, so that one name has one spelling"
    claims.problems.append(Problem(raw, "respelled-name", reason, "converted"))


def _passed_over(name: str) -> bool:
    """Documentation and hidden files, which nobody takes for data."""
    path = PurePosixPath(name)
    if path.suffix.lower() in _IMAGE_ENDINGS:
        return False
    return any(part.startswith(".") for part in path.parts) or (
        len(path.parts) == 1 and path.stem.lower() in _DOCUMENTS
    )
