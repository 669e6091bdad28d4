"""The card of a checkpoint: valid front matter, the right model, and nothing taken for markup."""

from learner.checkpoint.format import pack
from tests.learner.checkpoints import random_learner


def test_the_card_is_valid_front_matter_and_names_the_model(qwen2):
    hub = pack(random_learner(qwen2, model_name="org/name"))["README.md"].decode()
    assert "\nbase_model: org/name\n" in hub
    assert 'from_pretrained("org/name")' in hub
    local = pack(random_learner(qwen2))["README.md"].decode()
    assert "base_model:" not in local.split("---")[1]
    pocket = pack(random_learner(qwen2, model_name="pocket"))["README.md"].decode()
    assert 'from_pretrained("assets/pocket")' in pocket


def test_nothing_in_the_card_is_taken_for_markup(qwen2):
    name = "evil`<script>\n# Heading\n[link](x)"
    card = pack(random_learner(qwen2, model_name=name))["README.md"].decode()
    prose = card.split("```python")[0]
    assert "<script>" not in prose and "\n# Heading" not in prose and "[link]" not in prose
