"""How numbers are written: always with their n, accuracies with their 95 % interval."""

from arena.statistics import Interval, detectable_change

NARROW_SPACE = "\u202f"


def accuracy(value: float, interval: Interval) -> str:
    """``62.0 % [55.1, 68.4]``."""
    return f"{value * 100:.1f} % [{interval.low * 100:.1f}, {interval.high * 100:.1f}]"


def change(value: float, interval: Interval) -> str:
    """``+31.5 [−2.0, +65.0]``, in percentage points."""
    points = f"{value * 100:+.1f} [{interval.low * 100:+.1f}, {interval.high * 100:+.1f}]"
    return points.replace("-", "−")  # as wide as its plus


def quantity(value: float, interval: Interval) -> str:
    """``0.29 [0.20, 0.38]``, in whatever unit."""
    return f"{value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def p_value(value: float) -> str:
    """``p = 0.012``, or ``p < 0.0001``."""
    if value < 1e-4:
        return "p < 0.0001"
    return f"p = {value:.4f}" if value < 0.001 else f"p = {value:.2g}"


def power(problems: int) -> str:
    """What so many paired problems can show."""
    points = detectable_change(problems) * 100
    return (
        f"n = {problems} can only see changes above ±{points:.0f} points "
        "(power 80 %, 5 % significance, if 30 % of the outcomes change)"
    )


def count(number: int, thing: str) -> str:
    """``1 seed``, ``5 seeds``, ``1,000 seeds``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """``0.625`` -> ``62 %``, with a space that does not break (half rounds to even)."""
    return f"{100 * share:.0f}{NARROW_SPACE}%"


def between(interval: Interval) -> str:
    """``55–68 %``."""
    return f"{100 * interval.low:.0f}–{percent(interval.high)}"


def small_percent(share: float) -> str:
    """A share that may be tiny: ``41 %``, ``under 1 %``."""
    return f"under 1{NARROW_SPACE}%" if 0 < share < 0.01 else percent(share)


def duration(seconds: float) -> str:
    """``12 s``, ``3 min``."""
    if seconds < 90:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min"


def table(rows: list[list[str]]) -> str:
    """A Markdown table; the first row is its heading."""
    heading, *body = rows
    lines = [heading, ["---"] * len(heading), *body]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
