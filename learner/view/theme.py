"""How the page looks: Gradio's theme variables and our own style sheet, nothing from a network."""

from pathlib import Path

import gradio as gr

FONTS = (
    "IBMPlexSans/IBMPlexSans-Regular",
    "IBMPlexSans/IBMPlexSans-Bold",
    "IBMPlexMono/IBMPlexMono-Regular",
)
ASSETS = Path(__file__).parents[2] / "assets"
SCRIPTS = ("page.js", "values.js", "hearing.js", "address.js", "stage.js", "story.js", "room.js")
STYLE_SHEETS = ("style.css", "show.css")


def head() -> str:
    """Our style sheets and scripts for ``launch(head=...)``, and the fonts they need.

    Not ``launch(css=...)``: that rewrites selectors and drops what it does not know. Fonts that
    are asked for late would move what was laid out without them.
    """
    fonts = "".join(
        f'<link rel="preload" as="font" type="font/woff2" href="static/fonts/{font}.woff2" '
        "crossorigin>"
        for font in FONTS
    )
    styles, scripts = (
        "".join((ASSETS / name).read_text(encoding="utf-8") for name in names)
        for names in (STYLE_SHEETS, SCRIPTS)
    )
    return f"{fonts}<style>{styles}</style><script>{scripts}</script>"


def theme() -> gr.themes.Base:
    """Gradio's plain theme in warm greys with an orange accent; fonts that Gradio itself ships.

    Plex has two full weights there; its SemiBold is a subset without most letters.
    """
    sans = (gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif")
    mono = (gr.themes.LocalFont("IBM Plex Mono", weights=(400,)), "ui-monospace", "monospace")
    base = gr.themes.Base(
        primary_hue="orange",
        secondary_hue="orange",
        neutral_hue="stone",
        font=sans,
        font_mono=mono,
        radius_size="lg",
    )
    return base.set(
        # Literal, as --spa-page and --spa-ink: Gradio paints with these before our styles arrive.
        body_background_fill="#faf9f7",
        body_background_fill_dark="#110f0e",
        body_text_color="#1c1917",
        body_text_color_dark="#f5f3f0",
        body_text_color_subdued="var(--spa-faint-ink)",
        body_text_color_subdued_dark="var(--spa-faint-ink)",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_padding="0px",
        block_label_text_color="var(--spa-soft-ink)",
        block_title_text_color="var(--spa-soft-ink)",
        block_title_text_size="13px",
        button_primary_background_fill="var(--spa-primary)",
        button_primary_background_fill_dark="var(--spa-primary)",
        button_primary_background_fill_hover="var(--spa-primary-hover)",
        button_primary_background_fill_hover_dark="var(--spa-primary-hover)",
        button_primary_text_color="var(--spa-on-primary)",
        button_primary_text_color_dark="var(--spa-on-primary)",
        button_secondary_background_fill="var(--spa-sunken)",
        button_secondary_background_fill_dark="var(--spa-sunken)",
        button_secondary_background_fill_hover="var(--spa-line)",
        button_secondary_background_fill_hover_dark="var(--spa-line)",
        button_secondary_text_color="var(--spa-ink)",
        button_secondary_text_color_dark="var(--spa-ink)",
        input_background_fill="var(--spa-card)",
        input_background_fill_dark="var(--spa-card)",
        input_border_color="var(--spa-strong-line)",
        input_border_color_dark="var(--spa-strong-line)",
        input_border_width="1px",
    )
