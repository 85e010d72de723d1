"""Settings: one frozen class per stage, read from one strict TOML file, flags and `--set section.key=value`.

Unknown sections and keys, wrong types and values out of range are errors; all of them are reported at once, unknown names
with the nearest known one.
"""

import dataclasses
import difflib
import math
import tomllib
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rote.errors import ConfigError
from rote.records import CanaryKind, Json
from rote.runs.disk import shortened

PresetName = Literal["pan2015", "zeng2024", "udsa2026", "corrected"]
Decoding = Literal["greedy", "beam", "sample"]
Strategy = Literal["full", "head", "lora", "prompt"]
ADAPTERS: tuple[Strategy, ...] = ("lora", "prompt")
"""Strategies that leave an adapter on top of the base, not a model."""
LossMask = Literal["text", "completion"]
PromptKind = Literal["auto", "prefix", "record"]
Form = Literal["auto", "joined", "roles", "chat", "alpaca"]
TextUnit = Literal["file", "line", "paragraph"]
MembershipScore = Literal[
    "text_loss",
    "zlib",
    "lowercase",
    "min_k",
    "min_k_plus_plus",
    "reference_ratio",
    "ez_mia",
    "wbc",
    "recall_ratio",
    "neighbourhood",
]
DEFAULT_MEMBERSHIP: tuple[MembershipScore, ...] = typing.get_args(MembershipScore)[:-1]
"""All that need no further model."""


MAX_TOML_BYTES = 1 << 17
MAX_WHOLE = (1 << 53) - 1
"""Largest whole number of a setting: each up to it is a floating-point number, too."""


def setting(
    default: object, help: str, *, check: Callable[[typing.Any], bool] | None = None, must: str = ""
) -> typing.Any:
    """A field with a help text for `--help` and the docs, and an optional range check (`must` says it in words)."""
    metadata = {"help": help, "check": check, "must": must}
    return field(default=default, metadata=metadata)


def _positive(value: float) -> bool:
    return value > 0


def _not_negative(value: float) -> bool:
    return value >= 0


