"""The words that several families draw from. One list each, so that no family invents its own."""

PEOPLE = tuple(
    "Alice Bob Carol David Emma Frank Grace Henry Iris Jack Kate Liam Mona Noah Olga Paul Quinn "
    "Rosa Sam Tina Uma Victor Wendy Xavier Yara Zoe Anna Ben Clara Dan Ella Finn Gina Hugo Ivy "
    "Jonas Kim Leo Mia Nina".split()
)

THINGS = tuple(
    "apples books coins pens stamps cards shells marbles buttons stones cups keys "
    "balls candles ribbons tickets".split()
)


def listing(items: tuple[str, ...]) -> str:
    """``("a", "b", "c")`` -> ``"a, b and c"``."""
    return f"{', '.join(items[:-1])} and {items[-1]}"
