"""The references a report may cite: read from references.bib, numbered as they are cited."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from osim_exo.errors import InputError

CITATION = re.compile(r"\[@([a-z0-9]+(?:; ?@[a-z0-9]+)*)\]")
"""A citation in a text: ``[@dembia2020]`` or ``[@delp2007; @seth2018]``."""

_ENTRY = re.compile(r"^@(\w+)\{([^,\s]+),\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?\s*$", re.MULTILINE)
_ACCENTS = {r"{\'i}": "í", r"{\"a}": "ä", r"\&": "&", "--": "–"}


@dataclass(frozen=True)
class Reference:
    """One entry of the bibliography.

    Attributes
    ----------
    key : what a text cites
    fields : by name, as in the file
    source : the entry's BibTeX text
    """

    key: str
    fields: Mapping[str, str]
    source: str

    def field(self, name: str) -> str:
        """A field as plain text; empty where the entry does not have it."""
        text = self.fields.get(name, "")
        for tex, plain in _ACCENTS.items():
            text = text.replace(tex, plain)
        return text.replace("{", "").replace("}", "")

    @property
    def authors(self) -> str:
        """Surnames with initials; from the seventh author on ``et al.``."""
        people = []
        for person in self.field("author").split(" and "):
            surname, _, given = person.partition(", ")
            people.append(f"{surname} {''.join(part[0] for part in given.split())}")
        return ", ".join(people[:6]) + (" et al." if len(people) > 6 else "")

    @property
    def text(self) -> str:
        """The reference as a line of a reference list, without the DOI."""
        head = f"{self.authors} ({self.field('year')}). {self.field('title')}."
        if self.field("journal"):
            issue = f"({self.field('number')})" if self.field("number") else ""
            where = f"{self.field('journal')} {self.field('volume')}{issue}:{self.field('pages')}."
        else:
            edition = f"{self.field('edition')}th edition. " if self.field("edition") else ""
            where = f"{edition}{self.field('publisher')}."
        return f"{head} {where}"


@lru_cache(maxsize=1)
def bibliography() -> Mapping[str, Reference]:
    """Every reference of the package by its key."""
    file = resources.files("osim_exo.analysis").joinpath("references.bib")
    entries = _ENTRY.finditer(file.read_text(encoding="utf-8"))
    return {
        match.group(2): Reference(
            match.group(2), dict(_FIELD.findall(match.group(3))), match.group(0)
        )
        for match in entries
    }


def cited(texts: Iterable[str]) -> tuple[Reference, ...]:
    """References that texts cite, in the order of their first citation.

    Raises
    ------
    InputError
        A text cites a key that the bibliography does not have.
    """
    keys: dict[str, None] = {}
    for text in texts:
        for group in CITATION.findall(text):
            keys.update(dict.fromkeys(re.findall(r"[a-z0-9]+", group)))
    known = bibliography()
    missing = sorted(set(keys) - set(known))
    if missing:
        raise InputError(
            f"No reference {', '.join(missing)} in references.bib. There are: "
            f"{', '.join(sorted(known))}."
        )
    return tuple(known[key] for key in keys)


def numbered(text: str, references: Iterable[Reference]) -> str:
    """The text with ``[@key]`` replaced by the numbers of the references, as ``[3, 4]``."""
    numbers = {reference.key: i for i, reference in enumerate(references, start=1)}

    def number(match: re.Match[str]) -> str:
        found = sorted(numbers[key] for key in re.findall(r"[a-z0-9]+", match.group(1)))
        return "[" + ", ".join(str(n) for n in found) + "]"

    return CITATION.sub(number, text)


def bibtex(references: Iterable[Reference]) -> str:
    """Text of a .bib file with the references."""
    return "\n\n".join(reference.source for reference in references) + "\n"
