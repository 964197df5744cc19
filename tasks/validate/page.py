"""The page of a validation: Markdown for the Prefect UI and the docs, and one HTML file in the look of a statement.

What is said is decided in `sections`; here it is written, with every name escaped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from tasks.publish import numbers, plots, text
from tasks.publish.report import environment
from tasks.validate.blocks import Answer, Block, Cell, Picture, Section, Table
from tasks.validate.sections import sections
from tasks.validate.types import Validation

LIMIT = 200_000  # bytes of one Markdown artifact: Prefect keeps it in its database
_LONGEST = 1000  # characters of one sentence
_HARMLESS = re.compile(
    "&#(37|39|40|41|44|46|47|58|59|61|63);"
)  # % ' ( ) , . / : ; = ? begin no markup inside a sentence
_LEFT_OUT = "(Left out here to keep this page small; it is in validation.html.)"


@dataclass(frozen=True)
class _Line:
    """A block of Markdown; what: whether it may be left out, and how soon."""

    words: str
    what: str = "words"  # words | table | picture


def page(found: Validation, *, folder: str | None = None) -> str:
    """The page as Markdown, below 200 kB.

    folder: address of a folder with `pictures(found)`, to point to them; without one they stand in the page itself, as far
    as there is room.
    """
    head = [_Line(f"# {_title(found)}", "words"), _Line(_readable(_lead(found)))]
    lines = [*head, *(line for section in sections(found) for line in _markdown(section, folder))]
    for what in ("picture", "table", "words"):
        lines = _fitted(lines, what)
    return "\n\n".join(line.words for line in lines) + "\n"


def pictures(found: Validation) -> dict[str, bytes]:
    """Every picture of the page, by the name of its file."""
    blocks = (block for section in sections(found) for part in section.parts for block in part.blocks)
    return {block.name: block.svg for block in blocks if isinstance(block, Picture)}


def html(found: Validation) -> str:
    """The page as one HTML file, complete in itself; the same findings give the same text."""
    shown = environment().overlay(loader=jinja2.FileSystemLoader([Path(__file__).parent, Path(plots.__file__).parent]))
    return shown.get_template("validation.html.j2").render(
        title=_title_plain(found),
        lead=_lead(found),
        meta=f"Run {text.plain(found.run)}, {numbers.moment(found.created.isoformat())}",
        sections=sections(found),
        kind=_kind,
        name=_cell_html,
        picture=lambda picture: Markup(picture.svg.decode()),
        tied=_tied,
        colours={"above": plots.ABOVE, "below": plots.BELOW, "open": plots.OPEN},
    )


def _title_plain(found: Validation) -> str:
    return f"Validation: {text.plain(found.study)}"


def _title(found: Validation) -> str:
    return f"Validation: {text.markdown(found.study)}"


def _lead(found: Validation) -> str:
    many = found.coalitions_of_one_size + found.coalitions_across
    return (
        f"The study's credits held against {many:,} models retrained from scratch, unpruned, on coalitions of its "
        f"{len(found.contributors):,} contributors, in epoch {found.epoch}. Values are signed so that more is better."
    )


def _kind(block: Block) -> str:
    return {Table: "table", Picture: "picture", Answer: "answer"}.get(type(block), "words")


def _tied(sentence: str) -> str:
    """A percent sign stays on the line of its number. Names in the sentence are made visible."""
    return text.plain(sentence, _LONGEST).replace(" %", "\u00a0%")


def _cell_html(cell: Cell) -> Markup:
    words = text.html(cell.words, 60) if cell.words else Markup("")
    if not cell.beside:
        return words
    return Markup('{} <span class="range">{}</span>').format(words, text.plain(cell.beside, 120))


def _markdown(section: Section, folder: str | None) -> list[_Line]:
    lines = [_Line(f"## {section.title}")]
    for part in section.parts:
        if part.title:
            lines.append(_Line(f"### {text.markdown(part.title)}"))
        lines += [_block(block, folder) for block in part.blocks]
    return lines


def _block(block: Block, folder: str | None) -> _Line:
    if isinstance(block, Table):
        return _Line(_table(block), "table")
    if isinstance(block, Picture):
        where = f"{folder}/{block.name}" if folder else plots.data_uri(block.svg, "image/svg+xml")
        return _Line(f"![{text.markdown(block.name)}]({where})\n\n{_readable(block.caption)}", "picture")
    if isinstance(block, Answer):
        return _Line(f"**{_readable(block.question)}** {_readable(block.answer)}")
    return _Line(_readable(block))


def _table(table: Table) -> str:
    heads = [_readable(head) for head in table.head]
    lines = [
        f"| {' | '.join(heads)} |",
        f"|{'|'.join(':---' if place in table.words else '---:' for place in range(len(heads)))}|",
    ]
    for place, row in enumerate(table.rows):
        cells = [_cell(cell) for cell in row]
        if place in table.own and cells[0]:
            cells[0] = f"**{cells[0]}**"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(cell: Cell) -> str:
    words = _unescaped(text.markdown(cell.words, 60)) if cell.words else ""
    beside = _unescaped(text.markdown(cell.beside, 120)) if cell.beside else ""
    together = f"{words} ({beside})" if beside else words
    return together.replace(" ", "\u00a0") if len(together) < 30 else together


def _readable(sentence: str) -> str:
    """A sentence as Markdown that can be read in its source too; what could begin markup is escaped."""
    return _unescaped(text.markdown(sentence, _LONGEST))


def _unescaped(escaped: str) -> str:
    return _HARMLESS.sub(lambda match: chr(int(match[1])), escaped)


def _fitted(lines: list[_Line], what: str) -> list[_Line]:
    """Without the last blocks of a kind, as many as it takes for the page to fit."""
    spare = LIMIT - sum(len(line.words.encode()) + 2 for line in lines)
    fitted = list(lines)
    for place in range(len(lines) - 1, -1, -1):
        line = lines[place]
        if spare >= 0:
            break
        if line.what == what and len(line.words.encode()) > len(_LEFT_OUT):
            fitted[place] = _Line(_LEFT_OUT)
            spare += len(line.words.encode()) - len(_LEFT_OUT)
    return fitted
