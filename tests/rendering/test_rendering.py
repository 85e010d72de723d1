"""How a record is shown, and whether the losses say that it was trained on in this form."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes import MemoryStore, byte_tokenizer, examples, merging_tokenizer
from rote import demonstration
from rote.config import CorpusConfig, GenerationConfig
from rote.corpus.formats import Fields
from rote.corpus.rendering import Rendering, ShapeReader
from rote.generation import cut_prompts
from rote.models import LoadedModel, load_model
from rote.models.tokens import model_encoder, token_encoder
from rote.records import Estimate, Example, RenderingPass
from rote.rendering.judging import LEAST_NATS, judge, rendering_losses
from rote.rendering.layouts import AUDITED, answers_of, layouts
from rote.rendering.record import COMPLETION, PROMPT_ENDS, record_lines
from rote.rendering.sentences import brief, lead, others, summary
from rote.rendering.trying import TRIED_RECORDS, tried_members, try_layouts
from rote.scoring.gates import Gate, check_gates

WORDS = merging_tokenizer(["User: a lamp\nAssistant: Yes, a lamp."] * 20)


def shown(example: Example, *, prompt: str = "record", is_encoder_decoder: bool = False, show_pii: bool = True) -> str:
    config = GenerationConfig(prompt=prompt, prefix_tokens=3)
    tokenizer = byte_tokenizer(encloses=True) if is_encoder_decoder else WORDS
    cut = cut_prompts([example], tokenizer, config=config, is_encoder_decoder=is_encoder_decoder)
    encoder = token_encoder(tokenizer, is_encoder_decoder=is_encoder_decoder)
    return "\n".join(record_lines(example, cut.prompts[0], encoder, show_pii=show_pii))


def test_a_record_shows_its_tokens_and_where_prompt_and_completion_meet() -> None:
    example = Example("e", "User: a lamp\nAssistant: ", "Yes, a lamp.", "member", "g", file="a.jsonl", line=3)
    text = shown(example)
    assert "a.jsonl, line 3" in text
    assert f"Assistant¦:¦{PROMPT_ENDS} {COMPLETION}Yes" in text
    assert "\\n¦" in text, "a line feed is no line feed in the line"
    assert f"¦{PROMPT_ENDS}{COMPLETION}¦" not in shown(replace(example, prompt="User: a lamp\nAssistant:"))


def test_a_record_without_a_prompt_has_no_mark_of_a_completion() -> None:
    text = shown(examples(["User: a lamp\nAssistant: Yes, a lamp."])[0], prompt="prefix")
    assert PROMPT_ENDS in text
    assert COMPLETION not in text


def test_an_encoder_decoder_reads_the_prompt_and_writes_the_completion() -> None:
    text = shown(Example("e", "ab", "cd", "member", "g"), is_encoder_decoder=True)
    assert "<s>¦a¦b¦</s>" in text
    assert "c¦d" in text.splitlines()[-1]


def test_personal_data_are_masked_unless_they_are_asked_for() -> None:
    example = Example("e", "User: a lamp\n", "Mail jane.doe@example.com today.", "member", "g")
    assert "▮" in shown(example, show_pii=False)
    assert "▮" not in shown(example)


def passes(rendering: str, model: str, losses: list[float], *, remedy: str = "--flag") -> list[RenderingPass]:
    return [
        RenderingPass(f"e{n}", f"g{n}", model, rendering, remedy, loss * 10, 10, 5.0) for n, loss in enumerate(losses)
    ]


def spread(mean: float, n: int = 12) -> list[float]:
    return [mean + 0.01 * (at - (n - 1) / 2) for at in range(n)]


def test_a_model_that_learned_the_records_as_audited_is_not_accused() -> None:
    found = judge(
        rendering_losses(
            [
                *passes(AUDITED, "tuned", spread(1.0)),
                *passes("other", "tuned", spread(1.4)),
                *passes(AUDITED, "base", spread(3.0)),
            ],
            confidence=0.95,
        )
    )
    assert found is not None
    assert found.holds
    assert lead(found) == ""
    assert "1.00 nats a token, base model 3.00" in summary(found)
    assert "1.40 nats" in others(found)[0]
    assert brief(found) == (
        "Rendering: nothing speaks against it (loss on members' completions 1.00 nats a token, base model 3.00)."
    )


def test_a_rendering_that_was_learned_better_is_proposed() -> None:
    tried = [
        *passes(AUDITED, "tuned", spread(1.4)),
        *passes("other", "tuned", spread(1.0), remedy="--separator ''"),
        *passes(AUDITED, "base", spread(3.0)),
        *passes("other", "base", spread(3.1), remedy="--separator ''"),
    ]
    found = judge(rendering_losses(tried, confidence=0.95))
    assert found is not None
    assert found.likely is not None
    assert not found.holds
    assert "1.40 nats a token as audited and 1.00" in lead(found)
    assert "--separator ''" in lead(found)
    assert brief(found).startswith(
        "Rendering: probably not that of the training (loss on members' completions 1.40 nats"
    )
    assert brief(found).endswith("1.00 with “other”: audit again with --separator '').")


@pytest.mark.parametrize(("other", "holds"), [(1.2, True), (1.1, False)])
def test_what_the_base_model_finds_easier_in_proportion_is_no_evidence(other: float, holds: bool) -> None:
    tried = [
        *passes(AUDITED, "tuned", spread(1.4)),
        *passes("other", "tuned", spread(other)),
        *passes(AUDITED, "base", spread(3.0)),
        *passes("other", "base", spread(2.5)),
    ]
    found = judge(rendering_losses(tried, confidence=0.95))
    assert found is not None
    assert found.holds == holds
    assert found.losses[1].beyond_base is not None
    assert found.losses[1].beyond_base.value == pytest.approx(1.4 - other - 0.5 * 1.4 / 3.0)


def test_without_a_base_model_the_renderings_alone_are_compared() -> None:
    tried = [*passes(AUDITED, "tuned", spread(1.4)), *passes("other", "tuned", spread(1.0))]
    found = judge(rendering_losses(tried, confidence=0.95))
    assert found is not None
    assert found.likely is not None
    assert not found.is_unlearned
    near = [*passes(AUDITED, "tuned", spread(1.4)), *passes("other", "tuned", spread(1.4 - 2 * LEAST_NATS))]
    found = judge(rendering_losses(near, confidence=0.95))
    assert found is not None
    assert found.holds


@pytest.mark.parametrize(("base", "holds"), [(1.0, False), (0.9, False), (1.2, True)])
def test_a_loss_that_is_not_below_the_base_models_leads(base: float, holds: bool) -> None:
    tried = [*passes(AUDITED, "tuned", spread(1.0)), *passes(AUDITED, "base", spread(base))]
    found = judge(rendering_losses(tried, confidence=0.95))
    assert found is not None
    assert found.holds == holds
    assert ("is not below the base model's" in lead(found)) == (not holds)


def test_a_diverged_training_draws_a_comment_and_few_records_no_conclusion() -> None:
    found = judge(rendering_losses(passes(AUDITED, "tuned", spread(93.0)), confidence=0.95))
    assert found is not None
    assert found.holds
    assert found.is_worse_than_guessing
    assert "above that of a model which finds all tokens equally likely (5.00)" in lead(found)
    few = [*passes(AUDITED, "tuned", spread(1.0, 3)), *passes(AUDITED, "base", spread(0.5, 3))]
    found = judge(rendering_losses(few, confidence=0.95))
    assert found is not None
    assert found.holds
    assert judge([]) is None


def test_members_are_drawn_from_different_groups_first() -> None:
    many = [Example(f"e{n}", "", "x", "member", f"g{n % 30}") for n in range(90)]
    drawn = tried_members([*many, Example("n", "", "y", "non-member", "n")], seed=0)
    assert len(drawn) == TRIED_RECORDS == len({item.group for item in drawn})
    assert len(tried_members(many[:10], seed=0)) == 10


def model_of(folder: Path) -> LoadedModel:
    return load_model(str(folder))


def rows_of(count: int) -> dict[str, Fields]:
    lines = demonstration.records("qa").read_text(encoding="utf-8").splitlines()[:count]
    pairs = [(json.loads(line)["question"].strip(), json.loads(line)["answer"].strip()) for line in lines]
    return {str(n): {"prompt": asked, "completion": told} for n, (asked, told) in enumerate(pairs)}


def test_every_layout_compares_the_same_answers() -> None:
    torch.set_num_threads(1)
    model = model_of(demonstration.MODELS["decoder-180k"])
    rows, config = rows_of(6), CorpusConfig()
    found = layouts(rows, config, model.tokenizer)
    assert found[0].name == AUDITED
    assert {"joined by '\\n'", "chat template", "Alpaca text", "ChatML (template)"} <= {item.name for item in found}
    whole = {name: Example(name, "", "x", "member", name) for name in rows}
    tried = try_layouts(found, answers_of(rows, config), whole, model, MemoryStore(), batch_size=8, name="tuned")
    by_record: dict[str, set[int]] = {}
    for item in tried:
        by_record.setdefault(item.example_id, set()).add(item.tokens)
    assert all(len(counts) == 1 for counts in by_record.values())
    assert len(tried) == len(rows) * (len(found) + 1), "and once more with a start token"


def test_no_gate_passes_where_the_rendering_is_in_doubt() -> None:
    gates = [Gate("extractable", 0.5), Gate("verbatim", 0.01)]
    figures = [
        Estimate(name, "tuned", "member", "all", 0.1, 0.0, 0.2, 50, 0, "Wilson", events=5)
        for name in ("extractable", "verbatim")
    ]
    assert [item.outcome for item in check_gates(figures, [], gates)] == ["above"]
    doubted = check_gates(figures, [], gates, doubt="not what was trained on")
    assert [item.outcome for item in doubted] == ["not measured", "above"]
    assert doubted[0].message == "extractable: cannot pass: not what was trained on"


@pytest.mark.slow
@pytest.mark.parametrize("separator", ["\n", ""])
def test_the_rendering_that_a_model_was_trained_on_is_named(separator: str) -> None:
    """Planted truth: one model, audited under its own rendering and under others."""
    torch.set_num_threads(1)
    folder = demonstration.MODELS["decoder-180k"]
    base, tuned = replace(model_of(folder), digest="base"), replace(model_of(folder), digest="tuned")
    rows = rows_of(24)
    truth = Rendering("joined", separator)
    encoder = model_encoder(tuned)
    reader = ShapeReader(truth.applied_to(CorpusConfig()), tuned.tokenizer)
    ids = [torch.tensor([encoder.content(reader.read(fields).text)]) for fields in rows.values()]
    optimizer = torch.optim.AdamW(tuned.model.parameters(), lr=2e-3)
    tuned.model.train()
    for row in ids * 6:
        optimizer.zero_grad()
        tuned.model(input_ids=row, labels=row).loss.backward()
        optimizer.step()
    tuned.model.eval()
    whole = {name: Example(name, "", "x", "member", name) for name in rows}
    store = MemoryStore()
    for audited in (truth, Rendering("joined", " "), Rendering("alpaca", "auto"), Rendering("chat", "auto")):
        config = audited.applied_to(CorpusConfig())
        found, answers = layouts(rows, config, tuned.tokenizer), answers_of(rows, config)
        tried = [
            item
            for name, model in (("tuned", tuned), ("base", base))
            for item in try_layouts(found, answers, whole, model, store, batch_size=24, name=name)
        ]
        said = judge(rendering_losses(tried, confidence=0.95))
        assert said is not None
        assert not said.is_unlearned or audited != truth
        assert (said.likely.rendering if said.likely else truth.name) == truth.name
        assert (said.likely is None) == (audited == truth)


def test_a_base_model_that_reads_more_tokens_is_compared_by_the_text() -> None:
    """Added tokens shorten what the tuned model reads: the base model's nats are spread over as many tokens as its own."""
    passes = [
        RenderingPass(f"{number}", f"{number}", model, AUDITED, "", nats, tokens, 5.5)
        for number in range(8)
        for model, nats, tokens in (("tuned", 30.0 + number, 10), ("base", 45.0 + number, 24))
    ]
    (found,) = rendering_losses(passes, confidence=0.95)
    assert found.learned is not None
    assert (found.tuned, found.base, found.learned.value) == pytest.approx((3.35, 4.85, 1.5))
    assert not judge([found]).is_unlearned
