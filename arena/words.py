"""The words that several families draw from. One list each, so that no family invents its own."""

PEOPLE = tuple(
    "Alice Bob Carol David Emma Frank Grace Henry Iris Jack Kate Liam Mona Noah Olga Paul Rosa Sam "
    "Tina Victor".split()
)

THINGS = tuple("apples books coins pens stamps cards shells marbles buttons keys".split())


def listing(items: tuple[str, ...]) -> str:
    """``("a", "b", "c")`` -> ``"a, b and c"``."""
    return f"{', '.join(items[:-1])} and {items[-1]}"
