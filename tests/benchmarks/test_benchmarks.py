"""The benchmarks themselves: they run, they count rightly, and they notice when work differs.

Nothing here asserts how long anything takes.
"""

import json
from dataclasses import replace
from time import perf_counter
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_step, train_steps
from tests.benchmarks import (
    decoding,
    episode,
    evaluation,
    floor,
    many_learners,
    models,
    step_profile,
    timing,
    training_step,
)
from tests.benchmarks.__main__ import NAMES, main
from tests.benchmarks.memory import peak_bytes
from tests.benchmarks.plot import draw
from tests.benchmarks.timing import DifferentWork, Line, Point, Setting, Spread, Target

CPU = torch.device("cpu")
SMALL = Setting(CPU, repetitions=1, small=True)


@pytest.fixture
def base():
    return models.base_model("small", torch.float32, CPU)


# --- a run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("app_load", "replicas")])
def test_each_benchmark_prints_a_table_and_writes_json(name, tmp_path, capsys):
    path, plot = tmp_path / "times.json", tmp_path / "curves.svg"
    files = ["--json", str(path), "--plot", str(plot)]
    if name == "live":
        files += ["--rows", "click", "people", "step"]  # "open" starts the app, as app_load does
    assert main([name, "--small", "--repetitions", "1", "--device", "cpu", *files]) == 0
    printed = capsys.readouterr().out
    assert f"## {name}" in printed and "threads" in printed
    written = json.loads(path.read_text())
    assert torch.__version__ in written["environment"]["versions"]
    found = written["benchmarks"][name]
    for line in found["lines"]:
        assert line["case"] in printed
        assert all(sample >= 0 for samples in line["samples"].values() for sample in samples)
    if name != "precision" or len(SMALL.dtypes) > 1:
        assert found["lines"]
    assert plot.exists() == (name == "scaling")
    assert name != "scaling" or "time of a step by learners" in plot.read_text()


def test_all_of_them_are_listed(capsys):
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(NAMES)


@pytest.mark.parametrize("arguments", [["speed"], ["--repetitions", "0"]])
def test_what_cannot_be_run_is_refused(arguments):
    with pytest.raises(SystemExit):
        main(arguments)


# --- both sides do the same work ------------------------------------------------------------------


def test_a_benchmark_whose_sides_differ_has_no_result(monkeypatch, capsys):
    def wrong(base, learner, problems):
        learner, report = train_step(base, learner, problems)
        return learner, replace(report, loss=report.loss * 1.05)

    monkeypatch.setattr(training_step, "train_step", wrong)
    assert main(["training_step", "--small", "--repetitions", "1", "--device", "cpu"]) == 1
    printed = capsys.readouterr().out
    assert "No result. loss" in printed and "|" not in printed


def test_a_wrong_gradient_is_noticed(base, monkeypatch):
    def wrong(base, learner, problems):
        learner, report = train_step(base, learner, problems)
        return replace(learner, first_moment=learner.first_moment * 1.01), report

    learner = new_learner(base, training_step.CONFIG)
    rows = models.encodings(base, models.problems(base, 2))
    training_step.check_same_step(base, learner, rows, "sdpa")
    monkeypatch.setattr(training_step, "train_step", wrong)
    with pytest.raises(DifferentWork, match="gradient"):
        training_step.check_same_step(base, learner, rows, "sdpa")


def test_episodes_that_differ_are_noticed(base, monkeypatch):
    def wrong(base, learner, problems):
        learner, report = train_step(base, learner, problems)
        return learner, replace(report, correct=(not report.correct[0],))

    learner = new_learner(base, LearnerConfig(chat_template=True))
    chosen = models.problems(base, 2)
    rows = models.encodings(base, chosen)
    episode.check_same_episodes(base, learner, chosen, rows)
    monkeypatch.setattr(episode, "train_step", wrong)
    with pytest.raises(DifferentWork, match="answer right"):
        episode.check_same_episodes(base, learner, chosen, rows)


