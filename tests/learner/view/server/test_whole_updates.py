"""No value is edited that a page may not have shown yet."""

import gradio as gr
from hypothesis import given
from hypothesis import strategies as st

from learner.view.server.whole_updates import WholeUpdates

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=6,
)


with WholeUpdates() as blocks:
    shown = gr.JSON()
    gr.Button().click(lambda: None, outputs=shown)
[FUNCTION] = blocks.fns.values()


def frames(values, **options):
    """What is sent of one run's values, and what is sent of its end."""
    *sent, end = [
        blocks.handle_streaming_diffs(FUNCTION, [value], "me", "run", final=final, **options)[0]
        for value, final in [*((value, False) for value in values), (None, True)]
    ]
    return sent, end


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_edits_replace_the_whole_or_add_to_a_text_and_make_the_next_value(values):
    (shown, *edited), end = frames(values)
    assert (shown, end) == (values[0], values[-1])
    for edits, value in zip(edited, values[1:], strict=True):
        for action, path, new in edits:
            assert not path
            shown = shown + new if action == "append" else new
        assert shown == value


def test_an_update_is_not_taken_back_by_one_that_says_nothing():
    updates = [{"__type__": "update", "interactive": True}, {"__type__": "update"}]
    assert frames(updates) == ([updates[0], [["replace", [], updates[1]]]], updates[1])


def test_programs_get_values_as_they_are():
    values = [["a", ["b"], "c"], ["a", ["c"], "c"]]
    assert frames(values, simple_format=True) == (values, values[-1])
