"""The report says what the comparison holds, names what it compares with, and loads nothing."""

import base64
import re
from html.parser import HTMLParser

import pytest

from osim_exo.analysis.arms import arms_of
from osim_exo.analysis.compare import compare
from osim_exo.analysis.contents import build
from osim_exo.analysis.findings import Findings, walks_of_rows
from osim_exo.analysis.inference import cluster_words, marks
from osim_exo.analysis.pdf import write_pdf
from osim_exo.analysis.report import gate_table, render, write_report
from osim_exo.analysis.summary import summarise
from osim_exo.results import MeasuredWalk
from osim_exo.trial import Trial
from osim_exo.units import grade_percent
from tests.browser import visit
from tests.synthetic import replaced, three_arms, walking_trial

UNITS = ("virtual subject", "virtual subjects")
STUDY = {
    "name": "level_walking",
    "title": "Level walking",
    "question": "Does it help?",
    "configuration": {
        "exo": {"limits": {"max_torque": 15.0, "rate_limit": 250.0}},
        "weights": {"effort": 1.0, "metabolic": 0.0},
        "stride_time": {"fixed": None, "low": 0.9, "high": 1.4},
    },
    "provenance": {
        "created": "2026-01-02T03:04:05+00:00",
        "command": "osim-exo study run level_walking",
        "versions": {"opensim": "4.6"},
        "seed": 7,
        "config_hash": "0123456789abcdef",
    },
    "gates": {
        "s0_no_exo": [
            {
                "name": "converged",
                "value": True,
                "limit": "yes",
                "passed": True,
                "explanation": "a",
            },
            {"name": "reserve", "value": 0.2, "limit": 0.05, "passed": False, "explanation": "b"},
        ],
        "s0_assisted": [
            {"name": "reserve", "value": 0.01, "limit": 0.05, "passed": True, "explanation": "b"}
        ],
    },
}


class Page(HTMLParser):
    """Tags with attributes, text by section, and whether every element is closed."""

    VOID = {"meta", "link", "input", "br", "img"}

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.problems, self.words = [], [], [], []
        self.feed(text)
        self.close()
        self.problems += [f"{tag} is never closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes another element")

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(trials, study=None):
    return Page(render(build(compare(trials), trials, study)))


def summary_of(trials):
    rows = compare(trials).rows
    (walk,) = walks_of_rows(rows)
    return summarise(Findings(rows, walk), UNITS)


def said(summary):
    return " ".join(summary.sentences).replace("\u00a0", " ")


def without_muscles(trial: Trial) -> Trial:
    return Trial.build(
        trial.time,
        replaced(trial, physics="measured").info,
        coordinates=trial.coordinates,
        speeds=trial.speeds,
        grf=trial.grf,
    )


def test_report_is_well_formed_and_every_link_has_its_target():
    page = page_of(three_arms(2), STUDY)
    assert page.problems == []
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [a["href"] for t, a in page.tags if t == "a" and a.get("href", "").startswith("#")]
    assert links and {link[1:] for link in links} <= set(ids)


def test_report_refers_to_nothing_outside_itself(tmp_path):
    text = write_report(tmp_path, compare(three_arms(2)), three_arms(2), STUDY).read_text("utf-8")
    for tag, attrs in Page(text).tags:
        for name in ("src", "href", "xlink:href", "action", "poster", "data", "srcset"):
            value = attrs.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    assert not re.search(r"url\((?!#|var)|@import|fetch\(|XMLHttpRequest|new Image", text)


def test_report_of_five_subjects_stays_small_and_has_its_bib_beside(tmp_path):
    trials = three_arms(5)
    path = write_report(tmp_path / "out" / "report.html", compare(trials), trials, STUDY)
    assert path.stat().st_size < 3e6
    beside = (tmp_path / "out" / "report.bib").read_text("utf-8")
    assert beside.count("@article") >= 5
    link = next(a for t, a in Page(path.read_text("utf-8")).tags if t == "a" and "download" in a)
    assert base64.b64decode(link["href"].split(",", 1)[1]).decode() == beside


def test_names_of_users_never_become_markup():
    nasty = "<script>alert(1)</script>"
    trials = [
        replaced(
            t, subject=f"{nasty}{t.info.subject}", name=f"{nasty}&{t.info.name}\"'", model=nasty
        )
        for t in three_arms(2)
    ]
    study = {
        "title": nasty,
        "question": nasty,
        "name": nasty,
        "provenance": {nasty: nasty},
        "configuration": {"a": nasty},
        "gates": {nasty: [{"name": nasty, "value": nasty, "limit": nasty, "passed": False,
                           "explanation": nasty}]},
    }  # fmt: skip
    html = render(build(compare(trials), trials, study))
    assert "<script>alert" not in html
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 2
    assert nasty in Page(html).text