@pytest.mark.parametrize("benchmark", [evaluation, decoding])
def test_other_tokens_are_noticed(base, monkeypatch, benchmark):
    def wrong(base, asks, new_tokens):
        first, *others = right(base, asks, new_tokens)
        return replace(first, ids=(*first.ids[:-1], 0)), *others

    right = benchmark.complete
    monkeypatch.setattr(benchmark, "complete", wrong)
    with pytest.raises(DifferentWork, match="completion"):
        for _ in benchmark.run(SMALL):
            pass


def test_learners_that_get_each_others_steps_are_noticed(base, monkeypatch):
    requests = many_learners.one_problem_each(base, 3)
    many_learners.check_same_steps(base, requests)
    monkeypatch.setattr(many_learners, "train_steps", lambda *given: train_steps(*given)[::-1])
    with pytest.raises(DifferentWork):
        many_learners.check_same_steps(base, requests)


@pytest.mark.parametrize("loss", [1.0, float("nan"), float("inf")])
def test_only_numbers_that_are_close_pass(loss):
    timing.require_close("loss", 2.001, 2.0, 1e-3)
    with pytest.raises(DifferentWork):
        timing.require_close("loss", loss, 2.0, 1e-3)


@pytest.mark.parametrize(("ours", "rival", "off"), [(0.12, 0.10, 0.02), (2.02, 2.0, 0.01)])
def test_a_small_loss_may_be_off_by_as_much_as_one_of_a_nat(ours, rival, off):
    assert timing.require_close_loss("loss", ours, rival, 0.05) == pytest.approx(off)


@pytest.mark.parametrize(("ours", "rival"), [(0.17, 0.1), (2.2, 2.0), (float("nan"), 2.0)])
def test_losses_that_are_further_off_are_noticed(ours, rival):
    with pytest.raises(DifferentWork, match="loss"):
        timing.require_close_loss("loss", ours, rival, 0.05)


# --- counting and measuring -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 4])
def test_a_step_takes_no_fewer_flops_than_it_must_and_no_more_than_every_layer_everywhere(
    base, number
):
    chosen = models.problems(base, number)
    step = floor.work(models.encodings(base, chosen), 8, shared=True)
    sizes = floor.products(base)
    with FlopCounterMode(display=False) as counter:
        train_step(base, new_learner(base, LearnerConfig(chat_template=True)), chosen)
    # Attention is run in padded blocks, and fused attention goes uncounted on a CPU.
    weights = replace(step, pairs=0, answer_pairs=0)
    counted = counter.get_total_flops()
    assert floor.flops_needed(sizes, weights) < 1.02 * counted
    assert counted < 1.02 * floor.flops_needed(sizes, weights, everywhere=True)
    assert floor.flops_needed(sizes, weights) < floor.flops_needed(sizes, step)


def test_bare_products_take_the_flops_they_say(base):
    replay, flops = floor.bare_products(base, tokens=40, answers=3)
    with FlopCounterMode(display=False) as counter:
        replay()
    assert flops == counter.get_total_flops()


def test_sharing_a_prefix_saves_its_repetitions(base):
    rows = models.encodings(base, models.problems(base, 4))
    shared, unshared = floor.work(rows, 8, True), floor.work(rows, 8, False)
    assert unshared.tokens - shared.tokens == 3 * (8 + len(rows[0].head))
    assert floor.work(rows[:1], 8, True) == floor.work(rows[:1], 8, False)


def test_the_parts_of_a_profile_are_all_there_and_together_the_step(base):
    chosen = models.problems(base, 4)
    learner = new_learner(base, LearnerConfig(chat_template=True))
    spent = []

    def step():
        began = perf_counter()
        train_step(base, learner, chosen)
        spent.append(perf_counter() - began)

    found = step_profile.parts(base, step)
    assert len(found) == 7 and min(found.values()) > 0
    assert found.total() == pytest.approx(spent[0], rel=0.05)


