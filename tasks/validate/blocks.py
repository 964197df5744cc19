"""What a page is made of, before it is Markdown or HTML. Names are as they came: who renders them escapes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cell:
    """A figure or a name, and what stands smaller beside it: its interval."""

    words: str
    beside: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells under heads. words: columns of words, the others are of figures; own: rows of the study's own. Both are
    places from 0."""

    head: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    words: frozenset[int] = frozenset({0})
    own: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Picture:
    """name: of its file, plain ASCII and unique in the page."""

    name: str
    svg: bytes
    caption: str


@dataclass(frozen=True)
class Answer:
    """A question and its answer, in one paragraph."""

    question: str
    answer: str


Block = str | Answer | Table | Picture


@dataclass(frozen=True)
class Part:
    """What is said of one property, or, without a title, of all."""

    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Section:
    """One heading of the page. anchor: plain ASCII, unique in the page."""

    anchor: str
    title: str
    parts: list[Part] = field(default_factory=list)
