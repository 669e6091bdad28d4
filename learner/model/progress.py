"""How far a download or a conversion is, told in words while its bar shows on the console."""

from collections.abc import Callable
from typing import Any

from huggingface_hub.utils import tqdm

Tell = Callable[[str], None]
"""Takes what is being done. What it raises ends the work."""


def telling(tell: Tell, what: str, size: int) -> type[tqdm]:
    """A bar that tells, too, how much of ``size`` bytes is done; of several, the fullest does."""
    told = 0.0

    class Telling(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.counts_bytes = options.get("unit") == "B"  # and not files
            self.done = options.get("initial") or 0

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal told
            if self.counts_bytes:
                self.done += n or 0
                if size and self.done > told:
                    told = self.done
                    tell(f"{what}, {min(100, 100 * told / size):.0f} % of {size / 1e6:.0f} MB")
            shown: bool | None = super().update(n)
            return shown

    return Telling


def unheard(what: str) -> None:
    """Tells nobody."""
