"""The card of a checkpoint: valid front matter, the right model, and nothing taken for markup."""

from learner.checkpoint.model_card import model_card
from learner.model.source import EMBEDDED, HUB, ModelSource
from tests.learner.checkpoints import random_learner


def test_the_card_is_valid_front_matter_and_names_the_model(qwen2):
    hub = model_card(random_learner(qwen2, source=ModelSource(HUB, "org/name")))
    assert "\nbase_model: org/name\n" in hub
    assert 'from_pretrained("org/name")' in hub
    local = model_card(random_learner(qwen2))
    assert "base_model:" not in local.split("---")[1]
    pocket = model_card(random_learner(qwen2, source=ModelSource(EMBEDDED, "pocket")))
    assert 'from_pretrained("assets/pocket")' in pocket


def test_nothing_in_the_card_is_taken_for_markup(qwen2):
    name = "evil`<script>\n# Heading\n[link](x)"
    card = model_card(random_learner(qwen2, source=ModelSource(HUB, name)))
    prose = card.split("```python")[0]
    assert "<script>" not in prose and "\n# Heading" not in prose and "[link]" not in prose
