"""The offline paraphrase decision, and a Hugging Face classifier with random weights."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_pairs import LabelledPair
from paraphrase import decisions, rows

from rote.alignment import SentencePair, make_aligner
from rote.alignment.paraphrase import (
    COEFFICIENTS,
    FEATURES,
    LexicalClassifier,
    features,
    load_classifier,
    paraphrase_label,
)
from rote.config import AlignmentConfig
from rote.errors import ModelError

SENTENCE = "The doctor prescribed two tablets of ibuprofen every eight hours for her swollen knee."


def probability(generated: str, training: str) -> float:
    (found,) = LexicalClassifier().probabilities([SentencePair(generated, training)])
    return found


def test_paraphrases_are_told_from_other_sentences() -> None:
    assert probability("Every eight hours, two ibuprofen tablets were prescribed for the swollen knee.", SENTENCE) > 0.5
    assert probability("The mayor opened the new library on Saturday morning.", SENTENCE) < 0.1
    assert probability("", SENTENCE) < 0.1
    assert probability("...", "!!!") < 0.1


def test_nearly_equal_sentences_are_nearly_certain_and_reordered_ones_are_not() -> None:
    assert probability(SENTENCE.replace("swollen", "bruised"), SENTENCE) > 0.99
    assert 0.5 < probability(" ".join(reversed(SENTENCE.split())), SENTENCE) < 0.99


def test_a_changed_number_or_negation_lowers_the_probability() -> None:
    base = "Rest the left leg, and take 2 tablets daily."
    one = probability("Take 2 tablets daily and rest the left leg now.", base)
    assert probability("Take 4 tablets daily and rest the left leg now.", base) < one
    assert probability("Take 2 tablets daily and never rest the left leg.", base) < probability(
        "Take 2 tablets daily and always rest the left leg.", base
    )


@given(one=st.text(max_size=60), two=st.text(max_size=60))
@settings(max_examples=100)
def test_features_are_shares_and_symmetric(one: str, two: str) -> None:
    values = features(SentencePair(one, two), "en")
    assert len(values) == len(FEATURES) == len(COEFFICIENTS)
    assert all(-1e-9 <= value <= 1 + 1e-9 for value in values)
    assert values == pytest.approx(features(SentencePair(two, one), "en"))
    assert probability(one, two) == pytest.approx(probability(two, one))


def test_more_in_common_never_means_less_probable() -> None:
    assert min(COEFFICIENTS) >= 0


@pytest.mark.parametrize(
    ("labels", "index"),
    [
        ({0: "not_equivalent", 1: "equivalent"}, 1),
        ({0: "equivalent", 1: "not_equivalent"}, 0),
        ({0: "is paraphrase", 1: "not paraphrase"}, 0),
        ({0: "entailment", 1: "neutral", 2: "contradiction"}, 0),
        ({0: "contradiction", 1: "non-entailment", 2: "other"}, 2),
        ({0: "LABEL_0", 1: "LABEL_1"}, 1),
    ],
)
def test_the_label_is_found_by_name(labels: dict[int, str], index: int) -> None:
    assert paraphrase_label(labels) == index


@pytest.fixture(scope="module")
def classifier_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight BERT classifier over bytes, label 0 = equivalent."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    torch.manual_seed(0)
    torch.set_num_threads(1)
    vocabulary = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2}
    for piece in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[piece] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    folder = tmp_path_factory.mktemp("classifier")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=128
    )
    fast.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        id2label={0: "equivalent", 1: "not_equivalent"},
        label2id={"equivalent": 0, "not_equivalent": 1},
    )
    model = BertForSequenceClassification(config)
    model.save_pretrained(folder)
    return folder


def test_a_hugging_face_classifier_by_folder(classifier_folder: Path) -> None:
    classifier = load_classifier(str(classifier_folder), device="cpu")
    assert classifier.label == 0
    pairs = [
        SentencePair(SENTENCE, "Short."),
        SentencePair("A\0b\ud800", "\u202e" * 9),
        SentencePair("x" * 5000, "y"),
        SentencePair("", ""),
    ]
    together = classifier.probabilities(pairs)
    assert all(0 < value < 1 for value in together)
    assert together == pytest.approx([classifier.probabilities([pair])[0] for pair in pairs], abs=1e-5)
    assert classifier.probabilities([]) == []


def test_the_named_classifier_is_used(classifier_folder: Path) -> None:
    aligner = make_aligner(AlignmentConfig(paraphrase_model=str(classifier_folder)))
    assert 0 < aligner.judge.classifier.probabilities([SentencePair("a", "b")])[0] < 1


def test_the_benchmark_measures_a_named_classifier(classifier_folder: Path) -> None:
    pairs = [
        LabelledPair(name, f"{number:x}{half}", SentencePair(SENTENCE, SENTENCE[number:]), number < 8, number > 14)
        for name in ("msrp", "pan", "sts")
        for half in ("1", "2")
        for number in range(16)
    ]
    found = list(rows(pairs, decisions(pairs, str(classifier_folder))))
    assert len(found) == 2 * 3 * 4
    named = [line for line in found if line["decision"] == str(classifier_folder)]
    assert {(line["half"], line["set"], line["threshold"]) for line in named} == {
        (half, name, 0.5) for half in ("a", "b") for name in ("msrp", "pan", "sts")
    }
    assert all(0 <= line["brier"] <= 1 and line["n"] == 15 for line in named)


def test_a_missing_classifier_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere: no such model folder"):
        load_classifier(str(tmp_path / "nowhere"))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="no sentence-pair classifier can be loaded"):
        load_classifier(str(tmp_path))