@pytest.mark.parametrize(
    ("name", "sizes", "kind"),
    [
        ("aten::mm", {8, 16, 64}, step_profile.FEED_FORWARD),
        ("aten::silu", {8, 64}, step_profile.BETWEEN),
        ("aten::addmm", {8, 16}, step_profile.PROJECTIONS),
        ("aten::bmm", {2, 4, 8}, step_profile.SCORES),
        ("aten::cat", {8, 16}, step_profile.HIDDEN),
        ("aten::mm", {8, 16, 1000}, step_profile.OUTPUT),
        ("AddBackward0", {8, 16}, None),
    ],
)
def test_an_operation_is_counted_where_its_shapes_belong(name, sizes, kind):
    assert step_profile.kind_of(name, sizes, intermediate=64, vocabulary=1000) == kind


def test_contenders_are_measured_in_turn():
    order = []
    contenders = {name: lambda name=name: order.append(name) for name in "ab"}
    samples = timing.measure_in_turn(contenders, Setting(CPU, repetitions=3))
    assert order == [*"ab", *"ab", *"ba", *"ab"]
    assert [len(times) for times in samples.values()] == [3, 3]


@given(st.lists(st.tuples(st.floats(1e-6, 1e3), st.floats(1e-6, 1e3)), min_size=1, max_size=9))
def test_a_speed_up_lies_within_its_spread_and_judges_the_median(pairs):
    ours, rival = zip(*pairs, strict=True)
    ratio = timing.speed_up(ours, rival)
    assert ratio.low <= ratio.median <= ratio.high
    line = Line("case", "", "", ratio, target=Target("≥", ratio.median))
    assert line.met
    assert replace(line, target=Target("≤", ratio.median)).met
    assert not replace(line, target=Target("≥", ratio.median * 1.01)).met


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(12.345, "12.3 s"), (0.9996, "1 s"), (0.5, "500 ms"), (2e-4, "200 µs"), (1e-9, "0.001 µs")],
)
def test_durations_are_said_in_a_unit_that_suits_them(seconds, said):
    assert timing.duration(seconds) == said


def test_peak_memory_is_what_a_call_took_at_most():
    taken = peak_bytes(lambda: torch.ones(50_000_000).sum() * torch.ones(10), CPU)
    assert taken is None or 190e6 < taken < 300e6


# --- models, problems, pictures -------------------------------------------------------------------


def test_the_shapes_are_those_of_the_real_models():
    with torch.device("meta"):
        sizes = {name: _weights(models.SHAPES[name]) for name in ("0.5B", "1.5B")}
    assert sizes == {"0.5B": 494_032_768, "1.5B": 1_543_714_304}


def _weights(shape):
    from transformers import Qwen2Config, Qwen2ForCausalLM

    model = Qwen2ForCausalLM(Qwen2Config(**vars(shape), tie_word_embeddings=True))
    return sum(weight.numel() for weight in model.parameters())


def test_a_rivals_model_has_the_same_weights_in_the_same_memory(base):
    plain = models.plain_model(base, "eager")
    ours = {name: weight.data_ptr() for name, weight in base.model.named_parameters()}
    assert {name: weight.data_ptr() for name, weight in plain.named_parameters()} == ours
    library = {type(module).__module__.split(".")[0] for module in plain.modules()}
    assert library == {"torch", "transformers"}
    assert plain.config._attn_implementation == "eager"
    assert base.model.config._attn_implementation != "eager"


def test_problems_are_of_realistic_length_and_every_token_has_a_text(base):
    rows = models.encodings(base, models.problems(base, 20))
    assert all(models.prompt_length(row) in models.PROMPT_TOKENS for row in rows)
    assert sum(map(models.prompt_length, rows)) / len(rows) == pytest.approx(75, abs=4)
    assert base.tokenizer.decode([base.vocabulary_size - 1])
    assert len(base.tokenizer) == base.vocabulary_size


@given(
    st.lists(
        st.tuples(st.floats(1, 1e9), st.floats(1e-6, 1e3), st.none() | st.integers(1, 10**12)),
        min_size=1,
        max_size=6,
    )
)
def test_any_curve_can_be_drawn(numbers):
    points = [Point("rows & more", *values) for values in sorted(numbers, key=lambda one: one[0])]
    picture = ElementTree.fromstring(draw(points))
    assert picture.tag.endswith("svg")
    assert Spread.of([point.seconds for point in points]).low > 0
