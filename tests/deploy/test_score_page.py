"""The page of a score: whole, without other files, with the numbers that score gives."""

import re
from html.parser import HTMLParser

import pytest

from osim_exo.cli import main
from osim_exo.deploy.log import read_log
from osim_exo.deploy.score import score
from osim_exo.deploy.score_page import compare, page
from osim_exo.io import write_trial
from tests.deploy.device import Bench, settings
from tests.deploy.test_score import sine_log, sine_trial

pytest.importorskip("cobs", reason="the extra deploy is not installed")


class Tags(HTMLParser):
    """Tags that are open, and links to elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.seen = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in ("meta", "line", "polygon", "polyline"):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        if tag not in ("line", "polygon", "polyline"):
            assert self.open.pop() == tag


def test_a_page_holds_table_and_curves_and_needs_no_other_file():
    text = page([compare(sine_log(0.3), sine_trial())], "Walk <1>", ["A remark & more."])
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.links == []
    assert {"table", "svg", "polyline"} <= tags.seen
    assert "Walk &lt;1&gt;" in text and "A remark &amp; more." in text
    both = score(sine_log(0.3), sine_trial())[-1]
    assert f"{both.r:.3g}" in text
    assert text.count("<svg") == 2


def test_curves_lie_within_their_drawing():
    text = page([compare(sine_log(0.0, share=3.0), sine_trial())], "t")
    for points in re.findall(r"points='([^']+)'", text):
        for pair in points.split():
            x, y = map(float, pair.split(","))
            assert 0.0 <= x <= 430.0 and 0.0 <= y <= 230.0


def test_a_torque_that_never_moves_has_no_correlation_on_the_page():
    text = page([compare(sine_log(0.0, share=0.0), sine_trial())], "t")
    assert "<td>–</td>" in text


def test_the_command_writes_the_page(tmp_path):
    run = Bench(tmp_path, settings("spline"))
    run.run(12.0)
    write_trial(sine_trial(), tmp_path / "trial")
    words = ["deploy", "score", str(run.path), "--against", str(tmp_path / "trial")]
    assert main([*words, "--report", str(tmp_path / "page.html")]) == 0
    assert "computed" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert read_log(run.path).settings.arm is False
