"""The list of snapshots: what each had learnt, its score, and the present one's against it."""

import re
from html import unescape

from learner.measuring import score_of
from learner.view.teach.snapshots import snapshots_list
from learner.visitors.snapshots import Snapshot
from tests.learner.visitors.scripted import untrained


def visible(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).replace("\u202f", " ").split())


def test_a_snapshot_stands_beside_the_soft_prompt_as_it_is_now():
    kept = (
        Snapshot("first", untrained(), (score_of("1100", False), score_of("1", True))),
        Snapshot("later", untrained()),
    )
    shown = visible(snapshots_list((8, score_of("0110", False, 8)), kept, False, True))
    assert "as it is now 8 episodes · 50 % of 4" in shown
    assert "first 0 episodes · 50 % of 4 (15–85 %) now +1 −1 against it, p = 1" in shown
    assert "later 0 episodes · not measured Go back" in shown


def test_a_name_is_text_and_during_a_run_it_is_not_possible_to_go_back():
    kept = (Snapshot('<b "x">', untrained()),)
    html = snapshots_list((0, None), kept, False, False)
    assert "<b " not in html.replace("<b>", "")
    back, remove = re.findall("<button[^>]*>", html)
    assert back.endswith(" disabled>") and not remove.endswith(" disabled>")
    assert unescape(re.search('data-snapshot="([^"]*)"', back)[1]) == '<b "x">'
