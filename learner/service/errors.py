"""Why the service does not do what it was asked, in a sentence for whoever asked."""

MOST_STEP_ROWS = 1024  # of one request, since a step is not cut and everybody waits for it


class ServiceBusy(ValueError):
    """Too many requests wait already."""


class StepTooLarge(ValueError):
    """One step would keep everybody else waiting for too long."""

    def __init__(self, rows: int) -> None:
        super().__init__(
            f"A step of this learner takes {rows} rows at once, and up to {MOST_STEP_ROWS} are run "
            "for one person; learn from fewer problems a step, or sample each fewer times."
        )


class ServiceClosed(ValueError):
    """The service was shut down before the request was done."""

    def __init__(self) -> None:
        super().__init__("The learner service was shut down; start it again and repeat this.")