@pytest.mark.slow
def test_report_opens_offline_without_a_console_message(tmp_path):
    trials = [
        replaced(t, subject=f"<script>window.hacked=1</script>{t.info.subject}")
        for t in three_arms(2) + three_arms(2, slope_deg=5.0, controller=None)
    ]
    path = write_report(tmp_path, compare(trials), trials, STUDY)
    probe = """
      const p = document.querySelector('.player').osimPlayer, before = p.scrubber.value;
      p.field('play').click();
      for (let i = 0; i < 600 && p.scrubber.value === before; i += 1) {
        await new Promise(r => requestAnimationFrame(r));
      }
      const figure = document.querySelector('figure svg').getBoundingClientRect();
      return {hacked: window.hacked || 0, before, after: p.scrubber.value, width: figure.width,
              sideways: document.documentElement.scrollWidth > innerWidth};
    """
    seen = visit(path, probe, tmp_path)
    assert seen.console == []
    assert seen.requests == []
    assert seen.seen["hacked"] == 0
    assert float(seen.seen["after"]) > float(seen.seen["before"])
    assert seen.seen["width"] > 600
    assert not seen.seen["sideways"]


@pytest.mark.slow
def test_the_browser_check_would_notice_an_error(tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<!doctype html><html><body><img src='other.png'><script>missing()</script></body></html>",
        "utf-8",
    )
    seen = visit(page, "return 1;", tmp_path)
    assert any("Uncaught" in line for line in seen.console)
    assert [address.rsplit("/", 1)[1] for address in seen.requests] == ["other.png"]


def test_one_subject_gives_no_interval_and_the_summary_says_why():
    text = said(summary_of(three_arms(1)))
    assert "n = 1, no interval" in text
    assert "95 %" not in text
    assert "no interval and no p-value" in text
    assert "not what people do" in text
    page = page_of(three_arms(1))
    assert "there is no interval and no p-value" in page.text
    assert "Effect sizes and tests" not in page.text


def test_summary_names_comparator_interval_and_n():
    trials = three_arms(5)
    rows = compare(trials).rows
    row = next(
        r
        for r in rows
        if r["name"] == "metabolic_rate_bhargava2004"
        and (r["condition"], r["comparator"]) == ("assisted", "no_exo")
        and r["group"]["subject"] is None
    )
    text = said(summary_of(trials))
    assert f"costs {-row['change_percent']:.1f} % less gross metabolic power" in text
    assert "than walking without the exo (Bhargava 2004; 95 % interval" in text
    assert f"−{-row['change_ci_low']:.1f} to −{-row['change_ci_high']:.1f} %, n = 5" in text
    assert "mass penalty of +" in text and "torque benefit of −" in text
    assert "agree on the direction" in text


def test_interval_over_zero_is_called_no_clear_change():
    trials = []
    for i, peak in enumerate((8.0, -8.0, 7.0, -7.0)):
        for condition in ("no_exo", "zero_torque", "assisted"):
            trials.append(walking_trial(condition, f"s{i}", peak_torque=peak, exo_mass=0.0))
    assert "includes zero: this is no clear change" in said(summary_of(trials))


def test_large_saving_and_large_ratio_are_flagged_in_plain_words():
    trials = three_arms(2)
    lazy = [
        walking_trial(t.info.condition, t.info.subject, 0.6, body_mass=t.info.body_mass,
                      peak_torque=3.0)
        if t.info.condition == "assisted"
        else t
        for t in trials
    ]  # fmt: skip
    summary = summary_of(lazy)
    flags = " ".join(summary.flags).replace("\u00a0", " ")
    assert "energy ratio is" in flags and "above 4" in flags
    assert re.search(r"Savings above 10 %: \d\d\.\d % against no exo \(Bhargava 2004\)", flags)
    assert "optimistic estimate, not as a prediction" in flags
    page = page_of(lazy)
    assert "Doubtful." in page.text
    assert "⚠ saving above 10 %" in page.text
    assert not summary_of(trials).flags


def test_table_holds_the_comparisons_numbers():
    trials = three_arms(3)
    comparison = compare(trials)
    contents = build(comparison, trials)
    row = next(
        r
        for r in contents.parts[0].tables[0].rows
        if r.label.startswith("Metabolic rate, gross (B")
    )
    known = next(r for r in comparison.table() if r["metric"] == "metabolic_rate_bhargava2004")
    shown = [cell.text.replace("−", "-") for cell in (*row.values, *row.changes)]
    assert shown[:3] == [f"{known[c]:.2f}" for c in ("no_exo", "zero_torque", "assisted")]
    for text, key in zip(
        shown[3:], ("mass_penalty_percent", "torque_benefit_percent", "net_percent")
    ):
        assert float(text.replace(" %", "")) == pytest.approx(known[key], abs=0.051)


@pytest.mark.parametrize(
    "conditions",
    [("no_exo",), ("zero_torque",), ("no_exo", "zero_torque"), ("zero_torque", "assisted")],
)
def test_any_subset_of_arms_gives_a_report(conditions):
    trials = [t for t in three_arms(2) if t.info.condition in conditions]
    page = page_of(trials)
    assert page.problems == []
    if "assisted" in conditions:
        assert "than wearing it with zero torque" in page.text
    elif len(conditions) == 2:
        assert "wearing the exo with zero torque costs" in page.text
    else:
        assert "nothing to compare" in page.text


