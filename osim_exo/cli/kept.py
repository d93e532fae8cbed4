"""``osim-exo models cache``: what compiled models keep on the disk, and how to be rid of it."""

from __future__ import annotations

from dataclasses import dataclass

from osim_exo.cli.command import DONE, Command, JsonTarget, emit_json, output
from osim_exo.progress import Progress


@dataclass(frozen=True)
class ModelsCache(Command):
    """Show where compiled models are kept and how much they take; they can be built again."""

    clear: bool = False
    """delete them all"""

    json: JsonTarget = None

    def run(self, progress: Progress) -> int:
        """Count, delete if asked, and print."""
        from osim_exo.compiler.backends import cache

        place, files = cache.folder(), cache.files()
        megabytes = sum(path.stat().st_size for path in files) / 1e6
        deleted = cache.clear() if self.clear else 0
        if self.json is not None:
            facts = {"files": len(files), "megabytes": megabytes, "deleted": deleted}
            emit_json(self.json, {"folder": None if place is None else str(place), **facts})
            return DONE
        if place is None:
            output().print(f"Nothing is kept: {cache.ENVIRONMENT} is empty.")
            return DONE
        console = output()
        console.print(f"{place}: {len(files)} files, {megabytes:.1f} MB.")
        if self.clear:
            console.print(f"{deleted} files deleted.")
        else:
            console.print(f"Another folder: {cache.ENVIRONMENT}=FOLDER; empty: keep nothing.")
        return DONE
