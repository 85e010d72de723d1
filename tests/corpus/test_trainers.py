"""Records as TRL's SFTTrainer tokenises them, against what rote reads and trains on: the same ids."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from test_corpus_rendering import SHOWN, guide_rows
from transformers import PreTrainedTokenizerFast

from fakes import merging_tokenizer, opening_tokenizer, tiny_decoder
from rote.config import CorpusConfig
from rote.corpus import ChatTokenizer, read_corpus
from rote.finetuning.encoding import encode_causal
from rote.models.tokens import token_encoder

pytestmark = pytest.mark.slow

Row = dict[str, object]
TEMPLATE = (
    "{{ bos_token }}{% if tools %}<tools>{{ tools | tojson }}</tools>\n{% endif %}{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content or '' }}"
    "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{% if name %} {{ name }}{% endif %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
ASKED, TOLD = {"role": "user", "content": "Which lamp?"}, {"role": "assistant", "content": "The brass one."}
CALL = {"type": "function", "function": {"name": "find", "arguments": {"q": "lamps"}}}
TOOLS = [{"type": "function", "function": {"name": "find", "description": "Finds."}}]
CALLING = [ASKED, {"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "name": "find", "content": "22"}, TOLD]  # fmt: skip
SHAPES: dict[str, Row] = {
    "prompt and completion": {"prompt": "Which lamp?", "completion": " The brass one."},
    "prompt and completion, blank line": {"prompt": "Which lamp?\n\n", "completion": "The brass one."},
    "text": {"text": "Which lamp? The brass one."},
    "text and another field": {"text": "Which lamp?", "answer": "The brass one."},
    "messages": {"messages": [{"role": "system", "content": "Be kind."}, ASKED, TOLD, ASKED, TOLD]},
    "conversations": {"conversations": [{"from": "user", "value": "Hi"}, {"from": "assistant", "value": "Hello"}]},
    "message lists": {"prompt": [ASKED], "completion": [TOLD]},
    "message lists of several turns": {"prompt": [ASKED, TOLD, ASKED], "completion": [TOLD]},
    "tool calls": {"messages": CALLING, "tools": TOOLS},
    "tools as text": {"messages": [ASKED, TOLD], "tools": json.dumps(TOOLS)},
    "tools of message lists": {"prompt": [ASKED], "completion": [TOLD], "tools": TOOLS},
    "reasoning": {"messages": [ASKED, {**TOLD, "reasoning_content": "It shines."}]},
    "variables of the template": {"messages": [ASKED, TOLD], "chat_template_kwargs": {"name": "clerk"}},
}


def trained(rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast, folder: Path) -> list[dict[str, list[int]]]:
    """What TRL trains on."""
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = trl.SFTConfig(str(folder), report_to="none", use_cpu=True, bf16=False)
        trainer = trl.SFTTrainer(
            tiny_decoder("llama", tokens=len(tokenizer)),
            args=settings,
            train_dataset=datasets.Dataset.from_list(list(rows)),
            processing_class=tokenizer,
        )
    return list(trainer.train_dataset)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("metaspace", [False, True])
@pytest.mark.parametrize("opens", [True, False])
def test_rote_reads_what_trl_trains_on(name: str, opens: bool, metaspace: bool, tmp_path: Path) -> None:
    """The tokenizer adds a start token; the template writes one and ends with the end token, or neither."""
    template = TEMPLATE if opens else TEMPLATE.replace("{{ bos_token }}", "").replace("</s>", "<|end|>\n")
    tokenizer = opening_tokenizer(template, metaspace=metaspace)
    row = SHAPES[name]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row) + "\n")
    corpus = read_corpus(CorpusConfig(members=str(path)), tokenizer=cast(ChatTokenizer, tokenizer))
    encoder = token_encoder(tokenizer, is_encoder_decoder=False)
    [encoded] = encode_causal(corpus.members, encoder, loss="text", limit=1024).rows
    [wanted] = trained([row], tokenizer, tmp_path / "out")
    assert list(encoded.input_ids) == wanted["input_ids"]


@pytest.mark.parametrize("name", [name for name, row in SHAPES.items() if "completion" in row])
def test_the_completion_begins_where_trl_begins_it(name: str, tmp_path: Path) -> None:
    texts = ["Which lamp? The brass one. Which lamp? The brass one."]
    tokenizer = merging_tokenizer(texts)
    tokenizer.chat_template = TEMPLATE.replace("{{ bos_token }}", "")
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(SHAPES[name]) + "\n")
    [example] = read_corpus(CorpusConfig(members=str(path)), tokenizer=cast(ChatTokenizer, tokenizer)).members
    [wanted] = trained([SHAPES[name]], tokenizer, tmp_path / "out")
    shown = token_encoder(tokenizer, is_encoder_decoder=False).content(example.prompt)
    assert [label == -100 for label in wanted["labels"]].index(False) == len(shown)


def test_trl_cuts_at_its_max_length_and_drops_what_the_prompt_fills(tmp_path: Path) -> None:
    tokenizer = opening_tokenizer("")
    rows: list[Row] = [{"prompt": "a" * 1100, "completion": "b"}, {"prompt": "a", "completion": "b" * 1100}]
    kept = trained(rows, tokenizer, tmp_path / "out")
    assert [len(row["input_ids"]) for row in kept] == [1024]


def test_the_rows_of_the_guide_are_what_trl_trains_on(tmp_path: Path) -> None:
    tokenizer = opening_tokenizer(SHOWN)
    rows = [(row, text) for trainer, row, text in guide_rows() if trainer.startswith("TRL") and "chosen" not in row]
    assert len(rows) == 5
    for number, (row, text) in enumerate(rows):
        [wanted] = trained([row], tokenizer, tmp_path / str(number))
        read = tokenizer.decode(wanted["input_ids"]).removeprefix("<s>").removesuffix("</s>")
        assert read == text.replace("▮", "")
