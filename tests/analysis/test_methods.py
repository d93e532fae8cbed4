"""The methods paragraph tells what was done and nothing else, and its references are whole."""

import re

import pytest

from osim_exo.analysis.bibliography import bibliography, cited, numbered
from osim_exo.analysis.methods import write_methods
from osim_exo.errors import InputError
from tests.synthetic import replaced, three_arms

SETTINGS = {
    "configuration": {
        "exo": {"limits": {"max_torque": 15.0, "rate_limit": 250.0}},
        "weights": {"effort": 1.0, "metabolic": 0.0},
        "stride_time": {"fixed": None, "low": 0.9, "high": 1.4},
    },
    "provenance": {"versions": {"opensim": "4.6"}},
}


def test_methods_tell_only_what_was_done():
    plain = " ".join(write_methods(three_arms(3), SETTINGS, [], bands=True).plain)
    assert "torque 15 Nm and torque rate 250 Nm/s" in plain
    assert "Three virtual subjects walked (60 to 68 kg body mass and 1.75 m height)." in plain
    for absent in ("Moco", "IPOPT", "Stride time", "metabolic rate after", "seed 7 ", "power 60"):
        assert absent not in plain
    solved = [
        replaced(t, physics="moco", provenance={"status": "Solve_Succeeded"}) for t in three_arms(1)
    ]
    moco = " ".join(write_methods(solved, SETTINGS, [], bands=False).plain)
    assert "OpenSim Moco" in moco
    assert "not imposed but optimised between 0.9 and 1.4 s" in moco
    assert "squared muscle excitations (1)" in moco and "metabolic rate after" not in moco
    assert "Solve Succeeded (3)" in moco
    assert "human mean" not in moco.lower() and "dimensionless" not in moco


def test_tracked_joint_angles_are_not_offered_as_evidence():
    solved = [replaced(t, physics="moco") for t in three_arms(1)]
    words = "no evidence"
    assert words not in " ".join(write_methods(solved, SETTINGS, [], bands=True).plain)
    tracking = {"configuration": {"weights": {"effort": 1.0, "tracking": 8.0}}}
    assert words in " ".join(write_methods(solved, tracking, [], bands=True).plain)
    recorded = [replaced(t, provenance={"objective_terms": {"tracking": 0.1}}) for t in solved]
    assert words in " ".join(write_methods(recorded, {}, [], bands=True).plain)


def test_delayed_output_feedback_is_cited_only_where_it_was_used():
    used = write_methods(three_arms(1, controller="delayed_output_feedback"), {}, [], bands=False)
    assert "lim2019" in [r.key for r in used.references]
    other = write_methods(three_arms(1), {}, [], bands=False)
    assert "lim2019" not in [r.key for r in other.references]


def test_citations_are_numbered_by_first_use_and_unknown_ones_refused():
    texts = ["First [@seth2018; @delp2007].", "Again [@delp2007], then [@holm1979]."]
    references = cited(texts)
    assert [r.key for r in references] == ["seth2018", "delp2007", "holm1979"]
    assert numbered(texts[1], references) == "Again [2], then [3]."
    with pytest.raises(InputError, match="nobody1900"):
        cited(["[@nobody1900]"])


def test_every_reference_has_what_a_citation_needs():
    assert len(bibliography()) >= 20
    for reference in bibliography().values():
        assert reference.field("author") and reference.field("title") and reference.field("year")
        assert reference.field("year") in reference.key
        assert reference.field("journal") or reference.field("publisher")
        assert not re.search(r"[{}\\]", reference.text)
