"""What programs can learn of a soft prompt: the whole inspection, as JSON."""

from learner.inspection.findings import found
from learner.inspection.record import as_record
from learner.inspection.whole import inspect, material_of
from learner.view.api.endpoint import endpoint
from learner.view.api.lessons import Json
from learner.view.screen import measuring_thread, said
from learner.visitors.checked_input import LessonError, checked_text
from learner.visitors.followed import MOST_MEASURING
from learner.visitors.open_lessons import OpenLessons

FEWEST = 20


def add_inside_api(lessons: OpenLessons) -> None:
    """Register the public endpoint; call inside ``with gr.Blocks()``."""

    async def inspect_prompt(session: str, problems: int = 60, text: str = "") -> Json:
        """Look inside the soft prompt: strength, vectors, what it acts like, size, and more.

        Takes about a minute on the embedded model, and many on others. Of each part there is what
        was ``found``, in a sentence, and all numbers, with their n, intervals and controls.
        """

        def look() -> Json:
            lesson = lessons.get(session)
            held_out = lesson.exam.problems
            if not lesson.learner.steps:
                raise LessonError("There is nothing to look into yet; train the soft prompt first.")
            most = len(held_out)
            if isinstance(problems, bool) or not isinstance(problems, int):
                raise LessonError("The number of problems is a whole number.")
            if not min(FEWEST, most) <= problems <= most:
                raise LessonError(f"An inspection takes {FEWEST} to {most} problems.")
            service = lesson.service
            material = material_of(
                lesson.learner,
                service.new_learner,
                service.base_model,
                service.ask,
                lambda work: service.look(work).result(),
                held_out[:problems],
                checked_text(text),
            )
            with lesson.acting(MOST_MEASURING):
                return {
                    name: {"found": found(part).sentence, **as_record(part)}
                    for name, part in inspect(material)
                }

        with said(markup=False):
            return await measuring_thread(look)

    endpoint(inspect_prompt)
