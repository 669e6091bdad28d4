"""What a reproduction runs: on one model, into one folder, over the same seeds and problems."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from learner.checkpoint.reading import CheckpointError
from learner.experiments.driving import drive
from learner.experiments.engine import Engine
from learner.experiments.estimates import Arm
from learner.experiments.folder import is_finished, open_record, slug
from learner.experiments.results import Results
from learner.experiments.results_file import RESULTS, environment
from learner.experiments.settings import ORIGINAL, TUNED, Experiment
from learner.model.loading import AUTO


@dataclass(frozen=True)
class Scale:
    """How much is run: so many seeds, episodes, held-out problems, and problems of validation.

    Settings are tried for as many episodes, and for ``longer`` times as many.
    """

    seeds: int = 5
    episodes: int = 80
    problems: int = 500
    validation: int = 200
    held_out_seed: int = 0
    longer: int = 4

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise ValueError("A reproduction takes at least 2 seeds: one alone tells no spread.")


@dataclass
class Study:
    """Runs experiments over the study's seeds, each once, and keeps them in its folder.

    ``asked`` are the formats to run in: with the chat template (True), without it (False).
    """

    engine: Engine
    folder: Path
    scale: Scale
    asked: tuple[bool, ...] = (True, False)
    arms: dict[str, Arm] = field(default_factory=dict)
    reused: int = 0  # experiments that had been run into the folder before

    @property
    def formats(self) -> tuple[bool, ...]:
        """Those of the formats asked for that the model knows."""
        return tuple(chat for chat in self.asked if chat in self.engine.base_model.formats)

    def require_same_hardware(self) -> None:
        """Refuse to report beside runs in another precision, or on another kind of device.

        Raises CheckpointError: the report's heading names one of each.
        """
        here = environment(self.engine.base_model)
        for file in sorted(self.folder.glob(f"**/seed-*/{RESULTS}")):
            then = open_record(file.parent)
            if then.dtype not in (AUTO, here["dtype"]) or _kind(then.device) not in (
                AUTO,
                _kind(here["device"]),
            ):
                raise CheckpointError(
                    f"{self.folder} holds runs in {then.dtype} on {then.device}, and these would "
                    f"be in {here['dtype']} on {here['device']}; choose another folder by "
                    "--output-dir."
                )

    def arm(self, name: str, experiment: Experiment) -> Arm:
        """The experiment over all seeds, under a name of its own."""
        if name not in self.arms:
            (runs,) = self.together(name, [experiment])
            self.arms[name] = Arm(name, runs)
        return self.arms[name]

    def together(
        self, name: str, experiments: Sequence[Experiment], names: Sequence[str] = ()
    ) -> list[tuple[Results, ...]]:
        """Several experiments over all seeds, side by side; the runs of each in order.

        They go to folders by ``names``, or else by their number.
        """
        seeds = range(self.scale.seeds)
        place = self.folder / slug(name)
        below = [slug(one) for one in names] or [str(i) for i in range(len(experiments))]
        places = [place / one if len(experiments) > 1 else place for one in below]
        folders = [folder / f"seed-{seed}" for folder in places for seed in seeds]
        self.reused += all(map(is_finished, folders))
        settings = [experiment.with_seed(seed) for experiment in experiments for seed in seeds]
        runs = drive(self.engine, settings, folders, name, curves=False)
        count = len(seeds)
        return [runs[i * count : (i + 1) * count] for i in range(len(experiments))]

    def best(self, chat_template: bool, **changes: object) -> Experiment:
        """The best settings at this study's scale, with changes to the experiment."""
        return self._scaled(TUNED, chat_template, changes)

    def original(self, chat_template: bool) -> Experiment:
        """The original's settings, measured on as many problems as everything here."""
        return self._scaled(ORIGINAL, chat_template, {})

    def _scaled(
        self, experiment: Experiment, chat_template: bool, changes: dict[str, object]
    ) -> Experiment:
        scaled = replace(
            experiment,
            config=replace(experiment.config, chat_template=chat_template),
            episodes=self.scale.episodes,
            eval_problems=self.scale.problems,
            validation_problems=self.scale.validation if experiment.validation_problems else 0,
            held_out_seed=self.scale.held_out_seed,
        )
        return replace(scaled, **changes)  # type: ignore[arg-type]


def _kind(device: str) -> str:
    """A device without its number: one GPU is as good as another."""
    return device.partition(":")[0]


def in_format(chat: bool) -> str:
    """The format in a few words, for a name or a heading."""
    return "with the template" if chat else "without it"
