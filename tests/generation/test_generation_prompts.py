import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import byte_tokenizer, examples, merging_tokenizer
from rote.config import GenerationConfig
from rote.errors import ModelError
from rote.generation import cut_prompts, moved_sentence, prompting_hint
from rote.generation.prompts import long_sentence, trained_part, trained_sentence
from rote.models.tokens import length_batches, token_encoder
from rote.records import Example

BYTES = byte_tokenizer()
MERGING = merging_tokenizer(["the quick brown fox, the quicker fox; the quickest fox — naïve 狐 🦊"] * 3)


def prefixes(text: str, prefix_tokens: int, tokenizer=BYTES):
    config = GenerationConfig(prompt="prefix", prefix_tokens=prefix_tokens)
    return cut_prompts(examples([text]), tokenizer, config=config, is_encoder_decoder=False)


def records(example: Example, *, prompt="record", is_encoder_decoder=False):
    config = GenerationConfig(prompt=prompt, prefix_tokens=3)
    return cut_prompts([example], BYTES, config=config, is_encoder_decoder=is_encoder_decoder)


def test_prefix_is_cut_after_that_many_tokens():
    prompt = prefixes("0123456789", 4).prompts[0]
    assert (prompt.text, prompt.reference) == ("0123", "456789")


def test_cut_inside_a_character_moves_back_to_its_beginning():
    prompt = prefixes("ab🦊cd", 4).prompts[0]
    assert (prompt.text, prompt.reference) == ("ab", "🦊cd")


@settings(max_examples=100)
@given(st.text(min_size=1, max_size=60), st.integers(1, 40), st.sampled_from([BYTES, MERGING]))
def test_prefix_and_reference_are_the_text_and_the_prefix_keeps_its_ids(text, count, tokenizer):
    cut = prefixes(text, count, tokenizer)
    assert len(cut.prompts) + len(cut.unmeasurable) == 1
    for prompt in cut.prompts:
        encoder = token_encoder(tokenizer, is_encoder_decoder=False)
        shown, whole = encoder.content(prompt.text), encoder.content(text)
        assert prompt.text + prompt.reference == text
        assert 0 < len(shown) <= count
        assert whole[: len(shown)] == shown
        assert encoder.reference(prompt) == whole[len(shown) :]


def test_prefix_is_the_longest_possible():
    text = "the quick brown fox, the quicker fox"
    encoder = token_encoder(MERGING, is_encoder_decoder=False)
    whole = encoder.tokenized(text)
    for count in range(1, len(whole.ids)):
        possible = [
            end for end in whole.ends[:count] if encoder.content(text[:end]) == whole.ids[: whole.ends.index(end) + 1]
        ]
        assert prefixes(text, count, MERGING).prompts[0].text == text[: max(possible)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("abcd", "nothing left"),
        ("abcd  ", "nothing left"),
        ("🦊 fox and hound", "no prompt"),
    ],
)
def test_a_text_that_cannot_be_cut_is_a_null_with_a_reason(text, reason):
    cut = prefixes(text, 4 if text != "🦊 fox and hound" else 3)
    assert cut.prompts == []
    assert [score.subject_id for score in cut.unmeasurable] == [examples([text])[0].id]
    assert cut.unmeasurable[0].value is None
    assert reason in cut.unmeasurable[0].reason


def test_record_mode_shows_the_records_own_prompt():
    prompt = records(Example("e", "Question?\n", "Answer.", "member", "g")).prompts[0]
    assert (prompt.text, prompt.reference, prompt.example_id) == ("Question?\n", "Answer.", "e")


@pytest.mark.parametrize(
    ("prompt", "completion", "reason"),
    [
        ("", "Answer.", "no prompt"),
        ("\n", "Answer.", "no prompt"),
        ("Question?", " ", "nothing left"),
        ("", "", "empty"),
    ],
)
def test_record_mode_without_prompt_or_completion_is_a_null(prompt, completion, reason):
    cut = records(Example("e", prompt, completion, "member", "g"))
    assert cut.prompts == []
    assert reason in cut.unmeasurable[0].reason


