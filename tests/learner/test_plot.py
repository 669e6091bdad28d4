"""Marks stand where their values are, in the colours they were given."""

import io

from PIL import Image

from learner.plot import (
    BOTTOM,
    LEFT,
    PALETTE,
    RIGHT,
    TOP,
    Axis,
    Panel,
    Sheet,
    episodes_axis,
    loss_axis,
    percent_axis,
    rows_axis,
)

WIDTH, HEIGHT = 400, 300
PLACE = (0, 0, WIDTH, HEIGHT)


def picture(sheet):
    return Image.open(io.BytesIO(sheet.png())).convert("RGB")


def near(pixel, colour):
    wanted = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return all(abs(a - b) < 40 for a, b in zip(pixel, wanted, strict=True))


def pixel_of(across, up):
    """Where a share of both axes lies on the sheet."""
    x = LEFT + across * (WIDTH - LEFT - RIGHT)
    return round(x), round(TOP + (1 - up) * (HEIGHT - TOP - BOTTOM))


def test_a_dot_is_where_its_values_are():
    sheet = Sheet(WIDTH, HEIGHT)
    panel = Panel(sheet, PLACE, "Title", episodes_axis(80), percent_axis())
    panel.dot((40, 0.25), PALETTE[0])
    drawn = picture(sheet)
    assert drawn.size == (WIDTH, HEIGHT)
    assert near(drawn.getpixel(pixel_of(0.5, 0.25)), PALETTE[0])
    assert not near(drawn.getpixel(pixel_of(0.5, 0.75)), PALETTE[0])


def test_a_value_off_the_axis_is_drawn_at_its_end():
    sheet = Sheet(WIDTH, HEIGHT)
    Panel(sheet, PLACE, "", episodes_axis(80), percent_axis()).dot((200, 7.0), PALETTE[1])
    assert near(picture(sheet).getpixel(pixel_of(1, 1)), PALETTE[1])


def test_lines_bands_and_bars_cover_what_they_span():
    sheet = Sheet(WIDTH, HEIGHT)
    panel = Panel(sheet, PLACE, "", Axis(0, 1, []), Axis(0, 1, []))
    panel.band([(0, 0.6, 0.9), (1, 0.6, 0.9)], PALETTE[3])
    panel.line([(0, 0.3), (1, 0.3)], PALETTE[0], 4)
    panel.bar_up(0.5, 0.05, 0.2, PALETTE[2])
    panel.bar_across(0.1, 0.2, 0.45, PALETTE[4])
    drawn = picture(sheet)
    assert near(drawn.getpixel(pixel_of(0.25, 0.75)), PALETTE[3])
    assert near(drawn.getpixel(pixel_of(0.8, 0.3)), PALETTE[0])
    assert near(drawn.getpixel(pixel_of(0.5, 0.1)), PALETTE[2])
    assert near(drawn.getpixel(pixel_of(0.15, 0.45)), PALETTE[4])
    assert near(drawn.getpixel(pixel_of(0.3, 0.5)), "#ffffff")


def test_axes_reach_from_end_to_end_and_never_have_no_width():
    assert [label for _, label in percent_axis().ticks] == ["0%", "25%", "50%", "75%", "100%"]
    assert [label for _, label in episodes_axis(80).ticks] == ["0", "20", "40", "60", "80"]
    assert episodes_axis(0).share(0) == 0.0
    assert loss_axis(0.0).high > 0
    rows = rows_axis(["first", "second"])
    assert [rows.share(value) for value, _ in rows.ticks] == [0.75, 0.25]


def test_the_same_is_drawn_the_same():
    def draw():
        sheet = Sheet(WIDTH, HEIGHT)
        panel = Panel(sheet, PLACE, "Title", episodes_axis(9), percent_axis())
        panel.name("key", PALETTE[0])
        panel.dashes(0.5, PALETTE[0])
        panel.note("nothing here")
        return sheet.png()

    assert draw() == draw()
