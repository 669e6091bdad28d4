"""What programs can do with experiments through the app's API, as `api` does for lessons."""

from typing import Any

from learner.experiments.background import BackgroundExperiments, VisitorExperiments
from learner.experiments.estimates import Arm
from learner.experiments.plan import plan_of
from learner.experiments.store import Entry, ExperimentError
from learner.view.api.endpoint import endpoint
from learner.view.experiments.chart import series_of
from learner.view.screen import in_thread, said

Json = dict[str, Any]


def add_experiments_api(background: BackgroundExperiments) -> None:
    """Register the public endpoints; call inside ``with gr.Blocks()``."""

    def start_experiment(
        session: str,
        name: str = "",
        technique: str = "best",
        chat_template: bool = False,
        episodes: int = 80,
        seeds: int = 3,
        problems: int = 200,
        family: str = "any",
    ) -> Json:
        """Start a named experiment; returns at once.

        `experiments` tells how it goes, and `stop_experiment` stops it.
        """
        with said(markup=False):
            own = background.of(session)
            plan = plan_of(
                name or own.fresh_name(),
                technique,
                chat_template,
                episodes,
                seeds,
                problems,
                family=family,
                formats=own.base_model.formats,
            )
            return _entry(own, own.start(plan))

    async def stop_experiment(session: str) -> list[Json]:
        """Stop the experiment that is on at its next step; what was learnt is kept."""

        def stop() -> VisitorExperiments:
            own = background.of(session)
            own.stop()
            return own

        def listed(own: VisitorExperiments) -> list[Json]:
            return [_entry(own, entry) for entry in own.entries()]

        with said(markup=False):
            own = await in_thread(stop)
            async for _ in own.follow(lambda: own.busy):
                pass
            return await in_thread(listed, own)

    def experiments(session: str) -> list[Json]:
        """All experiments of a session: settings, state, and held-out accuracy as they learn.

        Of each point of the curve: episodes, accuracy (the mean over seeds) and its 95 % interval.
        """
        with said(markup=False):
            own = background.of(session)
            own.resume()
            return [_entry(own, entry) for entry in own.entries()]

    def continue_experiment(session: str, name: str) -> Json:
        """Go on with an experiment that was stopped, or that failed; returns at once."""
        with said(markup=False):
            own = background.of(session)
            return _entry(own, own.go_on(_place(own, name)))

    def delete_experiment(session: str, name: str) -> list[Json]:
        """Delete an experiment for good; returns those that are left."""
        with said(markup=False):
            own = background.of(session)
            own.delete(_place(own, name))
            return [_entry(own, entry) for entry in own.entries()]

    for function in (
        *(start_experiment, stop_experiment, continue_experiment, delete_experiment),
        experiments,
    ):
        endpoint(function)


def _place(own: VisitorExperiments, name: str) -> str:
    place = next((entry.place for entry in own.entries() if entry.plan.name == name), None)
    if place is None:
        raise ExperimentError("There is no experiment of that name; experiments has their names.")
    return place


def _entry(own: VisitorExperiments, entry: Entry) -> Json:
    results, progress = own.results(entry), own.progress
    on = progress if own.running == entry.place else None
    points = series_of(Arm(entry.plan.name, results), "", 0).points if results else ()
    return {
        "name": entry.plan.name,
        "technique": entry.plan.technique,
        "state": entry.state,
        "message": entry.message,
        "seeds": list(entry.plan.seeds),
        "settings": entry.plan.experiment.as_dict(),
        "done": on.done if on else None,
        "total": on.total if on else None,
        "curve": [
            {
                "episodes": point.episodes,
                "accuracy": point.value,
                "interval": [point.interval.low, point.interval.high],
                "n": results[0].final.n,
            }
            for point in points
        ],
    }
