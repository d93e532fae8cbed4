"""An OpenSim model file as a tree that can be edited: lists, joints and forces by their tags.

OpenSim itself reads the file first, so an old format is brought up to date and every property is
spelled out; what is edited here is what OpenSim wrote.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from osim_exo.errors import InputError, ModelError
from osim_exo.models.recipe import load_opensim

if TYPE_CHECKING:
    import opensim

_COLONS = re.compile(r"(</?\w+)::(\w+)")
_DOTS = re.compile(r"(</?\w+)\.\.(\w+)")


def reason(error: Exception) -> str:
    """First lines of an OpenSim exception as one sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]).rstrip(".") + "."


@dataclass
class Document:
    """A model file under conversion.

    Attributes
    ----------
    root : the OpenSimDocument element
    source : name of the file it came from, for messages
    """

    root: Element
    source: str

    @classmethod
    def read(cls, source: Path) -> Document:
        """Read a model with OpenSim and spell out every property.

        Raises
        ------
        ModelError
            There is no such file, or OpenSim cannot make a model of it.
        """
        load_opensim()
        import opensim

        if not source.is_file():
            raise ModelError(
                f"There is no model file '{source}'. Give the path of an existing .osim file."
            )
        try:
            model = opensim.Model(str(source))
            model.finalizeConnections()
        except RuntimeError as error:
            raise ModelError(
                f"{source} cannot be read as an OpenSim model: {reason(error)} Open it in the "
                "OpenSim GUI to see what is wrong."
            ) from error
        document = cls(ElementTree.fromstring(_COLONS.sub(r"\1..\2", _text(model, full=True))), "")
        document.source = source.name
        # Every property is written out, so the defaults of the old classes have done their work.
        for defaults in document.model.findall("defaults"):
            document.model.remove(defaults)
        # OpenSim refuses a DeGrooteFregly2016Muscle that spells out this property, even at its
        # default, although it writes it.
        for muscle in document.model.iter("DeGrooteFregly2016Muscle"):
            for unused in muscle.findall("optimal_force"):
                muscle.remove(unused)
        return document

    @property
    def model(self) -> Element:
        """The Model element."""
        found = self.root.find("Model")
        if found is None:
            raise ModelError(
                f"{self.source} holds no Model element. Give an OpenSim model file (.osim)."
            )
        return found

    def objects(self, set_name: str) -> Element:
        """The list of a set, such as ``ForceSet`` or ``JointSet``; made if it is missing."""
        found = self.model.find(set_name)
        if found is None:
            found = ElementTree.SubElement(self.model, set_name, name=set_name.lower())
        listed = found.find("objects")
        return ElementTree.SubElement(found, "objects") if listed is None else listed

    def joints(self) -> list[Element]:
        """Every joint."""
        return list(self.objects("JointSet"))

    def forces(self) -> list[Element]:
        """Every force of the ForceSet, muscles and actuators too."""
        return list(self.objects("ForceSet"))

    def build(self) -> opensim.Model:
        """A new `opensim.Model` of the tree, connected and with its system initialised once.

        Raises
        ------
        ModelError
            OpenSim refuses the model as edited.
        """
        load_opensim()
        import opensim

        with tempfile.TemporaryDirectory(prefix="osim_exo_") as folder:
            path = Path(folder) / "model.osim"
            text = ElementTree.tostring(self.root, encoding="unicode")
            path.write_text(_DOTS.sub(r"\1::\2", text), encoding="utf-8")
            try:
                model = opensim.Model(str(path))
                model.initSystem()
            except RuntimeError as error:
                raise ModelError(
                    f"OpenSim refuses {self.source} as converted so far: {reason(error)} "
                    "Leave the part it names out with --drop NAME, or mend the file."
                ) from error
        return model


def text_of(model: opensim.Model) -> str:
    """The model file that OpenSim writes: only what differs from its defaults."""
    return _text(model, full=False)


def _text(model: opensim.Model, full: bool) -> str:
    import opensim

    with tempfile.TemporaryDirectory(prefix="osim_exo_") as folder:
        path = Path(folder) / "model.osim"
        opensim.OpenSimObject.setSerializeAllDefaults(full)
        try:
            model.printToXML(str(path))
        finally:
            opensim.OpenSimObject.setSerializeAllDefaults(False)
        return path.read_text(encoding="utf-8")


def value(element: Element, tag: str, default: str = "") -> str:
    """Text of a child element without blanks around it; `default` where there is none."""
    text = element.findtext(tag)
    return default if text is None else text.strip()


def number(element: Element, tag: str, default: float = 0.0) -> float:
    """Number in a child element."""
    text = value(element, tag)
    return float(text) if text else default


def is_true(element: Element, tag: str, default: bool = False) -> bool:
    """Flag in a child element."""
    text = value(element, tag).lower()
    return default if not text else text in ("true", "1")


def name_of(element: Element) -> str:
    """Name of a component, or its class where it has none."""
    return element.get("name") or element.tag


def put(element: Element, tag: str, text: str) -> Element:
    """Set the text of a child element, made if it is missing."""
    child = element.find(tag)
    if child is None:
        child = ElementTree.SubElement(element, tag)
    child.text = text
    return child


def numbers(values: Iterator[float] | list[float]) -> str:
    """Numbers as OpenSim writes a vector, to the last bit."""
    return " ".join(repr(float(v)) for v in values)


def listed(document: Document, arguments: list[str]) -> list[Element]:
    """Objects of further set files (ForceSet, ContactGeometrySet), read by OpenSim.

    Raises
    ------
    InputError
        A file is missing or holds another kind of set.
    """
    load_opensim()
    import opensim

    added = []
    for argument in arguments:
        path = Path(argument)
        kinds = {"ForceSet": opensim.ForceSet, "ContactGeometrySet": opensim.ContactGeometrySet}
        kind = _set_kind(path, tuple(kinds))
        try:
            text = kinds[kind](str(path)).dump()
        except RuntimeError as error:
            raise InputError(f"{path} cannot be read as a {kind}: {reason(error)}") from error
        target = document.objects(kind)
        found = ElementTree.fromstring(_COLONS.sub(r"\1..\2", text)).find("objects")
        for item in found if found is not None else []:
            target.append(item)
            added.append(item)
    return added


def _set_kind(path: Path, allowed: tuple[str, ...]) -> str:
    if not path.is_file():
        raise InputError(f"There is no file '{path}' to add. Give a {' or '.join(allowed)} file.")
    try:
        root = ElementTree.fromstring(
            _COLONS.sub(r"\1..\2", path.read_text(encoding="utf-8", errors="replace"))
        )
    except ElementTree.ParseError as error:
        raise InputError(
            f"{path} is not XML: {error}. Give a {' or '.join(allowed)} file."
        ) from None
    for kind in allowed:
        if root.find(kind) is not None:
            return kind
    holds = ", ".join(child.tag for child in root) or "nothing"
    raise InputError(f"{path} holds {holds}; allowed is a {' or a '.join(allowed)}.")
