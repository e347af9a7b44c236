"""Conversations as transformers renders them, and the tokens that TRL scores in them."""
import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def units(text):
    """Length in UTF-16 units, as JavaScript counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def render(template, conversation, tokens=TOKENS):
    """`text`, `prompt` (with the generation prompt) and `spans` (of generation tags), or `refused`."""
    from transformers.utils.chat_template_utils import render_jinja_template

    messages = [{key: value for key, value in one.items() if value is not None} for one in conversation["messages"]]
    more = {key: value for key, value in conversation.items() if key in ("tools", "documents")}
    names = {**tokens, **conversation.get("templateVariables", {})}
    try:
        texts, spans = render_jinja_template([messages], chat_template=template, return_assistant_tokens_mask=True, **more, **names)
        prompts, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=True, **more, **names)
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    [text] = texts
    ends = [[units(text[:start]), units(text[:end])] for start, end in spans[0] if start < end]
    return {"text": text, "prompt": prompts[0], "spans": ends}


def templates():
    """The templates of TRL by name."""
    import trl

    return {path.stem: path.read_text() for path in sorted((Path(trl.__file__).parent / "chat_templates").glob("*.jinja"))}


def scored(folder, conversations):
    """
    For each template of TRL and each conversation what `render` gives, with the `ids` that the tokenizer of the folder
    gives and the `mask` of those that are scored: by the template's own tags or, where it writes the same text, by
    TRL's training template; null where TRL has none. Written into a file, whose path is returned.
    """
    import transformers
    from transformers import AutoTokenizer

    transformers.logging.set_verbosity_error()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sources = templates()
    cases = []
    for name, template in sources.items():
        training = sources.get(f"{name}_training")
        for index, conversation in enumerate(conversations):
            case = {"template": name, "conversation": index, "mask": None, **render(template, conversation)}
            cases.append(case)
            if "refused" in case:
                continue
            marked = template if case["spans"] else training
            if marked is None or (marked is training and render(training, conversation).get("text") != case["text"]):
                continue
            more = {key: value for key, value in conversation.items() if key in ("tools", "documents")}
            encoded = tokenizer.apply_chat_template(
                conversation["messages"],
                chat_template=marked,
                return_assistant_tokens_mask=True,
                **more,
                **TOKENS,
                **conversation.get("templateVariables", {}),
            )
            case["ids"], case["mask"] = encoded["input_ids"], encoded["assistant_masks"]
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump({"templates": sources, "cases": cases}, file)
    return file.name
