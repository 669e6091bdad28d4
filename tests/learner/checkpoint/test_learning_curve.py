"""The picture of a training run: of one size, and drawn whatever the history says."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from learner.checkpoint.learning_curve import draw_learning_curve
from learner.learning.learner import StepRecord

SECOND = (67, 56, 202)  # the colour of a second line
COUNTS = st.integers(0, 2**64 - 1)


def picture(history) -> Image.Image:
    return Image.open(io.BytesIO(draw_learning_curve(history)))


def test_too_short_a_run_has_no_curve():
    assert draw_learning_curve(()) is None
    assert draw_learning_curve([StepRecord(1, 4, 0.5, 1, 4, 0.5, False)]) is None


def test_a_falling_loss_ends_lower_than_it_began():
    history = [StepRecord(step, step, 3 / step, 1, 4, 0.5, False) for step in range(1, 60)]
    image = picture(history)
    assert image.size == (920, 300) and image.format == "PNG"
    smooth = (194, 65, 12)

    def height(column: int) -> float:
        """The mean row of the curve in a column; rows count from the top."""
        rows = [y for y in range(300) if near(image.getpixel((column, y)), smooth)]
        return sum(rows) / len(rows)

    assert height(70) < height(430)


def steps(signal, episodes):
    return [
        StepRecord(i, n, 0.5, 1 + i % 2, 4, 0.5, False, signal=signal)
        for i, n in enumerate(episodes, 1)
    ]


def drawn(image, colour=(194, 65, 12)) -> bool:
    """Whether there is a thick line in this colour, the first line's by default."""
    return sum(count for count, pixel in image.getcolors(1 << 20) if near(pixel, colour)) > 100


def test_what_a_person_liked_is_no_skill():
    assert draw_learning_curve(steps("thumbs", range(1, 9))) is None
    told, liked = steps("answer", range(2, 40, 2)), steps("thumbs", range(3, 39, 2))
    mixed = sorted([*told, *liked], key=lambda record: record.episodes)
    assert draw_learning_curve(mixed) == draw_learning_curve(told)


def test_a_reward_is_no_loss_in_nats():
    image = picture(steps("reward", range(4, 84, 4)))
    left, right = image.crop((0, 0, 460, 300)), image.crop((460, 0, 920, 300))
    assert drawn(right) and not drawn(left)
    told = picture(steps("answer", range(4, 84, 4)))
    assert drawn(told.crop((0, 0, 460, 300)))


def test_shares_of_different_things_are_not_averaged():
    told = steps("answer", range(4, 44, 4))
    rewarded = [
        StepRecord(i, n, 0.0, 4, 4, 0.5, False, signal="reward")
        for i, n in enumerate(range(44, 84, 4), 11)
    ]
    both = picture([*told, *rewarded]).crop((460, 0, 920, 300))
    assert drawn(both, SECOND)
    alone = picture([*told, StepRecord(11, 80, 0.0, 2, 4, 0.5, False)]).crop((460, 0, 920, 300))
    assert not drawn(alone, SECOND)


def near(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 60 for a, b in zip(one, other, strict=True))


@given(
    st.lists(
        st.builds(
            StepRecord,
            step=COUNTS,
            episodes=COUNTS,
            loss=st.floats(-1e6, 1e6),
            correct=st.just(0),
            total=st.integers(1, 2**64 - 1),
            grad_norm=st.floats(0, 1e6),
            chat_template=st.booleans(),
            signal=st.sampled_from(["answer", "reward", "mix"]),
        ),
        min_size=2,
        max_size=5,
    )
)
@settings(deadline=None, max_examples=25)
def test_any_history_that_loads_can_be_drawn(history):
    assert picture(history).size == (920, 300)


@pytest.mark.parametrize("losses", [(-3.0, -1.0), (0.0, 0.0), (-1e6, 1e-9)])
def test_losses_that_are_not_above_zero_are_drawn_too(losses):
    history = [StepRecord(i, i, loss, 1, 1, 0.5, False) for i, loss in enumerate(losses, start=1)]
    assert picture(history).size == (920, 300)
