"""The folder of a run: settings, provenance, measurements, checkpoint, policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from osim_exo.errors import DataError, InputError, MissingExtraError
from osim_exo.files import read_json, writable_folder, write_json, write_text
from osim_exo.learn import checkpoint
from osim_exo.provenance import config_hash, provenance

CONFIG, PROVENANCE, SUMMARY = "config.json", "provenance.json", "summary.json"
METRICS, POLICY = "metrics.jsonl", "policy"


class RunFolder:
    """A run's folder; nothing finished in it is ever lost.

    Parameters
    ----------
    folder : path
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder)
        self.checkpoint = self.path / checkpoint.FILE
        self.policy = self.path / POLICY
        self._metrics = self.path / METRICS

    def check_free(self) -> None:
        """Make sure that a new run can be written here; nothing is written yet.

        Raises
        ------
        InputError
            It cannot be written to, or holds something already.
        """
        writable_folder(self.path)
        held = sorted(p.name for p in self.path.iterdir() if not p.name.startswith("."))
        if held:
            more = " and others" if len(held) > 4 else ""
            raise InputError(
                f"The folder '{self.path}' is not empty ({', '.join(held[:4])}{more}). Nothing was "
                "changed. Name another with --out, or go on with the run there with --resume."
            )

    def begin(self, config: Mapping[str, Any], seed: int) -> None:
        """Take the folder for a new run; raises as `check_free`."""
        self.check_free()
        write_json(self.path / CONFIG, dict(config))
        write_json(self.path / PROVENANCE, provenance(config, seed=seed))

    def config(self) -> dict[str, Any]:
        """Settings of the run that the folder holds.

        Raises
        ------
        DataError
            It holds no run, or its settings were changed since it began.
        """
        if not (self.path / CONFIG).is_file():
            raise DataError(f"'{self.path}' is not the folder of a training run: no {CONFIG}.")
        config = read_json(self.path / CONFIG)
        record = read_json(self.path / PROVENANCE)
        if not isinstance(config, dict) or config_hash(config) != record.get("config_hash"):
            raise DataError(
                f"'{self.path / CONFIG}' was changed since the run began. A run goes on with its "
                "own settings only; start a new one in another folder."
            )
        return config

    def add(self, facts: Mapping[str, float]) -> None:
        """Append one line of measurements."""
        with self._metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({k: _short(v) for k, v in facts.items()}) + "\n")

    def metrics(self) -> list[dict[str, float]]:
        """Measurements of all iterations so far; a line that a crash cut short is left out."""
        if not self._metrics.is_file():
            return []
        found = []
        for line in self._metrics.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return found

    def keep_metrics(self, iterations: int) -> list[dict[str, float]]:
        """Drop measurements beyond these iterations; they will be made again."""
        kept = [row for row in self.metrics() if row["iteration"] < iterations]
        write_text(self._metrics, "".join(json.dumps(row) + "\n" for row in kept))
        return kept

    def close(self, status: str, facts: Mapping[str, Any]) -> None:
        """Say how the run stands: ``finished``, ``converged``, ``interrupted`` or ``failed``."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.path / SUMMARY, {"status": status, "ended": now, **facts})

    def summary(self) -> dict[str, Any]:
        """What `close` wrote; empty if the run was never closed."""
        path = self.path / SUMMARY
        found = read_json(path) if path.is_file() else {}
        return dict(found) if isinstance(found, dict) else {}


def _short(value: float) -> float | int:
    """A number with six digits: enough to plot, and half the file."""
    number = float(value)
    return int(number) if number.is_integer() and abs(number) < 1e15 else float(f"{number:.6g}")


class Board:
    """Event files for TensorBoard.

    Parameters
    ----------
    folder : where they go
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("tensorboard", "learn") from error
        self._writer: Any = SummaryWriter(str(folder))

    def add(self, facts: Mapping[str, float], step: int) -> None:
        """Write one iteration."""
        for name, value in facts.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
