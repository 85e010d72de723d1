"""The shipped base models: small, documented, loadable, able to write; and the choice of the demonstration."""

import json
from pathlib import Path

import pytest

from rote import demonstration
from rote.config import GenerationConfig
from rote.finetuning import Epoch, Training
from rote.finetuning.matching import matched_epochs
from rote.generation import TransformersModel, generate
from rote.models import load_model
from rote.records import Prompt

MODELS = [pytest.param(folder, id=name) for name, folder in demonstration.MODELS.items()]


@pytest.mark.parametrize("folder", MODELS)
def test_a_shipped_model_is_small_and_has_its_card(folder: Path) -> None:
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12_000_000
    recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    for name in (
        "training tokens",
        "validation loss (nats a token, held-out novels)",
        "SHA-256 of the training text files",
    ):
        assert f"| {name} | {recipe[name]} |" in card


@pytest.mark.parametrize("folder", MODELS)
def test_a_shipped_model_loads_and_writes(folder: Path) -> None:
    model = load_model(str(folder))
    prompt = Prompt("p", "e", "It was a truth that nobody in the village", "would own to.")
    config = GenerationConfig(max_new_tokens=12)
    ((generation,),) = generate([prompt], TransformersModel(model), config=config, name="base")
    assert len(generation.text.split()) >= 3
    assert (
        sum(weight.numel() for weight in model.model.parameters())
        == json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["parameters"]
    )


def training(*losses: float) -> Training:
    epochs = tuple(
        Epoch(
            number=n, passes=n, steps=n, tokens=n, scored_tokens=n, training_loss=1.0, validation_loss=loss,
            members_loss=None, elapsed_s=1.0, folder=f"epoch-{n}",
        )
        for n, loss in enumerate(losses, start=1)
    )  # fmt: skip
    return Training(
        settings={}, strategy="full", loss="text", base="", base_digest="", device="cpu", packages={}, members=1, rows=1,
        cut=0, left_out=0, context_tokens=1, parameters=1, trainable_parameters=1, head_parameters=1, head_share=1.0,
        embeddings_untied=False, base_validation_loss=None, base_members_loss=None, epochs=epochs,
    )  # fmt: skip


def test_the_matched_checkpoints_are_nearest_to_the_loss_that_every_strategy_reaches() -> None:
    trainings = {"full": training(4.7, 5.1, 5.6), "lora": training(5.3, 5.0, 5.2), "head": training(5.2, 5.1, 5.1)}
    chosen = matched_epochs(trainings)
    assert {name: epoch.number for name, epoch in chosen.items()} == {"full": 2, "lora": 2, "head": 2}
