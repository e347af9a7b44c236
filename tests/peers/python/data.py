"""What `datasets` and TRL make of files: the split of a folder, and the tokens and labels of its samples."""
import json
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def load():
    """Imports the libraries, which takes longer than any question."""
    import datasets  # noqa: F401
    import trl  # noqa: F401
    from trl import SFTTrainer  # noqa: F401


def sides(folders):
    """For each list of paths in a folder, the files of each split that `load_dataset(folder)` would read."""
    from datasets.data_files import DataFilesDict, EmptyDatasetError, get_data_patterns

    found = []
    for paths in folders:
        with tempfile.TemporaryDirectory() as root:
            for path in paths:
                target = Path(root, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text("x")
            try:
                files = DataFilesDict.from_patterns(get_data_patterns(root), base_path=root)
                found.append({str(split): [os.path.relpath(file, root) for file in files[split]] for split in files})
            except (EmptyDatasetError, FileNotFoundError):
                found.append({})
    return found


def card_sides(cards):
    """For each front matter of a README.md and list of paths, the files of each split; None where a name is needed."""
    import datasets

    found = []
    for card, paths in cards:
        with tempfile.TemporaryDirectory() as root:
            for path in paths:
                target = Path(root, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text('{"text": "x"}\n')
            Path(root, "README.md").write_text(f"---\n{card}---\n# Card\n")
            try:
                files = datasets.load_dataset_builder(root).config.data_files
                found.append({str(split): [os.path.relpath(file, root) for file in files[split]] for split in files})
            except ValueError:
                found.append(None)
    return found


def prepare(data, tokenizer, assistant_only_loss=False, completion_only_loss=None, remove_none=False):
    """Ids and labels of each sample of a file or folder, as TRL's SFTTrainer prepares them."""
    import datasets
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer
    from trl.trainer.utils import remove_none_values

    datasets.disable_progress_bars()
    kind = "parquet" if data.endswith(".parquet") else "json"
    with tempfile.TemporaryDirectory() as cache:
        if os.path.isdir(data):
            dataset = datasets.load_dataset(data, split="train", cache_dir=cache)
        else:
            dataset = datasets.load_dataset(kind, data_files=data, split="train", cache_dir=cache)
        if remove_none:
            dataset = datasets.Dataset.from_list([remove_none_values(row) for row in dataset], on_mixed_types="use_json")
        tok = AutoTokenizer.from_pretrained(tokenizer)
        first = dataset[0]
        if completion_only_loss is None:
            completion_only_loss = "prompt" in first and "completion" in first
        trainer = SimpleNamespace(_tokenizer=tok, chat_template=tok.chat_template, completion_only_loss=completion_only_loss)
        args = SFTConfig(output_dir=cache, max_length=None, assistant_only_loss=assistant_only_loss, use_cpu=True, bf16=False)
        ready = SFTTrainer._prepare_dataset(trainer, dataset, tok, args, False, None, "train")
        return [{"ids": list(row["input_ids"]), "labels": list(row["labels"])} for row in ready]
