import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from rote.config import FinetuningConfig
from rote.errors import ConfigError, DataError
from rote.finetuning import repeat_members
from rote.finetuning.encoding import IGNORED, encode_causal, encode_pairs
from rote.finetuning.repetition import step_limit, to_jsonl
from rote.models.tokens import TokenEncoder, token_encoder
from rote.records import Example, content_id

START, END, PAD = "<s>", "</s>", "<pad>"


def tokenizer(*, start: bool = False, merges: tuple[tuple[str, str], ...] = ()) -> PreTrainedTokenizerFast:
    """One token a byte, and the merges; `start` puts <s> before a text."""
    names = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    inner = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=list(merges)))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=START, eos_token=END, pad_token=PAD)
    if start:
        fast.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{START} $A", special_tokens=[(START, fast.bos_token_id)]
        )
    return fast


def causal(fast: PreTrainedTokenizerFast) -> TokenEncoder:
    return token_encoder(fast, is_encoder_decoder=False)


def example(completion: str, *, prompt: str = "", group: str = "", copies: int = 1) -> Example:
    name = content_id(prompt, completion)
    return Example(id=name, prompt=prompt, completion=completion, split="member", group=group or name, copies=copies)


def shown(fast: PreTrainedTokenizerFast, ids: tuple[int, ...]) -> list[str]:
    """Each token as text; "-" where it is outside the loss."""
    return ["-" if one == IGNORED else fast.decode([one]) for one in ids]


PLAIN = tokenizer()


def test_whole_text_is_scored_but_its_first_token_which_nothing_predicts():
    encoded = encode_causal([example("cd", prompt="ab")], causal(PLAIN), loss="text", limit=99)
    assert shown(PLAIN, encoded.rows[0].input_ids) == ["a", "b", "c", "d", END]
    assert shown(PLAIN, encoded.rows[0].labels) == ["-", "b", "c", "d", END]


def test_completion_alone_is_scored_with_its_end_token():
    encoded = encode_causal([example("cd", prompt="ab")], causal(PLAIN), loss="completion", limit=99)
    assert shown(PLAIN, encoded.rows[0].input_ids) == ["a", "b", "c", "d", END]
    assert shown(PLAIN, encoded.rows[0].labels) == ["-", "-", "c", "d", END]


def test_start_token_is_read_and_the_first_letter_then_scored():
    fast = tokenizer(start=True)
    text, completion = (
        encode_causal([example("cd", prompt="ab")], causal(fast), loss=loss, limit=99)
        for loss in ("text", "completion")
    )
    assert shown(fast, text.rows[0].input_ids) == [START, "a", "b", "c", "d", END]
    assert shown(fast, text.rows[0].labels) == ["-", "a", "b", "c", "d", END]
    assert shown(fast, completion.rows[0].labels) == ["-", "-", "-", "c", "d", END]


def test_token_across_the_border_of_prompt_and_completion_is_scored():
    fast = tokenizer(merges=(("b", "c"),))
    encoded = encode_causal([example("cd", prompt="ab")], causal(fast), loss="completion", limit=99)
    assert shown(fast, encoded.rows[0].input_ids) == ["a", "bc", "d", END]
    assert shown(fast, encoded.rows[0].labels) == ["-", "bc", "d", END]


def test_without_a_prompt_completion_loss_is_text_loss():
    both = [encode_causal([example("abc")], causal(PLAIN), loss=loss, limit=99) for loss in ("text", "completion")]
    assert both[0].rows == both[1].rows


def test_long_texts_are_cut_and_counted_and_those_without_a_scored_token_left_out():
    records = [example("12345"), example("ef", prompt="abcd"), example("1234")]
    encoded = encode_causal(records, causal(PLAIN), loss="completion", limit=4)
    assert [shown(PLAIN, row.input_ids) for row in encoded.rows] == [["1", "2", "3", "4"]] * 2
    assert (encoded.cut, encoded.left_out) == (3, 1)
    assert [kept.text for kept in encoded.examples] == ["12345", "1234"]


@pytest.mark.parametrize("hostile", ["\ud800", "\x00", "</s>", "<pad>", "\u202eabc", "a" * 100_000, "\x1b[31m"])
def test_hostile_texts_are_encoded(hostile: str):
    encoded = encode_causal([example("x" + hostile)], causal(PLAIN), loss="text", limit=64)
    assert 1 < len(encoded.rows[0].input_ids) <= 64
    assert to_jsonl([example("x" + hostile)]).count(b"\n") == 1