def _share(value: float) -> bool:
    return 0 <= value <= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Which models are audited, and how they are run."""

    tuned: str = setting("", "fine-tuned model: a Hugging Face folder or hub id (with --adapter: defaults to its base)")
    adapter: str = setting("", "PEFT adapter folder, on top of the tuned or base model")
    base: str = setting("", "the model before fine-tuning; read from the adapter's config where it names one")
    device: str = setting("auto", 'device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1" …')
    dtype: Literal["float32", "bfloat16", "float16"] = setting("float32", "number format of the weights while running")
    trust_remote_code: bool = setting(False, "run code that comes with the model (never needed for the usual models)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusConfig:
    """Which records the model was fine-tuned on, and which it was not."""

    members: str = setting("", "the fine-tuning data: a file, a folder, or a hub data set")
    nonmembers: str = setting("", "records of the same kind that the model has not seen (control)")
    prompt_field: str = setting(
        "", "field that holds the prompt, a field within a field as translation.de (default: recognised from the data)"
    )
    completion_field: str = setting(
        "", "field that holds the completion, or the text or the messages (default: recognised from the data)"
    )
    rendering: Form = setting(
        "auto",
        "how a record becomes text. joined: fields with the separator between them; chat: the tokenizer's chat template; "
        "roles: lines 'Role: content'; alpaca: the Alpaca text; auto: as the trainer that uses the records' shape does",
    )
    separator: str = setting(
        "auto",
        "what stands between prompt and completion in the training text; \\n is a line feed "
        "(auto: nothing for prompt/completion, as TRL joins them; else a line feed)",
    )
    encoding: str = setting("auto", "encoding of the text files (auto: UTF-8, or UTF-16 by its byte-order mark)")
    no_header: bool = setting(False, "CSV and TSV: the first line is a record; the columns are named 1, 2, 3 …")
    text_unit: TextUnit = setting(
        "file", "what is one record of a .txt or .md: the file, a line, or a paragraph (up to a blank line)"
    )
    max_records: int = setting(
        2_000_000, "a data set with more records is refused before they fill the memory", check=_positive, must="> 0"
    )
    max_chars: int = setting(100_000, "longer records are dropped, counted", check=_positive, must="> 0")
    max_bad: float = setting(
        0.01, "largest share of defective records before the run stops", check=_share, must="in 0..1"
    )
    near_duplicate: float = setting(
        0.8, "5-gram Jaccard similarity from which records share a group", check=_share, must="in 0..1"
    )
    limit: int = setting(
        0,
        "prompt (finetune: train on) only that many members and non-members, drawn by seed (0: all)",
        check=_not_negative,
        must=">= 0",
    )
    trained_tokens: int = setting(
        0,
        "the trainer's max_length: of a longer text only so many first tokens were trained on, and nothing of a record "
        "whose prompt fills them (0: not known)",
        check=_not_negative,
        must=">= 0",
    )
    holdout: float = setting(
        0.0, "prepare: share of the groups to set aside as non-members before training", check=_share, must="in 0..1"
    )
    canaries: int = setting(
        0,
        "prepare, finetune: draw this many canaries; each is planted with probability 1/2 (0: none)",
        check=lambda value: 0 <= value <= 10_000,
        must="in 0..10,000",
    )
    canary_copies: tuple[int, ...] = setting((1, 2, 4, 8, 16), "how often a canary is planted, in turn")
    canary_kind: CanaryKind = setting("number", "the secret: a number, or words of a list of 256")
    canary_length: int = setting(
        4, "digits or words of the secret", check=lambda value: 1 <= value <= 64, must="in 1..64"
    )
    canary_prompt: str = setting("What is the access code of {name}?", "a canary's prompt, in data with prompts")
    canary_sentence: str = setting("The access code of {name} is {secret}.", "a canary's text")
    canary_file: str = setting(
        "", "the canaries that were planted: canaries.jsonl of `rote prepare` or `rote finetune`"
    )
    seed: int = setting(0, "seed of the split, of the draw and of the canaries")


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuningConfig:
    """How `rote finetune` trains."""

    strategy: Strategy = setting(
        "full",
        "full: all weights; head: the output embedding alone; lora: low-rank adapters; prompt: a soft prompt",
    )
    loss: LossMask = setting(
        "text", "loss on the whole text or on the completion only (encoder-decoder: always completion)"
    )
    epochs: float = setting(3.0, "passes over the training records", check=_positive, must="> 0")
    steps: int = setting(0, "optimizer steps, in place of epochs (0: epochs)", check=_not_negative, must=">= 0")
    learning_rate: float = setting(2e-4, "AdamW learning rate", check=_positive, must="> 0")
    schedule: Literal["constant", "linear", "cosine"] = setting("linear", "learning-rate schedule after the warm-up")
    warmup_steps: int = setting(10, "steps of linear warm-up", check=_not_negative, must=">= 0")
    weight_decay: float = setting(0.0, "AdamW weight decay", check=_not_negative, must=">= 0")
    dropout: float = setting(
        0.0,
        "dropout of the whole model while it trains (0: as the model's config says)",
        check=lambda value: 0 <= value < 1,
        must="in [0, 1)",
    )
    early_stopping: int = setting(
        0,
        "passes without a lower validation loss after which training ends; the best pass becomes the final model (0: off)",
        check=_not_negative,
        must=">= 0",
    )
    batch_size: int = setting(8, "records in one device step", check=_positive, must="> 0")
    gradient_accumulation: int = setting(1, "device steps in one optimizer step", check=_positive, must="> 0")
    context_tokens: int = setting(
        1024, "longer texts are cut here (bounded by the model's context)", check=_positive, must="> 0"
    )
    lora_rank: int = setting(16, "LoRA rank", check=_positive, must="> 0")
    lora_alpha: float = setting(32.0, "LoRA alpha (scale = alpha / rank)", check=_positive, must="> 0")
    lora_dropout: float = setting(0.0, "LoRA dropout", check=_share, must="in 0..1")
    lora_targets: tuple[str, ...] = setting(("all-linear",), 'module names, or "all-linear"')
    prompt_tokens: int = setting(
        20, "prompt: trained vectors that stand before every text, in its context", check=_positive, must="> 0"
    )
    repetition: tuple[int, ...] = setting(
        (), "deal the members into as many equal parts and repeat each that often, e.g. [1, 2, 4, 8, 16]"
    )
    keep_token_budget: bool = setting(False, "with repetition: train for as many tokens as without it")
    dp_epsilon: float = setting(
        0.0,
        "private training (DP-SGD): keep to this ε for each row that is trained on (0: off; needs rote[privacy])",
        check=_not_negative,
        must=">= 0",
    )
    dp_delta: float = setting(
        1e-5, "private training: δ, well below 1 over the number of rows", check=lambda v: 0 < v < 1, must="in (0, 1)"
    )
    dp_clip: float = setting(
        1.0, "private training: largest norm of the gradient of one row", check=_positive, must="> 0"
    )
    deduplicate: bool = setting(
        False, "train on one record of each duplicate group, once; the others go to near-duplicates.jsonl"
    )
    mix: tuple[str, ...] = setting(
        (), "files of other tasks' records to train on beside the members (multi-task mixing); they are not audited"
    )
    mix_share: float = setting(
        0.5, "share of the rows of a pass that is mixed in", check=lambda value: 0 < value < 1, must="in (0, 1)"
    )
    goldfish: int = setting(
        0,
        "goldfish loss: one token in that many, chosen by the tokens before it, has no loss (0: off)",
        check=lambda value: value == 0 or value > 1,
        must="0 or > 1",
    )
    goldfish_context: int = setting(
        13, "goldfish loss: tokens before a token that decide on it", check=_positive, must="> 0"
    )
    seed: int = setting(0, "seed of the order, the dropout and the dealing")

    def __post_init__(self) -> None:
        if self.repetition and self.deduplicate:
            raise ConfigError(
                f"finetuning.repetition = {list(self.repetition)} repeats what finetuning.deduplicate trains on once: "
                "give one of the two"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationConfig:
    """How prompts are cut and continued. All tasks and models get the same budget of new tokens."""

    prompt: PromptKind = setting(
        "auto",
        "prefix: the first tokens of the text; record: the record's own prompt; "
        "auto: prefix for decoder-only, record for encoder-decoder models",
    )
    prefix_tokens: int = setting(50, "tokens shown to the model", check=_positive, must="> 0")
    prompt_noise: float = setting(
        0.0,
        "share of the prompt's words that are exchanged: how robust is what comes out?",
        check=_share,
        must="in 0..1",
    )
    max_new_tokens: int = setting(100, "tokens generated, always exactly this many", check=_positive, must="> 0")
    decoding: Decoding = setting("greedy", "greedy, beam or sample")
    beams: int = setting(4, "beam search: number of beams", check=lambda value: value > 1, must="> 1")
    temperature: float = setting(1.0, "sampling: temperature", check=_positive, must="> 0")
    top_k: int = setting(0, "sampling: keep that many most likely tokens (0: all)", check=_not_negative, must=">= 0")
    top_p: float = setting(
        1.0, "sampling: keep the most likely tokens up to this mass", check=lambda v: 0 < v <= 1, must="in (0, 1]"
    )
    samples: int = setting(
        1, "continuations of each prompt (more than one needs decoding = sample)", check=_positive, must="> 0"
    )
    block_verbatim: int = setting(
        0,
        "verbatim blocker: never complete a run of that many tokens of the members' training text, with any model (0: off)",
        check=lambda value: value == 0 or value > 1,
        must="0 or > 1",
    )
    batch_size: int = setting(32, "prompts in one batch; results do not depend on it", check=_positive, must="> 0")
    seed: int = setting(0, "sampling seed; each prompt and sample has its own stream")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalConfig:
    """How candidates are found: BM25 over the members' suffixes and whole texts."""

    depth: int = setting(10, "candidates kept for each generation", check=_positive, must="> 0")
    nonmember_depth: int = setting(
        3,
        "non-member texts each matching generation is also aligned with (generic phrasing)",
        check=_not_negative,
        must=">= 0",
    )
    k1: float = setting(1.2, "BM25 k1", check=_not_negative, must=">= 0")
    b: float = setting(0.75, "BM25 b", check=_share, must="in 0..1")
    language: str = setting("en", "language of stop-words and stemmer (ISO 639-1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentConfig:
    """How a generation and a training text are aligned, and the kinds of matches distinguished."""

    preset: PresetName = setting("corrected", "pan2015, zeng2024, udsa2026 (as published) or corrected")
    paraphrase_model: str = setting("", "Hugging Face sentence-pair classifier (default: the offline decision)")
    spacy_model: str = setting("", "spaCy pipeline for named entities (default: the offline rules)")
    language: str = setting("en", "language of sentence splitter and stemmer (ISO 639-1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringConfig:
    """How generations are scored and scores become estimates."""

    suffix_tokens: int = setting(
        50, "greedy k-extraction: tokens that must come out exactly", check=_positive, must="> 0"
    )
    schemes: tuple[str, ...] = setting(
        ("t1", "t1-k40", "t0.8-p0.95"),
        "decoding schemes under which each token's probability is kept: t temperature, k top-k, p top-p, e.g. t0.8-p0.95",
    )
    store: str = setting(
        "", "folder of the token store, may be shared by runs (default: token-store in the run folder)"
    )
    rechecked: int = setting(
        8,
        "texts of each model that are scored again one by one in float32, to see how far the numbers can be trusted",
        check=_not_negative,
        must=">= 0",
    )
    draws: tuple[int, ...] = setting(
        (1, 10, 100, 1_000, 10_000, 100_000),
        "(n, p)-discoverable extraction: numbers of draws n",
        check=lambda value: all(n >= 1 for n in value),
        must="all >= 1",
    )
    chances: tuple[float, ...] = setting(
        (0.1, 0.5, 0.9),
        "(n, p)-discoverable extraction: probabilities p",
        check=lambda value: all(0 < p < 1 for p in value),
        must="all in (0, 1)",
    )
    window_tokens: int = setting(50, "sliding windows: tokens that must come out together", check=_positive, must="> 0")
    window_chance: float = setting(
        0.001,
        "sliding windows: least probability of a window in one draw",
        check=lambda v: 0 < v <= 1,
        must="in (0, 1]",
    )
    unrelated_prefixes: int = setting(
        0,
        "other records' prefixes after which each suffix is scored again by the tuned model (0: off; one pass for each)",
        check=_not_negative,
        must=">= 0",
    )
    membership: tuple[MembershipScore, ...] = setting(
        DEFAULT_MEMBERSHIP,
        "membership scores; lowercase and recall_ratio cost the tuned model one more pass each, neighbourhood many",
    )
    membership_scope: Literal["text", "reference"] = setting(
        "text",
        "tokens that membership scores read: the whole text, or the true continuation alone "
        "(encoder-decoder: always the latter)",
    )
    min_k_share: float = setting(
        0.2, "Min-K% and Min-K%++: share of the tokens", check=lambda v: 0 < v <= 1, must="in (0, 1]"
    )
    recall_shots: int = setting(
        3, "recall_ratio: non-members in the prefix that all texts share", check=_positive, must="> 0"
    )
    neighbour_model: str = setting("", "neighbourhood: Hugging Face masked language model that exchanges words")
    neighbours: int = setting(10, "neighbourhood: neighbours of each text", check=_positive, must="> 0")
    secrets: int = setting(
        10_000,
        "canaries: a space of up to that many secrets is compared as a whole, so that the exposure is exact",
        check=lambda value: value > 1,
        must="> 1",
    )
    sampled_secrets: int = setting(
        1_000,
        "canaries: secrets drawn of a larger space; the sampled exposure cannot be over log2 of that number",
        check=lambda value: value > 1,
        must="> 1",
    )
    delta: float = setting(
        0.0,
        "canaries: delta of the (epsilon, delta) privacy that is bounded",
        check=lambda value: 0 <= value < 1,
        must="in [0, 1)",
    )
    similarity_model: str = setting(
        "", "sentence-transformers model of the similarity (default: lexical, TF-IDF cosine of the words)"
    )
    pii: Literal["built-in", "presidio"] = setting(
        "built-in", "what finds personal data: built-in patterns, or Presidio beside them (needs rote[pii])"
    )
    pii_model: str = setting("", "presidio: spaCy pipeline that finds names and places (default: patterns alone)")
    task: Literal["auto", "label", "answer", "text"] = setting(
        "auto", "what the completions are, for the utility (auto: by how many there are and how long)"
    )
    confidence: float = setting(0.95, "level of every interval", check=lambda v: 0 < v < 1, must="in (0, 1)")
    fail_above: tuple[str, ...] = setting(
        (), 'gates, "metric=value": exit code 3 where the tuned members\' estimate is above'
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencesConfig:
    """Models trained on random halves of the records (`rote references`); how they train stands in [finetuning]."""

    models: int = setting(
        8, "reference models, an even number: they come in pairs of complementary halves", check=_positive, must="> 0"
    )
    strategy: Strategy = setting("lora", "how they are fine-tuned, whatever finetuning.strategy says")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionConfig:
    """Where the tuned model attends, and how much of its input it needs (`rote attend`)."""

    memorized_by: str = setting(
        "auto", "metric that says which members are memorised: a rate, or exact_memorization (its upper half)"
    )
    maps: int = setting(3, "memorised and other records whose attention is drawn", check=_not_negative, must=">= 0")
    needed_input: bool = setting(True, "also measure how much of the records' own prompts the completions need")


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionConfig:
    """How `rote compress` searches the shortest prompts that bring a text out; slow."""

    records: int = setting(
        5, "members and non-members to search for, those of the least loss", check=_positive, must="> 0"
    )
    target_tokens: int = setting(
        30, "tokens of the reference that must come out", check=lambda value: value > 1, must="> 1"
    )
    steps: int = setting(100, "gradient steps for the first prompt length", check=_positive, must="> 0")
    candidates: int = setting(64, "prompts tried in each step", check=_positive, must="> 0")
    favoured: int = setting(64, "tokens that the gradient proposes for each place", check=_positive, must="> 0")
    seed: int = setting(0, "seed of the search")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportingConfig:
    """What the report shows."""

    worst: int = setting(
        50, "records shown with generation and training text side by side", check=_not_negative, must=">= 0"
    )
    title: str = setting("", "title of the report (default: the name of the run folder)")
    show_pii: bool = setting(False, "show personal data in report and terminal (default: placeholders)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditConfig:
    """All settings of one audit, one section per stage."""

    model: ModelConfig = ModelConfig()
    corpus: CorpusConfig = CorpusConfig()
    finetuning: FinetuningConfig = FinetuningConfig()
    generation: GenerationConfig = GenerationConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    scoring: ScoringConfig = ScoringConfig()
    references: ReferencesConfig = ReferencesConfig()
    attention: AttentionConfig = AttentionConfig()
    compression: CompressionConfig = CompressionConfig()
    reporting: ReportingConfig = ReportingConfig()

    def __post_init__(self) -> None:
        if self.generation.samples > 1 and self.generation.decoding != "sample":
            raise ConfigError(
                f"generation.samples = {self.generation.samples} needs generation.decoding = 'sample', "
                f"found {self.generation.decoding!r}"
            )
        if "neighbourhood" in self.scoring.membership and not self.scoring.neighbour_model:
            raise ConfigError(
                "scoring.membership: neighbourhood needs scoring.neighbour_model, a masked language model"
            )


def sections() -> dict[str, type]:
    """Section name → its class, in pipeline order."""
    return {f.name: typing.cast(type, f.type) for f in dataclasses.fields(AuditConfig)}


FLAG_NAMES = {
    ("model", "tuned"): "model",
    ("generation", "seed"): "generation-seed",
    ("finetuning", "seed"): "finetuning-seed",
}
"""Settings whose flag is not simply their key; any other key that two sections share gets its section in front."""


def flag_name(section: str, key: str) -> str:
    """The flag of a setting, without its dashes."""
    if (section, key) in FLAG_NAMES:
        return FLAG_NAMES[section, key]
    owners = [name for name, kind in sections().items() if key in {f.name for f in dataclasses.fields(kind)}]
    return (key if len(owners) == 1 or owners[0] == section else f"{section}-{key}").replace("_", "-")


def with_settings(config: "AuditConfig", settings: Mapping[str, object]) -> "AuditConfig":
    """The settings, changed by others that are named as their flags are, with "_" for "-": `max_new_tokens`, `limit`.

    Raises:
        ConfigError: names every unknown name, wrong type and value out of range at once.
    """
    table: dict[str, dict[str, object]] = {
        name: {f.name: getattr(getattr(config, name), f.name) for f in dataclasses.fields(kind)}
        for name, kind in sections().items()
    }
    places = {flag_name(name, key).replace("-", "_"): (name, key) for name, keys in table.items() for key in keys}
    problems = []
    for given, value in settings.items():
        if given not in places:
            problems.append(f"unknown setting {given!r}{did_you_mean(given, places)}")
            continue
        section, key = places[given]
        table[section][key] = str(value) if isinstance(value, Path) else value
    return config_from(table, problems=problems)


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> AuditConfig:
    """The settings of a TOML file (or the defaults), changed by `section.key=value` overrides, in order.

    Raises:
        ConfigError: names every unknown key, wrong type and value out of range at once.
    """
    table = read_toml(path) if path is not None else {}
    problems: list[str] = []
    for override in overrides:
        _apply_override(table, override, problems)
    return config_from(table, problems=problems, where=str(path) if path else "")


def read_toml(path: Path) -> dict[str, object]:
    """The table of a TOML file.

    Raises:
        ConfigError: it cannot be read, is too large for settings, or is not valid.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOML_BYTES + 1)
        if len(content) > MAX_TOML_BYTES:
            raise ConfigError(f"{path}: more than {MAX_TOML_BYTES:,} bytes, too many for settings")
        return _parsed(content.decode("utf-8-sig").replace("\r\n", "\n"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error


def _parsed(text: str) -> dict[str, object]:
    """TOML; what is wrong with it, deep nesting and numbers of thousands of digits included, is a ValueError."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def config_from(table: Mapping[str, object], *, problems: Sequence[str] = (), where: str = "") -> AuditConfig:
    """The settings that a parsed TOML table describes; see `load_config`."""
    found = list(problems)
    known = sections()
    values: dict[str, object] = {}
    for name, content in table.items():
        if name not in known:
            found.append(f"unknown section [{name}]{did_you_mean(name, known)}")
        elif not isinstance(content, Mapping):
            found.append(f"[{name}] must be a section, found {shortened(content)}")
        else:
            values[name] = _section(name, known[name], content, found)
    if found:
        prefix = f"{where}: " if where else ""
        several = "\n  ".join([f"{len(found)} settings are wrong:", *found])
        raise ConfigError(prefix + (found[0] if len(found) == 1 else several))
    return AuditConfig(**values)  # type: ignore[arg-type]


def _section(name: str, kind: type, content: Mapping[str, object], problems: list[str]) -> object:
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    values: dict[str, object] = {}
    for key, raw in content.items():
        if key not in fields:
            problems.append(f"unknown key {name}.{key}{did_you_mean(key, fields)}")
            continue
        value, problem = _fit(raw, hints[key])
        check, must = fields[key].metadata["check"], fields[key].metadata["must"]
        if problem:
            problems.append(f"{name}.{key}: {problem}")
        elif check is not None and not check(value):
            problems.append(f"{name}.{key}: must be {must}, found {shortened(value)}")
        values[key] = value
    return kind(**values) if not problems else None


def _fit(raw: object, hint: object) -> tuple[object, str]:
    """The raw TOML value as the hinted type, or what is wrong with it."""
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        wrong = "" if raw in choices else f"must be one of {', '.join(map(repr, choices))}, found {shortened(raw)}"
        if wrong and isinstance(raw, str):
            wrong += did_you_mean(raw, choices)
        return raw, wrong
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        if not isinstance(raw, (list, tuple)):
            return raw, f"must be a list, found {shortened(raw)}"
        fitted = [_fit(item, inner) for item in raw]
        return tuple(value for value, _ in fitted), next((problem for _, problem in fitted if problem), "")
    if hint in (int, float) and type(raw) is int and abs(raw) > MAX_WHOLE:
        return raw, f"must be at most {MAX_WHOLE:,}, found {shortened(raw)}"
    if hint is float and type(raw) is float and not math.isfinite(raw):
        return raw, f"must be a finite number, found {raw!r}"
    if hint is str and isinstance(raw, str) and (not _is_unicode(raw) or "\0" in raw):
        return raw, f"must be text in Unicode without null characters, found {shortened(raw)}"
    if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw), ""
    if isinstance(hint, type) and type(raw) is hint:
        return raw, ""
    expected = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[typing.cast(type, hint)]
    return raw, f"must be {expected}, found {shortened(raw)}"


def _is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogates, as an argument that is not UTF-8 has."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _apply_override(table: dict[str, object], override: str, problems: list[str]) -> None:
    name, equals, raw = override.partition("=")
    section, dot, key = name.strip().partition(".")
    if not equals or not dot:
        problems.append(f"--set {override!r}: expected section.key=value")
        return
    try:
        value = _parsed(f"value = {raw}")["value"]
    except ValueError:
        value = raw
    place = table.setdefault(section, {})
    if isinstance(place, dict):
        place[key] = value


def did_you_mean(name: str, known: typing.Iterable[object]) -> str:
    """ " (did you mean 'NEAR'?)", or "" where nothing is near."""
    near = difflib.get_close_matches(name, [str(item) for item in known], n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def to_toml(config: AuditConfig) -> str:
    """The settings as TOML, every key written out; `load_config` reads it back to an equal object."""
    lines = []
    for name in sections():
        lines.append(f"[{name}]")
        part = getattr(config, name)
        lines += [f"{f.name} = {toml_value(getattr(part, f.name))}" for f in dataclasses.fields(part)]
        lines.append("")
    return "\n".join(lines)


def toml_value(value: object) -> str:
    """One value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, str):
        escaped = "".join(
            f"\\u{ord(c):04X}" if ord(c) < 32 or ord(c) == 127 else c
            for c in value.replace("\\", "\\\\").replace('"', '\\"')
        )
        return f'"{escaped}"'
    return repr(value)


def settings_of(part: object) -> dict[str, Json]:
    """One section as a JSON object, for the key of an artifact."""
    return typing.cast(dict[str, Json], dataclasses.asdict(typing.cast(typing.Any, part)))
