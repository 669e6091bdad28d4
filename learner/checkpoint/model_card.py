"""The README.md of a checkpoint: what the soft prompt is, and how to load it here and in PEFT."""

import dataclasses
import json
import re

from learner.learning.learner import Learner
from learner.model.source import POCKET_FOLDER, ModelSource

_FRONT_MATTER = """\
library_name: peft
{base_model}tags:
- soft-prompt
- prompt-tuning"""

_CARD = """\
---
{front_matter}
---

# Soft prompt for {name}

{tokens} learnt vectors of size {size} that stand in front of the input embeddings of the frozen
language model `{name}` (revision `{revision}`): prompt tuning, after
[Lester et al., 2021](https://arxiv.org/abs/2104.08691). Nothing else was trained, and the vectors
mean something to this base model only. Learnt from {episodes} problems{families} in {steps}
optimiser steps, {asked}.

Settings:

```json
{settings}
```

{sections}## Load it

{how} The two `training_state` files hold what training needs to go on exactly where it stopped.

In [PEFT](https://github.com/huggingface/peft), which reads only the two `adapter` files:

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base_model = AutoModelForCausalLM.from_pretrained({source}
model = PeftModel.from_pretrained(base_model, "{place}")
```
"""

_FROM_FOLDER = """\
In the app that made it: **Load** takes this folder as a zip file. On its command line:
`python -m learner evaluate --checkpoint FOLDER`."""

_FROM_HUB = """\
In the app that made it: type `{repo_id}` under **Save & share**, or add `?prompt={repo_id}` to the
app's address. On its command line: `python -m learner pull {repo_id} FOLDER`, then
`python -m learner evaluate --checkpoint FOLDER`."""

_CURVE = """\
## Training

![Loss and share of right answers over {episodes} episodes]({file})
"""


def model_card(
    learner: Learner,
    curve_file: str | None = None,
    repo_id: str | None = None,
    front_matter: str | None = None,
    sections: str = "",
) -> str:
    """The card as Markdown behind YAML front matter, made from nothing but the learner.

    ``curve_file`` names the picture of its training that lies beside the card. For the Hub:
    ``repo_id`` is where it is loaded from, ``front_matter`` replaces the YAML, and ``sections`` is
    Markdown that goes in before the instructions.
    """
    base_model = learner.source.hub_id
    tokens, size = learner.prompt.shape
    parts = [sections] if sections else []
    if curve_file:
        parts.append(_CURVE.format(episodes=learner.episodes, file=curve_file))
    return _CARD.format(
        front_matter=front_matter
        or _FRONT_MATTER.format(base_model=f"base_model: {base_model}\n" if base_model else ""),
        sections="".join(f"{part}\n" for part in parts),
        how=_FROM_HUB.format(repo_id=repo_id) if repo_id else _FROM_FOLDER,
        place=repo_id or "FOLDER",
        name=_plain(learner.source.name),
        revision=_plain(learner.source.revision),
        tokens=tokens,
        size=size,
        episodes=learner.episodes,
        families=_families(learner),
        steps=learner.steps,
        asked="with the chat template" if learner.config.chat_template else "without chat template",
        settings=json.dumps(dataclasses.asdict(learner.config), indent=2, ensure_ascii=False),
        source=_loaded_from(learner.source),
    )


def _loaded_from(source: ModelSource) -> str:
    """What transformers takes the base model from, as the end of a line of Python."""
    if source.is_embedded:
        return json.dumps("/".join(POCKET_FOLDER.parts[-2:])) + ")  # a folder of the app"
    if source.gguf_file is not None:
        file = f"gguf_file={json.dumps(source.gguf_file)}"
        return f"{json.dumps(source.hub_id or 'FOLDER')}, {file})"
    where = "" if source.hub_id else "  # a folder with the weights of that revision"
    return f"{json.dumps(source.name)}){where}"


def _families(learner: Learner) -> str:
    names = ", ".join(name.replace("_", " ") for name in learner.families)
    return f" ({names})" if names else ""


def _plain(text: str) -> str:
    """``text`` in one line and without what Markdown could take for markup."""
    return " ".join(re.sub(r"[`<>\[\]|]", " ", text).split())
