"""The Hub's side of the page as HTML strings: who you are there, what was found, what was pushed.

Pure functions; whatever comes from the Hub is somebody else's text and is escaped here.
"""

from html import escape

from learner.hub.client import Account
from learner.hub.push import Pushed
from learner.hub.soft_prompts import Fetched, HubPrompt
from learner.wording import count, percent


def note(text: str) -> str:
    """A line that says what is going on, read out by screen readers; empty, it keeps its room."""
    return f'<p class="spa-hub-note" role="status">{escape(text) or "&nbsp;"}</p>'


def who(account: Account) -> str:
    """Whose login a push will use."""
    return f'<p class="spa-hub-note">You push as <b>{escape(account.name)}</b>.</p>'


def pushed(result: Pushed) -> str:
    """Where the push went, and who can see it there."""
    seen_by = "only you can see it" if result.private else "everybody can see it"
    return (
        f'<p class="spa-hub-note" role="status"><span aria-hidden="true">✓</span> Pushed to '
        f"{_link(result.url, result.repo_id)} (commit {escape(result.commit[:7])}); {seen_by}.</p>"
    )


def preview(fetched: Fetched) -> str:
    """What a person wants to know of a stranger's soft prompt before going on with it."""
    about, learner = fetched.about, fetched.learner
    facts = [
        ("by", about.author if about else fetched.repo_id.split("/")[0]),
        ("made for", fetched.made_for or "a base model that it does not name"),
        ("learnt from", count(learner.episodes, "episode")),
        ("size", f"{learner.prompt.shape[0]} virtual tokens"),
        ("held out", _claim(about) if about else "not known offline"),
        ("commit", fetched.commit[:7]),
    ]
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    warning = ""
    if fetched.warning:
        warning = (
            '<p class="spa-found-warning"><span aria-hidden="true">⚠</span> '
            f"{escape(fetched.warning)}</p>"
        )
    words = f"<p>{escape(fetched.summary)}</p>" if fetched.summary else ""
    return (
        f'<article class="spa-found" role="status"><h3>{_link(fetched.url, fetched.repo_id)}</h3>'
        f"<dl>{rows}</dl>{warning}{words}</article>"
    )


def choice(prompt: HubPrompt) -> str:
    """One line of a list to choose from: its name, what its card claims, likes and date."""
    parts = [prompt.repo_id, _claim(prompt), f"♥ {prompt.likes}"]
    if prompt.last_modified is not None:
        parts.append(f"{prompt.last_modified.day} {prompt.last_modified:%B %Y}")
    return " · ".join([*parts, *(["private"] if prompt.private else [])])


def _claim(prompt: HubPrompt) -> str:
    """The accuracy that a card claims; nobody has checked it."""
    claimed = prompt.accuracy
    if claimed is None:
        return "no results given"
    return f"{percent(claimed.value)}" + (f" of {claimed.n} right" if claimed.n else " right")


def _link(url: str, words: str) -> str:
    return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(words)}</a>'
