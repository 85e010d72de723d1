"""What is audited: which models, cut into prompts with which tokenizer."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, cast

from rote.config import AuditConfig, ModelConfig
from rote.errors import ConfigError, ModelError
from rote.records import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rote.generation import CutPrompts


def audited_models(config: ModelConfig) -> dict[str, tuple[str, str]]:
    """Name → (model, adapter) of the models to run: "tuned", and "base" where one is known.

    With an adapter the base is the model under it, unless another is named.

    Raises:
        ConfigError: no model is given.
        ModelError: the adapter names no base, a folder lacks its config or weights, or holds a model and an adapter.
    """
    from rote.models import adapter_base, check_folder, check_safetensors, stray_adapter

    if not config.tuned and not config.adapter:
        raise ConfigError("no model: give the fine-tuned model with --model, or its adapter with --adapter")
    under = config.tuned or config.base or adapter_base(config.adapter) if config.adapter else ""
    models = {"tuned": (under or config.tuned, config.adapter)}
    base = config.base or under
    if base:
        models["base"] = (base, "")
    if config.tuned and not config.adapter and (stray := stray_adapter(config.tuned)):
        # nobody can say which of the two was meant: transformers by itself would apply the adapter
        raise ModelError(
            f"{config.tuned}: there is a whole model (config.json) and an adapter ({stray}) in one folder: if the adapter "
            f"is merged into the model already, move its files away; if not, give --base {config.tuned} --adapter "
            f"{config.tuned}"
        )
    for source, adapter in models.values():
        check_folder(source, "model")
        check_safetensors(source, "model")
        if adapter:
            check_folder(adapter, "adapter")
            check_safetensors(adapter, "adapter")
    return models


def tokenizer_folder(config: ModelConfig, tuned: tuple[str, str]) -> str:
    """Where the tokenizer of the tuned model lies: with it, or with the model that it came from."""
    from rote.models import tokenizer_source

    return tokenizer_source(*tuned, (config.base, config.tuned))


def cut(config: AuditConfig, examples: Sequence[Example], tuned: tuple[str, str]) -> "CutPrompts":
    """The prompts of the drawn examples (all, without `corpus.limit`), and the reasons of those that have none."""
    from rote.corpus import draw
    from rote.generation import cut_prompts, moved_sentence
    from rote.generation.prompts import long_sentence, trained_part, trained_sentence
    from rote.models import is_encoder_decoder, load_tokenizer
    from rote.models.tokens import token_encoder

    trust = config.model.trust_remote_code
    encoder_decoder = is_encoder_decoder(tuned[0], trust_remote_code=trust)
    tokenizer = load_tokenizer(tokenizer_folder(config.model, tuned), trust_remote_code=trust)
    drawn = [
        example
        for split in ("member", "non-member")
        for example in draw([e for e in examples if e.split == split], config.corpus.limit, seed=config.corpus.seed)
    ]
    limit, notes, never = config.corpus.trained_tokens, [], []
    if not encoder_decoder and tokenizer.is_fast:
        encoder = token_encoder(tokenizer, is_encoder_decoder=False)
        if limit:
            trained = trained_part(drawn, encoder, limit)
            drawn, never = trained.examples, trained.never
            notes.append(trained_sentence(trained, limit))
        else:
            notes.append(long_sentence(drawn, encoder))
    found = cut_prompts(drawn, tokenizer, config=config.generation, is_encoder_decoder=encoder_decoder)
    notes.append(moved_sentence(found))
    return found._replace(unmeasurable=[*never, *found.unmeasurable], notes=tuple(filter(None, notes)))


class ChatTokenizer:
    """The tuned (or base) model's tokenizer, loaded when the first chat record asks for its template."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerBase | None":
        """None where no model is given."""
        from rote.models import load_tokenizer

        if not self.name_or_path:
            return None
        return load_tokenizer(self.name_or_path, trust_remote_code=self.config.trust_remote_code)

    @cached_property
    def name_or_path(self) -> str:
        """Where the tokenizer comes from; "" where no model is given."""
        from rote.models import adapter_base

        config = self.config
        source = config.tuned or config.base or (adapter_base(config.adapter) if config.adapter else "")
        return tokenizer_folder(config, (source, config.adapter)) if source else ""

    @property
    def chat_template(self) -> object:
        """The template, or None."""
        return self.tokenizer.chat_template if self.tokenizer is not None else None

    def apply_chat_template(
        self, conversation: list[dict[str, object]], *, add_generation_prompt: bool, tokenize: bool, **options: object
    ) -> object:
        """The conversation as one text; `options` are variables of the template, as `tools`."""
        if self.tokenizer is None:
            raise ModelError("no tokenizer to render chat records with: give a model")
        render = cast("Callable[..., object]", self.tokenizer.apply_chat_template)
        return render(conversation, add_generation_prompt=add_generation_prompt, tokenize=tokenize, **options)
