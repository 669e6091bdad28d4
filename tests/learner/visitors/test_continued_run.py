"""A run that is saved to a file and goes on elsewhere is, to the bit, the run that stayed."""

from functools import partial

import pytest

from learner.checkpoint.files import load_zip, save_zip
from learner.learning.learner import LearnerConfig, new_learner
from learner.service.in_process import Service
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.session import Session, SessionState
from tests.coroutines import follow
from tests.learner.checkpoints import assert_equal
from tests.learner.tiny_models import build_base_model


@pytest.mark.parametrize("chat_template", [False, True])
def test_it_meets_the_same_problems_and_learns_the_same_bits(tmp_path, chat_template):
    base_model = build_base_model("qwen2")
    fresh = partial(new_learner, base_model)
    config = LearnerConfig(soft_tokens=3)

    def runs(lesson: Lesson, episodes: int) -> Lesson:
        lesson.train(episodes)
        for _ in follow(lesson, lambda: lesson.run is not None or lesson.comparison.answering):
            pass
        return lesson

    with Service(base_model) as service:
        exam = Exam(service, size=5)

        def visitor(name: str, seed: int) -> Lesson:
            state = SessionState(fresh(config), seed)
            return Lesson(service, exam, Session(name, state, lambda *_: None, fresh))

        stays = visitor("stays", seed=1)
        stays.choose_format(chat_template)
        runs(stays, 6)
        path = save_zip(stays.learner, tmp_path / "prompt.zip", base_model)
        goes = visitor("goes", seed=2)
        goes.adopt(load_zip(path, base_model))
        assert_equal(runs(goes, 6).learner, runs(stays, 6).learner)
    assert (goes.learner.episodes, goes.learner.stream_seed) == (12, 1)
    assert goes.learner.config.chat_template is chat_template
    assert len(goes.learner.families) > 1
