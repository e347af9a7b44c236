"""What huggingface_hub reads in a model card, and what the code in one prints."""

import contextlib
import io
import os
import re

from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import ModelCardData, model_index_to_eval_results


def read(folder):
    """The metadata, which must come back the same after a round through the hub's own class."""
    card = ModelCard.load(os.path.join(folder, "README.md"))
    data = card.data.to_dict()
    again = ModelCard(f"---\n{ModelCardData(**data).to_yaml()}\n---\n{card.text}").data.to_dict()
    evaluated = model_index_to_eval_results(data["model-index"]) if "model-index" in data else []
    return {"data": data, "again": again, "text": card.text, "evaluated": len(evaluated)}


def run(folder, base=None):
    """Runs the Python of the card as it stands, in the folder; `base` takes the place of a base that is no model of the hub."""
    code = re.search(r"```python\n(.*?)```", ModelCard.load(os.path.join(folder, "README.md")).text, re.S).group(1)
    if base is not None:
        code = re.sub(r'"path/to/[^"]*"', repr(base), code)
    before = os.getcwd()
    printed = io.StringIO()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), {})
    finally:
        os.chdir(before)
    return printed.getvalue()
