"""What programs can learn of a soft prompt: the whole inspection, as JSON."""

from learner.inspection.findings import found
from learner.inspection.inside import learner_material
from learner.inspection.record import as_record
from learner.inspection.whole import inspect
from learner.view.api import Json
from learner.view.endpoint import endpoint
from learner.view.screen import said
from learner.visitors.checked_input import LessonError, checked_text
from learner.visitors.open_lessons import OpenLessons

FEWEST = 20


def add_inside_api(lessons: OpenLessons) -> None:
    """Register the public endpoint; call inside ``with gr.Blocks()``."""

    def inspect_prompt(session: str, problems: int = 60, text: str = "") -> Json:
        """Look inside the soft prompt: strength, vectors, what it acts like, size, and more.

        Takes about a minute on the embedded model, and many on others. Of each part there is what
        was ``found``, in a sentence, and all numbers, with their n, intervals and controls.
        """
        with said(markup=False):
            lesson = lessons.get(session)
            learner, held_out = lesson.learner, lesson.exam.problems
            if not learner.steps:
                raise LessonError("There is nothing to look into yet; train the soft prompt first.")
            most = len(held_out)
            if isinstance(problems, bool) or not isinstance(problems, int):
                raise LessonError("The number of problems is a whole number.")
            if not min(FEWEST, most) <= problems <= most:
                raise LessonError(f"An inspection takes {FEWEST} to {most} problems.")
            own = checked_text(text)
            material = learner_material(lesson.service, learner, held_out[:problems], own)
            return {
                name: {"found": found(part)[1], **as_record(part)}
                for name, part in inspect(material)
            }

    endpoint(inspect_prompt)