@pytest.mark.parametrize(("is_encoder_decoder", "text"), [(False, "Que"), (True, "Question?\n")])
def test_auto_is_prefix_for_decoders_and_record_for_encoder_decoders(is_encoder_decoder, text):
    example = Example("e", "Question?\n", "Answer.", "member", "g")
    assert records(example, prompt="auto", is_encoder_decoder=is_encoder_decoder).prompts[0].text == text


def test_prompt_ids_depend_on_example_kind_and_prefix_length_alone():
    example = Example("e", "Question?\n", "Answer.", "member", "g")
    prefix_ids = {prefixes("0123456789", count).prompts[0].id for count in (3, 4)}
    record_id = records(example).prompts[0].id
    assert len(prefix_ids | {record_id}) == 3
    assert records(example).prompts[0].id == record_id
    assert records(example, prompt="prefix").prompts[0].id == records(example, prompt="auto").prompts[0].id


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "\x1b[31mred\x00",
        "\u202eabc\u202c",
        "a\ud800b\udfffc",
        "</s><s><pad>ok",
        "x" * 1_000_000,
    ],
)
def test_hostile_texts_are_cut_and_stay_as_they_are(text):
    prompt = prefixes(text, 4).prompts[0]
    assert prompt.text + prompt.reference == text


def test_special_tokens_around_a_text_belong_to_the_prompt_and_only_encoders_read_the_end():
    tokenizer = byte_tokenizer(encloses=True)
    prompt = prefixes("0123456789", 4, tokenizer).prompts[0]
    assert prompt.text == "0123"
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    causal = token_encoder(tokenizer, is_encoder_decoder=False).prompt(prompt)
    both = token_encoder(tokenizer, is_encoder_decoder=True)
    assert (causal[0], len(causal)) == (start, 5)
    assert both.prompt(prompt) == [*causal, end]
    assert both.target_before == (start,)
    assert both.shortened(both.prompt(prompt), 4) == [start, *causal[-2:], end]


def test_slow_tokenizers_are_refused_in_prefix_mode():
    class Slow:
        is_fast = False
        name_or_path = "old-model"

        def __call__(self, text=None, *, text_target=None, **_):
            return {"input_ids": [ord(char) for char in text or text_target]}

    with pytest.raises(ModelError, match=r"old-model: no fast tokenizer"):
        prefixes("0123456789", 4, Slow())


@settings(max_examples=50)
@given(st.lists(st.text("abc", max_size=9), unique=True), st.integers(1, 5), st.randoms())
def test_batches_do_not_depend_on_the_order(items, size, random):
    batches = length_batches(items, size=size, length=len, key=str)
    shuffled = random.sample(items, len(items))
    assert length_batches(shuffled, size=size, length=len, key=str) == batches
    assert [len(item) for batch in batches for item in batch] == sorted(map(len, items), reverse=True)
    assert all(len(batch) == size for batch in batches[:-1])


WORDS = merging_tokenizer(["User: a lamp\nAssistant: Yes, a lamp.\n\n\nUser: a key\nAssistant: Yes, a key."] * 20)


