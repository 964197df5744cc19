"""Studies as YAML that nobody would write: the presets with hostile values, and changed in their characters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.hostile.data import ALLOWED, REFUSED

PRESETS = [path.read_text(encoding="utf-8") for path in sorted(Path("deployments/studies").glob("*.yaml"))]
_LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [*{p}, *{p}, *{p}]\n" for p, c in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True)
)
_SNIPPETS = (
    "!!python/object/apply:os.system ['touch /tmp/never']", "!!python/name:os.system", "2001-99-99", "0b_", "0x_", "1:99999",
    "&a [*a]", "&b {b: *b}", "<<: *x", "? [1]\n: 2", "{[1]: 2}", "[" * 3000, "{a: " * 1500, "!!binary '%%'", "!!set {a, b}",
    "!!timestamp 2001-13-45", "---\n---", "%YAML 9.9", "\x00", "\ufeff", ".inf", ".nan", "1e400", "9" * 5000, "~", "yes",
    "=", _LAUGHS,    "!!int 'x'", "!!float 'x'", "!!timestamp x", "!!omap [a]", "!!pairs [a]",
)  # fmt: skip
_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from((*ALLOWED, *[name.replace("\ud800", "?") for name in REFUSED])),
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)  # fmt: skip


@st.composite
def studies(draw: st.DrawFn) -> str:
    """The text of a preset."""
    text = draw(st.sampled_from(PRESETS))
    how = draw(st.sampled_from(("values", "characters", "snippet", "text")))
    if how == "values":
        study = yaml.safe_load(text)
        for _ in range(draw(st.integers(1, 4))):
            section = draw(st.sampled_from(sorted(study, key=str)))
            if isinstance(study[section], dict) and study[section] and draw(st.booleans()):
                study[section][draw(st.sampled_from(sorted(study[section], key=str)))] = draw(_VALUES)
            else:
                study[draw(st.one_of(st.just(section), st.text(max_size=5)))] = draw(_VALUES)
        return yaml.safe_dump(study, allow_unicode=draw(st.booleans()))
    if how == "snippet":
        snippet, lines = draw(st.sampled_from(_SNIPPETS)), text.split("\n")
        at = draw(st.integers(0, len(lines)))
        before = draw(st.sampled_from(("", "name: ", "data: ", "data:\n  url: ", "  only: ")))
        return "\n".join([*lines[:at], before + snippet, *lines[at:]]) if draw(st.booleans()) else before + snippet
    if how == "text":
        return draw(st.text(max_size=80))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.text(max_size=4)) + text[at + draw(st.integers(0, 8)) :]
    return text
