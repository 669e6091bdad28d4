import pytest
import torch

from arena import Problem, held_out
from learner.inspection.listening import hear, listening
from learner.inspection.looking import OnModel
from learner.inspection.subject import Subject
from learner.model.base_model import BaseModel
from learner.model.formatting import encode
from tests.learner.inspection.known import heading_places, planted


def test_shares_are_those_of_the_models_own_attention(base_model: BaseModel) -> None:
    problem = Problem("causal", 1, "It rained. Did it rain?", "Yes", "Yes", ("Yes", "No"))
    prompt = torch.randn(3, base_model.hidden_size, generator=torch.Generator().manual_seed(1))
    ((heard,),) = hear(base_model, [problem], [prompt], False, ())
    encoded = encode(base_model, problem.question, None, False)
    tokens = torch.tensor([*encoded.head, *encoded.question])
    embeddings = torch.cat((prompt, base_model.embeddings[tokens]))[None]
    model = base_model.model
    name = model.config._attn_implementation
    try:
        model.set_attn_implementation("eager")
        with torch.no_grad():
            attentions = model(inputs_embeds=embeddings, output_attentions=True).attentions
    finally:
        model.set_attn_implementation(name)
    for layer, weights in enumerate(attentions):
        torch.testing.assert_close(heard.vectors[layer], weights[0, :, -1, :3])
        torch.testing.assert_close(heard.parts[layer].sum(dim=1), torch.ones(4))
    assert heard.error < 1e-4


def test_more_is_heard_of_five_trained_prompts_than_of_untrained_ones(
    on_model: OnModel, subjects: list[Subject]
) -> None:
    for subject in subjects:
        found = listening(on_model, subject, held_out(10))
        assert found.change > 0 and found.p_value < 0.01
        assert found.error < 1e-4
        assert sum(found.trained) == pytest.approx(1, abs=1e-5)
        assert sum(found.vectors) == pytest.approx(found.change, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_planted_heading_is_listened_to(
    pocket: BaseModel, on_model: OnModel, seed: int
) -> None:
    found = listening(on_model, planted(pocket, seed), held_out(10))
    loudest = max(range(5), key=lambda i: found.vectors[i])
    assert loudest in heading_places(pocket, seed)
    assert found.change > 0