@pytest.mark.parametrize(
    ("prompt", "completion", "shown"),
    [
        ("User: a lamp\nAssistant: ", "Yes, a lamp.", "User: a lamp\nAssistant:"),
        ("User: a lamp\nAssistant:", " Yes, a lamp.", "User: a lamp\nAssistant:"),
        ("User: a lamp\nAssistant: Y", "es, a lamp.", "User: a lamp\nAssistant:"),
        ("User: a lamp\nAssistant: Yes, a lamp.\n", "\n\nUser: a key", "User: a lamp\nAssistant: Yes, a lamp."),
    ],
)
def test_a_prompt_that_ends_inside_a_token_is_cut_back_to_the_boundary_before(prompt, completion, shown):
    example = Example("e", prompt, completion, "member", "g")
    config = GenerationConfig(prompt="record")
    cut = cut_prompts([example], WORDS, config=config, is_encoder_decoder=False)
    encoder = token_encoder(WORDS, is_encoder_decoder=False)
    found = cut.prompts[0]
    assert (found.text, found.text + found.reference) == (shown, example.text)
    assert [*encoder.prompt(found), *encoder.reference(found)] == encoder.content(example.text)
    assert cut.moved == ({found.id: len(prompt) - len(shown)} if shown != prompt else {})
    sentence = moved_sentence(cut)
    assert sentence.startswith("1 of 1 prompts end inside a token") if shown != prompt else not sentence
    whole = cut_prompts([example], WORDS, config=config, is_encoder_decoder=True)
    assert (whole.prompts[0].text, whole.moved) == (prompt, {}), "an encoder reads the prompt by itself"


@settings(max_examples=100)
@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40), st.sampled_from([BYTES, MERGING, WORDS]))
def test_record_prompts_keep_the_tokens_of_the_text_and_are_as_long_as_possible(prompt, completion, tokenizer):
    example = Example("e", prompt, completion, "member", "g")
    cut = cut_prompts([example], tokenizer, config=GenerationConfig(prompt="record"), is_encoder_decoder=False)
    encoder = token_encoder(tokenizer, is_encoder_decoder=False)
    whole = encoder.content(example.text)
    for found in cut.prompts:
        shown = encoder.content(found.text)
        assert found.text + found.reference == example.text
        assert [*shown, *encoder.reference(found)] == whole
        longer = (encoder.content(example.text[:end]) for end in range(len(found.text) + 1, len(prompt) + 1))
        assert not any(whole[: len(ids)] == ids for ids in longer)


def test_records_that_are_too_short_for_a_prefix_name_the_remedy():
    pairs = [Example("e", "Capital?\n", "Rome", "member", "g")]
    texts = examples(["abcd"])
    config = GenerationConfig(prompt="prefix", prefix_tokens=50)
    for given_examples, words in ((pairs, "--prompt record"), (texts, "--prefix-tokens")):
        cut = cut_prompts(given_examples, BYTES, config=config, is_encoder_decoder=False)
        assert words in prompting_hint(cut.unmeasurable, given_examples, config)
    own = GenerationConfig(prompt="record")
    assert (
        prompting_hint(cut_prompts(texts, BYTES, config=own, is_encoder_decoder=False).unmeasurable, texts, own) == ""
    )


def test_what_the_trainer_cut_off_is_not_measured_and_what_it_dropped_is_left_out():
    whole = Example("a", "abc", "de", "member", "a")
    longer = Example("b", "abc", "defgh", "member", "b")
    dropped = Example("c", "abcdef", "gh", "member", "c")
    other = Example("d", "abc", "defghi", "non-member", "d")
    encoder = token_encoder(BYTES, is_encoder_decoder=False)
    found = trained_part([whole, longer, dropped, other], encoder, 5)
    assert [(item.id, item.text) for item in found.examples] == [("a", "abcde"), ("b", "abcde"), ("d", "abcde")]
    assert [(score.subject_id, score.reason) for score in found.never] == [
        ("c", "never trained on: its prompt fills the 5 tokens of corpus.trained_tokens")
    ]
    assert "1 records whose prompt fills them" in trained_sentence(found, 5)
    assert "1 longer members" in trained_sentence(found, 5)
    assert trained_sentence(trained_part([whole], encoder, 5), 5) == ""


def test_members_longer_than_trls_default_are_counted():
    encoder = token_encoder(BYTES, is_encoder_decoder=False)
    long, short = examples(["x" * 1025, "y" * 1024])
    assert "1 members are longer than 1,024 tokens" in long_sentence([long, short], encoder)
    assert long_sentence([short], encoder) == ""
