"""Who claims which file: rows of the metadata, or the sub-folders, turned into claims whose owners are understood.

Everything that can be wrong with a row before its image is opened is found here.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import PurePosixPath

from infra.names import LONGEST_PATH
from tasks.partition import cells
from tasks.partition.folder import METADATA, Folder, relative_path
from tasks.partition.metadata import Row, find_metadata, read_rows
from tasks.partition.names import clean, looks, quoted, unsafe
from tasks.partition.shares import LONGEST_CELL
from tasks.partition.types import Action, Claim, Claims, DataError, Files, Problem, Shares
from tasks.partition.uploaded import Handed, Uploaded
from tasks.study import DataSpec

# Files that belong beside data and are no images; hidden files are passed over too, unless they end like an image.
_DOCUMENTS = ("readme", "license", "licence", "attribution", "notice", "copying", "changelog", "citation")
_IMAGE_ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".jp2"}
LARGEST_TABLE = 64 * 2**20  # bytes of a table in an upload, which anybody may have made
MOST_PROBLEMS = 100  # of a kind in one upload; more are told together, so that no statement is too large to read
_LISTED_NAMES = 10  # how many file names one sentence holds at most


def read_claims(found: Folder | Uploaded, spec: DataSpec, *, prompts: bool = False) -> Claims:
    """Claims of the whole folder, or of all uploads, in the order of the files' names; with prompts, if they are asked for.

    Raises DataError as `metadata` does; an upload whose table is damaged is a problem of its own.
    """
    claims = Claims(prompts, problems=sorted(found.refused.values(), key=lambda problem: problem.subject))
    if isinstance(found, Uploaded):
        _from_uploads(found, spec, claims)
    elif (table := find_metadata(found)) is None:
        _from_folders(found, claims)
    else:
        rows, problems = read_rows(found, table, spec, prompts=prompts)
        claims.problems += problems
        _from_rows(rows, found, claims)
    claims.accepted.sort(key=lambda claim: claim.file_name)
    by_look: dict[str, list[str]] = defaultdict(list)
    for name in sorted(claims.names):
        by_look[looks(name)].append(name)
    for alike in by_look.values():
        for name in alike[1:]:
            claims.problems.append(Problem(name, "similar-name", _alike(alike[0], name), "kept"))
    return claims


def named(files: list[str]) -> str:
    """The first few of `files`, quoted, and how many more there are."""
    shown = ", ".join(quoted(name) for name in files[:_LISTED_NAMES])
    return shown + (f" and {len(files) - _LISTED_NAMES} more" if len(files) > _LISTED_NAMES else "")


def _alike(first: str, name: str) -> str:
    counted = "both count as contributors of their own"
    if " ".join(first.casefold().split()) == " ".join(name.casefold().split()):
        return f"{name!r} differs from {first!r} by case or spaces only; {counted}"
    odd = [f"U+{ord(c):04X}" for c in name if c not in first][:_LISTED_NAMES]
    said = f", but for {', '.join(odd)}" if odd else ""
    return f"{name!r} looks like {first!r}{said}; {counted}, unless somebody passes for another"


def _from_folders(folder: Folder, claims: Claims) -> None:
    """Each folder of the first level is a contributor; its name is a name as it stands, never owners with shares."""
    if claims.prompts:
        raise DataError(
            f"{folder.url} has no metadata file at its top ({', '.join(METADATA)}), and the model takes prompts, which "
            "stand in one: write one with a row for each image"
        )
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
    """Each upload by its own table, if it has one. What a contributor handed in twice, with the same owners, date and
    prompt, counts once: a folder that is handed in again with one more image must not double the others."""
    seen: dict[tuple[str, str, Shares, str | None, str], Handed] = {}
    for upload in found.uploads:
        of_upload = Claims(claims.prompts)
        _from_upload(upload, spec, of_upload)
        again: list[Claim] = []
        for claim in of_upload.accepted:
            file = upload.sha256[claim.file_name]
            first = seen.setdefault((upload.contributor, file, claim.shares, claim.date, claim.prompt), upload)
            (claims.accepted if first is upload else again).append(claim)
        claims.problems += _together(of_upload.problems, upload.url)
        claims.names |= of_upload.names
        if again:
            reason = (
                f"{len(again)} files of {upload.url} were handed in by {upload.contributor!r} in another upload too; they "
                f"count once: {named([claim.file_name for claim in again])}"
            )
            claims.problems.append(Problem(upload.url, "handed-in-again", reason, "kept"))


def _together(problems: list[Problem], url: str) -> list[Problem]:
    """The problems of one upload, those of a kind as one where there are very many."""
    of_kind: dict[tuple[str, Action], list[Problem]] = defaultdict(list)
    for problem in problems:
        of_kind[problem.kind, problem.action].append(problem)
    told = []
    for (kind, action), several in of_kind.items():
        if len(several) > MOST_PROBLEMS:
            reason = f"{len(several):,} times in {url}: {named([problem.subject for problem in several])}"
            several = [Problem(url, kind, f"{reason}; the first: {several[0].reason}", action)]
        told += several
    return told


def _from_upload(upload: Handed, spec: DataSpec, claims: Claims) -> None:
    files = [name for name in sorted(upload.files) if not _passed_over(name.removeprefix(upload.prefix))]
    if unsafe(upload.contributor):
        _refuse_name(upload.contributor, upload.contributor, files, claims)
        return
    claims.names.add(upload.contributor)
    try:
        table = find_metadata(upload)
        if table is None and claims.prompts:
            reason = f"{upload.url}, by {upload.contributor!r}, has no table with prompts; left out: {named(files)}"
            claims.refuse(upload.url, "no-prompt", reason)
            return
        if table is None:
            claims.accepted += [Claim(name, ((upload.contributor, 1.0),), None) for name in files]
            return
        if upload.files[table] > LARGEST_TABLE:
            raise DataError(f"{table} has {upload.files[table]:,} bytes; {LARGEST_TABLE:,} is the most")
        rows, problems = read_rows(upload, table, spec, prompts=claims.prompts, owner_known=True)
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
            subject = row.file_name if row.file_name and len(row.file_name) <= LONGEST_PATH else row.where
            claims.refuse(subject, kind, f"{row.where}: file_name {quoted(row.file_name)} {error}")
    unsafe_files: dict[str, list[str]] = defaultdict(list)
    respelled: list[str] = []
    unlike = {name.casefold(): name for name in folder.files}
    for name, listed in sorted(by_file.items()):
        if len(listed) > 1 and not cells.repeats_agree(name, listed, claims):
            continue  # before anything is said of a row that may not be the one that is meant
        row = listed[0]
        shares = cells.owners(name, row, claims, uploader)
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
        elif not bad and (prompt := cells.prompt(name, row, claims)) is not None:
            claims.accepted.append(Claim(name, shares, cells.date(name, row, claims), prompt))
            if claims.prompts and prompt != str(row.prompt).strip():
                respelled.append(name)
    if respelled:
        reason = (
            f"the prompts of {len(respelled)} images are used in Unicode's composed form, with single spaces and without "
            f"characters that cannot be seen: {named(respelled)}"
        )
        claims.problems.append(Problem(folder.url, "respelled-prompt", reason, "converted"))
    for owner, files in sorted(unsafe_files.items()):
        _refuse_name(owner, owner, files, claims)
    _name_remarks(by_file, claims)
    for name in sorted(set(folder.files) - set(by_file)):
        plain = name.removeprefix(folder.prefix)
        if plain not in METADATA and not _passed_over(plain):
            claims.refuse(name, "unlisted-file", f"{name!r} is in the folder but not in the metadata; add a row for it")


def _refuse_name(owner: str, subject: str, files: list[str], claims: Claims) -> None:
    """One problem for a name that is refused, with its images."""
    reason = f"the name {quoted(owner)} {unsafe(owner)}; its {len(files)} images are left out: {named(files)}"
    claims.refuse(subject, "unsafe-name", reason)


def _name_remarks(by_file: dict[str, list[Row]], claims: Claims) -> None:
    """Names that were respelled, and names that look as if several owners were meant."""
    written = {row.owners for rows in by_file.values() for row in rows if isinstance(row.owners, str)}
    for cell in sorted(written):
        if len(cell) <= LONGEST_CELL and clean(cell) in claims.names:
            if cell.strip() != clean(cell):
                _respelled(cell, clean(cell), claims)
            if ";" in cell:
                reason = (
                    f"{quoted(cell)} counts as one name; if it means several owners, write shares, such as a:0.5;b:0.5"
                )
                claims.problems.append(Problem(clean(cell), "semicolon-name", reason, "kept"))


def _respelled(raw: str, name: str, claims: Claims) -> None:
    reason = f"{quoted(raw)} is written {name!r} here, in Unicode's composed form, so that one name has one spelling"
    claims.problems.append(Problem(raw, "respelled-name", reason, "converted"))


def _passed_over(name: str) -> bool:
    """Documentation and hidden files, which nobody takes for data."""
    path = PurePosixPath(name)
    if path.suffix.lower() in _IMAGE_ENDINGS:
        return False
    return any(part.startswith(".") for part in path.parts) or (
        len(path.parts) == 1 and path.stem.lower() in _DOCUMENTS
    )
