"""A result's record says where it comes from and nothing about whose machine it was."""

import getpass
import json
import platform
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from osim_exo import provenance
from osim_exo.errors import InputError


class Walk(BaseModel):
    speed: float
    slope_deg: float = 0.0


def test_equal_settings_have_equal_hashes_whatever_their_order():
    one = provenance.config_hash({"speed": 1.25, "slope_deg": 0.0})
    assert one == provenance.config_hash({"slope_deg": 0.0, "speed": 1.25})
    assert one == provenance.config_hash(Walk(speed=1.25))
    assert re.fullmatch("[0-9a-f]{16}", one)


def test_hash_is_the_sha256_that_any_tool_computes():
    # printf '{"a":1}' | sha256sum
    assert provenance.config_hash({"a": 1}) == "015abd7f5cc57a2d"


def test_other_settings_have_another_hash():
    assert provenance.config_hash({"speed": 1.25}) != provenance.config_hash({"speed": 1.5})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_settings_that_cannot_be_stored_are_refused(value):
    with pytest.raises(InputError, match="cannot be stored"):
        provenance.config_hash({"speed": value})


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["osim-exo", "doctor", "--json"], "osim-exo doctor --json"),
        (["osim-exo", "compare", "/a/b/trials/x"], "osim-exo compare x"),
        (["osim-exo", "study", "--out=/a/b/out"], "osim-exo study --out=out"),
        (["osim-exo", "report", r"C:\Users\me\out"], "osim-exo report out"),
        (["osim-exo", "report", "~/results/one"], "osim-exo report one"),
        (["osim-exo", "report", "results/one"], "osim-exo report results/one"),
    ],
)
def test_command_lines_lose_their_absolute_paths(arguments, line):
    assert provenance.public_command(arguments) == line


def test_record_is_json_and_complete():
    record = provenance.provenance(Walk(speed=1.25), seed=7, command=["osim-exo", "study"])
    json.dumps(record, allow_nan=False)
    assert record["config"] == {"speed": 1.25, "slope_deg": 0.0}
    assert record["config_hash"] == provenance.config_hash(Walk(speed=1.25))
    assert record["seed"] == 7
    assert record["command"] == "osim-exo study"
    assert record["versions"]["python"] == platform.python_version()
    assert record["machine"]["cores"] >= 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["created"])


def test_record_names_neither_user_nor_host_nor_folder():
    text = json.dumps(provenance.provenance(command=[str(Path.cwd() / "osim-exo")]))
    assert str(Path.cwd()) not in text
    assert str(Path.home()) not in text
    assert f'"{platform.node()}"' not in text
    assert f'"{getpass.getuser()}"' not in text


def test_git_state_is_a_commit_or_nothing():
    state = provenance.git_state()
    if state is not None:
        assert re.fullmatch("[0-9a-f]{40}", state["commit"])
        assert isinstance(state["changed"], bool)


def test_a_machine_without_git_has_no_commit(monkeypatch):
    def missing(*_args: object, **_kwargs: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(provenance.subprocess, "run", missing)
    assert provenance.git_state() is None
