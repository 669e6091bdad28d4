"""No words of the accuracy chart stand on others."""

from hypothesis import example, given
from hypothesis import strategies as st

from learner.view import labels
from learner.view.labels import HEIGHT, WIDTH

shares = st.floats(0, 1)


@given(st.none() | st.tuples(shares, shares), st.dictionaries(st.booleans(), shares))
@example(last=(1.0, 0.69), baselines={True: 0.70, False: 0.02})
@example(last=(0.2, 0.17), baselines={True: 0.175, False: 0.02})
@example(last=(1.0, 0.5), baselines={True: 0.5, False: 0.5})
@example(last=(0.0, 1.0), baselines={True: 1.0, False: 1.0})
@example(last=(1.0, 0.0), baselines={True: 0.0, False: 0.0})
def test_names_and_score_never_meet_and_stay_in_the_smallest_field(last, baselines):
    boxes = labels.boxes(last, baselines)
    assert len(boxes) == len(baselines) + (last is not None)
    for i, one in enumerate(boxes):
        assert one.left >= 0 and one.right <= WIDTH and one.low >= 0 and one.high <= HEIGHT
        for other in boxes[i + 1 :]:
            apart = one.right <= other.left or other.right <= one.left
            assert apart or one.high <= other.low or other.high <= one.low


def test_where_there_is_room_a_name_stands_above_its_line_on_its_own_side():
    chosen = labels.places((0.5, 0.4), {True: 0.7, False: 0.1})
    assert chosen == labels.Places("above", {True: ("left", 3), False: ("right", 3)})
