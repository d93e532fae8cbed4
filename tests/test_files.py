"""Files are written whole or not at all, and no run writes into another run's folder."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from osim_exo import files
from osim_exo.errors import DataError, InputError


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_written_text_is_read_back_byte_for_byte(tmp_path):
    path = files.write_text(tmp_path / "new" / "deep" / "a.txt", "muscle\nfibre µm\n")
    assert path.read_bytes() == "muscle\nfibre µm\n".encode()
    assert names(path.parent) == ["a.txt"]


def test_json_round_trip_and_form(tmp_path):
    path = files.write_json(tmp_path / "a.json", {"value": 0.1, "none": None, "list": [1, 2]})
    assert files.read_json(path) == {"value": 0.1, "none": None, "list": [1, 2]}
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize("content", [{"a": float("nan")}, {"a": float("inf")}, {"a": object()}])
def test_what_json_has_no_form_for_is_refused_and_the_old_file_stays(tmp_path, content):
    path = files.write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(DataError, match="finite"):
        files.write_json(path, content)
    assert files.read_json(path) == {"a": 1}


def test_a_crash_while_writing_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    path = files.write_text(tmp_path / "a.txt", "old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_interrupt_while_writing_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch):
    path = files.write_text(tmp_path / "a.txt", "old")

    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_writing_over_a_folder_or_under_a_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="it is a folder"):
        files.write_text(tmp_path, "x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="folder is a file"):
        files.write_text(tmp_path / "file" / "a.txt", "x")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.skipif(os.name != "posix", reason="file modes and links as POSIX has them")
def test_mode_is_readable_by_others_and_links_are_kept(tmp_path):
    path = files.write_text(tmp_path / "a.txt", "1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.chmod(0o600)
    link = tmp_path / "link.txt"
    link.symlink_to(path)
    files.write_text(link, "2")
    assert link.is_symlink()
    assert path.read_text() == "2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no device files on this system")
def test_a_device_is_written_to_and_not_replaced():
    files.write_text(os.devnull, "x")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{'a': 1}", "line 1, column 2"), (b"\xff\xfe\x00", "UTF-8"), (b"", "not JSON")],
)
def test_malformed_json_is_a_data_error_that_names_the_file(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        files.read_json(tmp_path / "a.json")
    assert "a.json" in str(caught.value)


def test_missing_json_and_a_folder_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        files.read_json(tmp_path / "none.json")
    with pytest.raises(DataError, match="a folder"):
        files.read_json(tmp_path)


MARKER = {"study": "level_walking", "config_hash": "0123456789abcdef"}


def test_a_new_folder_is_claimed_and_then_taken_up_again(tmp_path):
    out = tmp_path / "results" / "level_walking"
    assert files.claim_output(out, MARKER) is False
    assert files.read_json(out / "study.json") == MARKER
    files.write_json(out / "study.json", {**MARKER, "provenance": {"created": "now"}})
    assert files.claim_output(out, MARKER) is True
    assert "provenance" in files.read_json(out / "study.json")


@pytest.mark.parametrize("change", [{"study": "other"}, {"config_hash": "f" * 16}])
def test_another_studys_folder_is_refused_and_left_alone(tmp_path, change):
    files.claim_output(tmp_path, MARKER)
    before = (tmp_path / "study.json").read_bytes()
    (key, value), *_ = change.items()
    with pytest.raises(InputError, match=f"{key}: there .*{MARKER[key]}.*, now .*{value}"):
        files.claim_output(tmp_path, {**MARKER, **change})
    assert (tmp_path / "study.json").read_bytes() == before
    assert names(tmp_path) == ["study.json"]


@pytest.mark.parametrize("name", files.RESULTS)
def test_results_without_a_record_are_refused_and_left_alone(tmp_path, name):
    (tmp_path / name).write_text("someone's")
    with pytest.raises(InputError, match=f"holds results .*{name}"):
        files.claim_output(tmp_path, MARKER)
    assert names(tmp_path) == [name]


def test_other_files_in_the_folder_do_not_matter(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert files.claim_output(tmp_path, MARKER) is False
    assert names(tmp_path) == ["notes.txt", "study.json"]


@pytest.mark.parametrize("content", ["not json", "[1, 2]"])
def test_an_unreadable_record_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(InputError, match="cannot be read as a study's record"):
        files.claim_output(tmp_path, MARKER)
    assert (tmp_path / "study.json").read_text() == content


def test_a_file_as_output_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="is a file"):
            files.claim_output(folder, MARKER)


@pytest.mark.skipif(sys.platform == "win32", reason="folder modes as POSIX has them")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written to"):
        files.claim_output(tmp_path / "out", MARKER)


def test_a_folder_that_the_system_refuses_is_an_input_error(tmp_path, monkeypatch):
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "NamedTemporaryFile", refuse)
    with pytest.raises(InputError, match=r"cannot be written to \(Permission denied\)"):
        files.claim_output(tmp_path, MARKER)
    assert names(tmp_path) == []


def test_to_json_is_what_a_strict_reader_accepts():
    text = files.to_json({"a": [1.5, None, "ü"]})
    assert json.loads(text, parse_constant=lambda c: pytest.fail(c)) == {"a": [1.5, None, "ü"]}