def test_encoder_decoder_reads_the_prompt_and_writes_the_completion():
    pairs = token_encoder(PLAIN, is_encoder_decoder=True)
    encoded = encode_pairs([example("cd", prompt="ab\n")], pairs, limit=99)
    assert shown(PLAIN, encoded.rows[0].input_ids) == ["a", "b", "\n"]
    assert shown(PLAIN, encoded.rows[0].labels) == ["c", "d", END]


def test_encoder_decoder_halves_a_record_without_prompt():
    fast = tokenizer(start=True)
    encoded = encode_pairs([example("abcde"), example("a")], token_encoder(fast, is_encoder_decoder=True), limit=99)
    assert shown(fast, encoded.rows[0].input_ids) == [START, "a", "b"]
    assert shown(fast, encoded.rows[0].labels) == [START, "c", "d", "e", END]
    assert (encoded.halved, encoded.left_out) == (2, 1)


def test_encoder_decoder_cuts_each_side():
    pairs = token_encoder(PLAIN, is_encoder_decoder=True)
    encoded = encode_pairs([example("12", prompt="abcdef"), example("123456", prompt="a")], pairs, limit=4)
    assert [len(row.input_ids) for row in encoded.rows] == [4, 1]
    assert [len(row.labels) for row in encoded.rows] == [3, 4]
    assert encoded.cut == 2


def test_members_are_dealt_into_equal_parts_and_repeated():
    members = [example(f"text {number}") for number in range(50)]
    times = Counter(each.id for each in repeat_members(members, (1, 2, 4, 8, 16), 0))
    assert Counter(times.values()) == {1: 10, 2: 10, 4: 10, 8: 10, 16: 10}
    assert times != Counter(each.id for each in repeat_members(members, (1, 2, 4, 8, 16), 1))


def test_copies_in_the_file_are_trained_on_as_often():
    members = [example("once"), example("thrice", copies=3)]
    assert [each.completion for each in repeat_members(members, (), 0)] == ["once", "thrice", "thrice", "thrice"]
    assert Counter(each.completion for each in repeat_members([members[1]], (2,), 0)) == {"thrice": 6}


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=3, max_size=12),
    repetition=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    seed=st.integers(0, 99),
)
def test_dealing_never_cuts_a_group_is_even_and_forgets_the_order(sizes: list[int], repetition: list[int], seed: int):
    members = [example(f"{group}/{each}", group=str(group)) for group, size in enumerate(sizes) for each in range(size)]
    times = Counter(each.id for each in repeat_members(members, repetition, seed))
    of_group: dict[str, set[int]] = {}
    for member in members:
        of_group.setdefault(member.group, set()).add(times[member.id])
    assert all(len(found) == 1 and found <= set(repetition) for found in of_group.values())
    turned = random.Random(seed).sample(members, len(members))
    assert Counter(each.id for each in repeat_members(turned, repetition, seed)) == times
    if len(set(repetition)) == len(repetition):
        filled = Counter(times.values())
        assert max(filled.values()) - min(filled[one] for one in repetition) <= max(sizes)


def test_repetition_below_one_and_too_few_groups_are_told():
    with pytest.raises(ConfigError, match=r"repetition.*>= 1, found 0"):
        repeat_members([example("a")], (1, 0), 0)
    with pytest.raises(DataError, match=r"3 parts, but the 4 members form only 2 duplicate groups"):
        repeat_members([example(str(n), group=str(n % 2)) for n in range(4)], (1, 2, 4), 0)


def test_token_budget_keeps_the_steps_of_the_unrepeated_rows():
    config = FinetuningConfig(
        epochs=2.5, batch_size=4, gradient_accumulation=2, repetition=(1, 8), keep_token_budget=True
    )
    assert step_limit(config, 20) == 8  # 20 rows: 5 batches, 3 steps, times 2.5
    assert step_limit(FinetuningConfig(repetition=(1, 8)), 20) == 0
    assert step_limit(FinetuningConfig(steps=7), 20) == 7


def read_back(line: str) -> str:
    """What a reader makes of a row: prompt and completion with nothing between; the text where there is no prompt."""
    row = json.loads(line)
    return row["text"] if "text" in row else row["prompt"] + row["completion"]


@given(prompt=st.text(st.characters(codec="utf-8") | st.just("\n")), completion=st.text(min_size=1))
@settings(max_examples=100)
def test_data_file_reads_back_to_the_text_that_was_trained_on(prompt: str, completion: str):
    written = to_jsonl([example(completion, prompt=prompt)]).decode("utf-8")
    assert read_back(written) == prompt + completion
    assert ("prompt" in json.loads(written)) == bool(prompt.strip())


def test_data_file_of_repeated_rows_holds_each_as_often():
    rows = repeat_members([example("c", prompt="p\n", copies=3)], (), 0)
    assert to_jsonl(rows) == b'{"prompt":"p\\n","completion":"c"}\n' * 3