def test_two_controllers_are_told_apart():
    trials = three_arms(2) + [
        walking_trial(
            "assisted", f"s{i}", controller="spline", body_mass=60.0 + 4 * i, peak_torque=4
        )
        for i in range(2)
    ]
    assert [a.label for a in arms_of(trials)][2:] == [
        "exo, assisted (optimal control)",
        "exo, assisted (spline profile)",
    ]
    page = page_of(trials)
    assert "assisting exo (spline profile) costs" in page.text
    assert "Comparison, exo, assisted (optimal control)" in page.text
    assert len({a.colour for a in arms_of(trials)}) == 4


def test_measured_walk_without_muscles_gives_a_report_that_says_what_is_missing():
    trials = [
        replaced(without_muscles(walking_trial(c, n_strides=3)), stride=False)
        for c in ("no_exo", "assisted")
    ]
    page = page_of(trials)
    assert page.problems == []
    assert "no muscle states, so there are no metabolic rates" in page.text
    assert "What could not be computed" in page.text
    assert "data-osim-player" not in str(page.tags)
    assert "OpenSim" not in " ".join(build(compare(trials), trials).methods.plain)


def test_several_walks_are_grouped_with_grade_beside_degrees():
    trials = three_arms(2) + three_arms(2, slope_deg=-5.0, speed=1.0)
    page = page_of(trials)
    grade = f"5° downhill ({grade_percent(5.0):.1f} % grade)"
    assert f"1 m/s, {grade}" in page.text
    assert "over speed and slope" in page.text
    sections = [a.get("id") for t, a in page.tags if t == "section"]
    assert {"v1p25s0", "v1sm5"} <= set(sections)


def test_intervals_over_seeds_are_labelled():
    trials = [
        walking_trial(c, "reference", seed=seed, scale=1 + 0.01 * seed)
        for seed in (1, 2, 3)
        for c in ("no_exo", "zero_torque", "assisted")
    ]
    page = page_of(trials)
    assert "not how people vary" in page.text
    assert "n = 3 training seeds" in page.text.replace("\u00a0", " ")


def test_gates_count_and_name_failures():
    page = page_of(three_arms(1), STUDY)
    assert "1 of 3 checks failed" in page.text
    assert "s0_no_exo: 0.2" in page.text
    table = gate_table(STUDY["gates"])
    assert [(r.name, r.passed, r.count) for r in table["rows"]] == [
        ("converged", 1, 1),
        ("reserve", 1, 2),
    ]
    assert gate_table({}) is None


def test_provenance_and_configuration_are_printed():
    text = page_of(three_arms(1), STUDY).text
    for piece in ("0123456789abcdef", "osim-exo study run level_walking", "opensim 4.6",
                  "exo.limits.max_torque"):  # fmt: skip
        assert piece in text


def test_pdf_has_the_words_and_the_figures(tmp_path):
    trials = three_arms(2)
    path = write_pdf(tmp_path, compare(trials), trials, STUDY)
    data = path.read_bytes()
    assert path.name == "report.pdf"
    assert data.startswith(b"%PDF") and data.rstrip().endswith(b"%%EOF")
    pages = len(re.findall(rb"/Type /Page\b", data))
    drawings = sum(len(part.drawings) for part in build(compare(trials), trials, STUDY).parts)
    assert pages >= drawings + 3


def test_report_goes_into_a_folder_and_replaces_the_old_one(tmp_path):
    trials = three_arms(1)
    first = write_report(tmp_path, compare(trials), trials)
    assert first == tmp_path / "report.html"
    again = write_report(first, compare(trials), trials, {"title": "Another"})
    assert "Another" in again.read_text("utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.bib", "report.html"]


def test_recorded_walk_of_a_person_gives_a_report_beside_human_bands(shared_data):
    folder = shared_data / "gait10dof18musc"
    walk = MeasuredWalk(
        name="subject01",
        coordinates=folder / "subject01_walk_IK.mot",
        grf=folder / "subject01_walk_grf.mot",
        moments=folder / "subject01_walk_ID.sto",
        body_mass=72.6,
        height=1.8,
        speed=1.3,
    )
    trials = [walk.read(folder)]
    contents = build(compare(trials), trials)
    assert {d.key for d in contents.parts[0].drawings} == {"v1p3s0-joints", "v1p3s0-forces"}
    assert contents.parts[0].problems == ()
    page = Page(render(contents))
    assert page.problems == []
    assert "how this one person walked" in page.text


def test_stretches_that_differ_are_marked_only_where_units_allow_it():
    (walk,) = walks_of_rows(compare(three_arms(1)).rows)
    assert cluster_words(compare(three_arms(1)), walk) == ""
    assert "No test can reach" in cluster_words(compare(three_arms(4)), walk)
    many = compare(three_arms(9))
    found = marks(many, walk)
    assert found["activation/iliopsoas"]
    row = next(
        r
        for r in many.curves
        if r["name"] == "activation/iliopsoas" and r["condition"] == "assisted"
    )
    assert row["p_holm"] <= 0.05
    assert "Bars along the top" in cluster_words(many, walk)
