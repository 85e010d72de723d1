"""The records that pass between the stages: frozen, positions instead of copied text, one JSON object a line on disk.

`to_row` and `from_row` are the only way from a record to JSON and back.
"""

import dataclasses
import hashlib
import math
import types
import typing
from functools import cache
from typing import Literal, TypeAlias, TypeVar, cast

Split: TypeAlias = Literal["member", "non-member"]
Kind: TypeAlias = Literal["verbatim", "near-verbatim", "paraphrase", "weak-paraphrase", "idea"]
Direction: TypeAlias = Literal["none", "condensed", "expanded"]
Condition: TypeAlias = Literal[
    "verbatim", "edited-5", "edited-10", "edited-20", "edited-30", "edited-50", "reordered", "condensed", "expanded",
    "nothing", "nothing-alike",
]  # fmt: skip
"""How a passage was altered before it was planted; see `rote.alignment.planting`."""
NOTHING: tuple[Condition, ...] = ("nothing", "nothing-alike")
"""Nothing was planted; the text is aligned with any other texts, or with those most like it."""
CanaryKind: TypeAlias = Literal["number", "words"]
CanaryForm: TypeAlias = Literal["text", "chat", "instruction", "rendered"]
Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"

KINDS: tuple[Kind, ...] = ("verbatim", "near-verbatim", "paraphrase", "idea", "weak-paraphrase")
"""All kinds, most severe first. `near-verbatim` and `weak-paraphrase` stand in no headline rate."""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Span:
    """Characters `start` (inclusive) to `end` (exclusive) of an original text."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"Expected 0 <= start <= end, got start={self.start}, end={self.end}")

    def __len__(self) -> int:
        return self.end - self.start

    def of(self, text: str) -> str:
        """The characters of `text` that the span covers."""
        return text[self.start : self.end]

    def overlap(self, other: "Span") -> int:
        """Number of characters that both spans cover."""
        return max(0, min(self.end, other.end) - max(self.start, other.start))


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One record of the data. `text` (prompt, then completion) is what a causal model is trained on.

    The separator, if any, is the end of `prompt`; a record without a prompt has `prompt == ""`.
    """

    id: str
    prompt: str
    completion: str
    split: Split
    group: str
    """Duplicate group: records that are near-duplicates or share their context; the cluster of every interval."""
    copies: int = 1
    """How often the record stands in the file it came from (exact duplicates are kept once)."""
    file: str = ""
    line: int = 0
    is_rendered: bool = False
    """A chat template wrote the text: it holds all its special tokens, and the tokenizer puts none around it."""

    @property
    def text(self) -> str:
        """Prompt and completion, joined."""
        return self.prompt + self.completion


@dataclasses.dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is shown, and the true continuation of it."""

    id: str
    example_id: str
    text: str
    reference: str
    is_rendered: bool = False
    """A chat template wrote the text: the tokenizer puts no special tokens around it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Generation:
    """One continuation of one prompt. `model` is "tuned", "base", or a control: "true-suffix", "shuffled"."""

    id: str
    prompt_id: str
    example_id: str
    model: str
    decoding: str
    sample: int
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class TokenScores:
    """One teacher-forced pass of one model over one prompt and its reference; its numbers lie in the token store."""

    prompt_id: str
    example_id: str
    model: str
    key: str
    """Under which the token store has the statistics of the scored tokens."""
    prompt_tokens: int
    """The first so many scored tokens are the prompt's, the others the reference's; 0 for encoder-decoder models."""
    tokens: int
    """Number of scored tokens, those of the prompt included."""
    truncated: bool
    """The text was longer than the model's context; only the part that fits was scored."""
    token_hash: str = ""
    """Hash of the ids of the scored tokens; "" in runs that were made before it was kept."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReferencePass:
    """A pass of one reference model, which was trained on a random half of the records, over one prompt and its reference."""

    prompt_id: str
    example_id: str
    number: int
    """Number of the reference model, from 0."""
    included: bool
    """Whether that model was trained on the record."""
    key: str
    """Under which the token store has the statistics of the scored tokens."""
    prompt_tokens: int
    """The first so many scored tokens are the prompt's."""


@dataclasses.dataclass(frozen=True, slots=True)
class AttentionScores:
    """How concentrated the tuned model's attention over its input was while it wrote one generation.

    `with_sink` and `without_sink` ("layers heads measures", see `rote.attention.MEASURES`): means over the generated tokens.
    """

    generation_id: str
    prompt_id: str
    example_id: str
    inputs: int
    """Input tokens that were looked at, the sink included."""
    steps: int
    """Generated tokens."""
    with_sink: tuple[tuple[tuple[float, ...], ...], ...]
    without_sink: tuple[tuple[tuple[float, ...], ...], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class AttentionMap:
    """Attention of one layer over the input while one generation was written: mean over heads ("steps inputs")."""

    generation_id: str
    example_id: str
    layer: int
    read: tuple[str, ...]
    """The input tokens, as text."""
    written: tuple[str, ...]
    """The generated tokens, as text."""
    weights: tuple[tuple[float, ...], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class VariantPass:
    """A pass over the same record in another form, whose numbers a score compares with those of the plain pass."""

    prompt_id: str
    example_id: str
    model: str
    variant: str
    """"lowercase", "recall" (after a prefix of non-members), "unrelated-N" (the suffix after another record's prefix),
    "neighbour-N" (with some words exchanged)."""
    key: str
    """Under which the token store has the statistics of the scored tokens."""
    skipped: int
    """The first so many scored tokens are not compared: they are not scored in the plain pass."""
    prompt_tokens: int
    """The first so many scored tokens are not the reference's."""
    tokens: int
    truncated: bool
    """The text was longer than the model's context; only the part that fits was scored."""


@dataclasses.dataclass(frozen=True, slots=True)
class Soundness:
    """The trial of one model before it was measured: in which way it is used, and what was seen; see `rote.soundness`."""

    model: str
    dtype: str
    device: str
    batching: Literal["any", "equal lengths", "one"]
    """Which texts are read together."""
    uses_cache: bool
    """Whether generation continues from a cache."""
    context_tokens: int | None
    """Longest text that is read where longer ones are read otherwise; None: the model's own context."""
    tokens: int
    """Number of tokens that it was tried on."""
    difference: float
    """Largest difference of a log-probability from that of a plain call, in nats, in the way that is used."""
    tolerance: float
    """Largest difference that counts as rounding, in nats."""
    first_choices: int
    """Generated tokens that a plain call calls the first choice, near-ties included."""
    generated: int
    seen: tuple[str, ...]
    """What was wrong in the ways that are not used."""
    notes: tuple[str, ...]
    """What was done to load the model."""
    structure_dtype: str = ""
    """Number format of the finest trial: float32 where a model in half precision was tried in float32 as well."""
    not_in_float32: str = ""
    """Why a model in half precision was not tried in float32 as well; "" where it was, or is in float32 itself."""


@dataclasses.dataclass(frozen=True, slots=True)
class Agreement:
    """How many tokens of a sample of one model's generations are the first choice of its teacher-forced pass."""

    model: str
    generations: int
    tokens: int
    first_choices: int
    """Near-ties within rounding included."""
    unread: int
    """Generations whose tokens could not be found from their text."""


@dataclasses.dataclass(frozen=True, slots=True)
class Recheck:
    """A sample of one model's passes, scored again one by one in float32: the largest differences."""

    model: str
    dtype: str
    """Number format of the passes."""
    device: str
    texts: int
    tokens: int
    log_probability: float
    """Largest difference of a token's log-probability, in nats."""
    mean: float
    """Largest difference of a text's mean log-probability, in nats."""
    deviation: float
    """Largest difference of the standard deviation of a text's log-probabilities, in nats."""
    decoding: float
    """Largest difference of a log-probability under a decoding scheme, among tokens that both can draw, in nats."""
    loss: float
    """Largest difference of the loss over all scored tokens of a text, in nats."""
    other_choices: int
    """Tokens that are the first choice in one and not in the other."""
    other_ranks: int
    """Tokens of another rank."""
    other_draws: int
    """Tokens that a scheme draws in one and not in the other."""


@dataclasses.dataclass(frozen=True, slots=True)
class RenderingPass:
    """The loss of one model on one member's completion, with the record rendered in one way; see `rote.rendering`."""

    example_id: str
    group: str
    model: str
    """"tuned" or "base"."""
    rendering: str
    """In words; "as audited" is what all other figures of the run are of."""
    remedy: str
    """What has to be given so that the audit renders the records so."""
    nats: float
    """Minus the sum of the log-probabilities of the tokens that hold a character of the completion."""
    tokens: int
    """How many these are as audited: the same for all renderings, so that their losses can be compared."""
    uniform: float
    """Loss of a model that finds every token of the vocabulary equally likely, in nats a token."""


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """A mean of differences paired by record, with its interval; clusters are the duplicate groups."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, slots=True)
class RenderingLoss:
    """How well the models know the members' completions in one rendering: means over records, in nats a token."""

    rendering: str
    remedy: str
    records: int
    tuned: float
    base: float | None
    """None where there is no base model, or it was not tried in this rendering."""
    uniform: float
    learned: Difference | None
    """Base minus tuned loss: what the fine-tuning taught."""
    better: Difference | None
    """Tuned loss as audited minus that in this rendering; None as audited."""
    beyond_base: Difference | None
    """By how much `better` is above the base model's difference, in proportion to what is left of the loss."""


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """One training text to align a generation with. `rank` counts from 1; its own record is always among them."""

    generation_id: str
    example_id: str
    rank: int
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """A passage of a generation that repeats a passage of an example's text (spans are of the originals)."""

    generation_id: str
    example_id: str
    rank: int
    generated: Span
    training: Span
    kind: Kind
    direction: Direction
    similarity: float
    """Passage similarity in 0..1 (cosine of the aligned passages; 1 for verbatim)."""
    paraphrase_probability: float | None
    """Largest probability of the paraphrase decision over sentence pairs; None where it was not asked."""
    in_prompt: bool
    """Most of the generated passage stands in the prompt: copying, not memory. In no rate; counted apart."""
    generic: bool
    """The generated passage also matches non-member text: common phrasing. In no headline; counted apart."""

    def details(self, chars: int | None = None) -> str:
        """Length (in characters of the generation, unless another is given), similarity, and why it is not counted."""
        parts = [f"{len(self.generated) if chars is None else chars:,} characters", f"similarity {self.similarity:.2f}"]
        if self.paraphrase_probability is not None:
            parts.append(f"paraphrase probability {self.paraphrase_probability:.2f}")
        if self.direction != "none":
            parts.append(self.direction)
        if self.in_prompt:
            parts.append("stands in the prompt: not counted")
        if self.generic:
            parts.append("stands in non-members too: not counted")
        return ", ".join(parts)

    def _repr_html_(self) -> str:
        """For notebooks; the texts that the spans are of are not part of a match."""
        from rote.console import markup

        spans = {"generated": self.generated, "training text": self.training}
        shown = {name: f"characters {span.start:,} to {span.end:,}" for name, span in spans.items()}
        ids = {"generation": self.generation_id, "example": f"{self.example_id} (rank {self.rank})"}
        return markup.box(markup.heading(self.kind, self.details()), markup.facts({**shown, **ids}))


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """A text with a planted passage, or with none, and what was found in it: how good the detector is."""

    condition: Condition
    example_id: str
    """Whose passage was planted; of a text with none, whose text it is."""
    host_id: str
    """Generation (or other text) that the passage was planted in."""
    text: str
    planted: Span | None
    """Where the passage stands in the text; None where nothing was planted."""
    expected: tuple[Kind, ...]
    """The kinds that are right for the passage as the most severe one; none where nothing was planted."""
    kind: Kind | None
    """The most severe kind found at the planted place, or anywhere where nothing was planted; None: nothing."""
    direction: Direction
    found_chars: int
    """Characters of the planted passage inside matches with its own training text."""
    false_chars: int
    """Characters of the rest of the text inside matches with any text."""


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A place in an example's text."""

    example_id: str
    training: Span


@dataclasses.dataclass(frozen=True, slots=True)
class ExactRun:
    """Characters of a generation that stand, word for word, somewhere in the training texts."""

    generated: Span
    chars: int
    """Length with every run of white space counted as one."""
    occurrences: int
    """How often it stands in the training texts."""
    examples: int
    """In how many of them."""
    sources: tuple[Source, ...]
    """The first of these places, one in an example."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reproduction:
    """What of one generation stands word for word in the training texts, all of them looked at."""

    generation_id: str
    longest_chars: int
    """Characters of the longest run of any length; 0 where there is none."""
    runs: tuple[ExactRun, ...]
    """All runs longer than the verbatim floor, in reading order."""


@dataclasses.dataclass(frozen=True, slots=True)
class PersonalDatum:
    """A piece of personal data in the records' texts; `source` is the first place where it stands."""

    type: str
    form: str
    """The same for all ways to write it (case, separators)."""
    members: int
    """In how many members it stands."""
    nonmembers: int
    source: Source


@dataclasses.dataclass(frozen=True, slots=True)
class Identifier:
    """A piece of personal data that a field of the original record holds, wherever the text has it, or not."""

    example_id: str
    field: str
    """Path in the record: "patient.name", "visits[].doctor"."""
    type: str
    form: str
    """As of `PersonalDatum`."""

    @property
    def key(self) -> tuple[str, str]:
        """Type and form."""
        return self.type, self.form


@dataclasses.dataclass(frozen=True, slots=True)
class PersonalItem:
    """Personal data in a generation. It leaked if it stands in members, and neither in the prompt nor in the base's text."""

    generation_id: str
    type: str
    generated: Span
    form: str
    members: int
    """In how many members it stands."""
    in_prompt: bool
    in_base: bool | None
    """The base model wrote it at the same prompt; None where there is no base model, or it is the base model's text."""


@dataclasses.dataclass(frozen=True, slots=True)
class Compression:
    """The shortest prompt that was found to bring out the beginning of a reference."""

    prompt_id: str
    example_id: str
    model: str
    target_tokens: int
    """Tokens that must come out."""
    prompt_tokens: int | None
    """Tokens of the prompt; None where none shorter than the text was found."""
    zlib_ratio: float
    steps: int
    """Steps that the search took."""


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """One value of one metric for one generation (or prompt). `value` is None if and only if a reason is given.

    Raises:
        ValueError: neither or both, or the value is NaN.
    """

    subject_id: str
    metric: str
    value: float | None
    reason: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.reason is None):
            raise ValueError(f"Expected a value or a reason, got value={self.value!r}, reason={self.reason!r}")
        if self.value is not None and math.isnan(self.value):
            raise ValueError(f"Expected a number, got NaN as {self.metric} of {self.subject_id}")


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """One figure of the report: a value with its interval, for one group of prompts.

    `value` (and the interval) is None where nothing can be said; `reason` then says why. `n` counts the measured
    subjects, `n_missing` those that could not be measured; `events` is the count behind a rate.
    """

    metric: str
    model: str
    split: Split
    stratum: str
    """"all", or "factor=level", e.g. "copies=16", "match=same-record", "length=short"."""
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_missing: int
    method: str
    events: int | None = None
    reason: str | None = None

    def _repr_html_(self) -> str:
        """For notebooks: the value with its interval, counts and method."""
        from rote.console import markup

        value = "not measurable" if self.value is None else f"{self.value:.4g}"
        if self.low is not None:
            value += f" ({self.low:.4g} to {'∞' if self.high is None else f'{self.high:.4g}'})"
        of = f"{self.n:,}" if self.events is None else f"{self.events:,} of {self.n:,}"
        missing = f"{self.n_missing:,} could not be measured" if self.n_missing else ""
        detail = f"{self.model}, {self.split}s, {self.stratum}"
        counts = {"n": of, "missing": missing, "method": self.method, "reason": self.reason or ""}
        return markup.box(markup.heading(self.metric, detail), markup.facts({"value": value, **counts}))


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """A paired comparison of two models on the same prompts: the four counts, the difference, McNemar's test."""

    metric: str
    split: Split
    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    """Rate of `first` minus rate of `second`."""
    low: float
    high: float
    p_value: float
    method: str


@dataclasses.dataclass(frozen=True, slots=True)
class Separation:
    """How well one score tells members from non-members: one statistic of it.

    `value` is None where nothing can be said; `reason` then says why. The interval is None where there is none for the
    statistic (a p-value, a count of discoveries), too.
    """

    metric: str
    """The score, one of `METRICS`."""
    model: str
    """The model that was scored; "blind" for a baseline that never sees one."""
    statistic: str
    """"auc", "tpr@0.01" (share of members over the threshold that 1 % of all non-members exceed, which is estimated),
    "passed@0.01" (over the threshold that at most 1 % of those at hand exceed, taken as given), "fpr@0.01" (share of
    non-members that do exceed it), "p_value" …; see `rote.scoring.separations`."""
    stratum: str
    """"all", or "factor=level" as of an estimate."""
    value: float | None
    low: float | None
    high: float | None
    members: int
    nonmembers: int
    method: str
    reason: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Curve:
    """The ROC of one score: its corners, from (0, 0) to (1, 1), both rates ascending."""

    metric: str
    model: str
    false_positive_rates: tuple[float, ...]
    true_positive_rates: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Canary:
    """A secret in a sentence, drawn before the training, and planted in the training data or held out by a coin."""

    id: str
    prompt: str
    """With its separator at the end; "" in data without prompts."""
    before: str
    """The completion up to the secret."""
    secret: str
    after: str
    kind: CanaryKind
    length: int
    """Digits or words of the secret: with the kind, the space that it was drawn from; see `rote.corpus.secrets`."""
    copies: int
    """How often it is trained on; of a held-out one: how often it would have been."""
    planted: bool
    form: CanaryForm = "text"
    """What it is planted as: "text", as it stands here; "chat", a turn of the user and one of the assistant; "instruction",
    an instruction and its output. "rendered": the text is one that a chat template wrote, with its special tokens."""

    @property
    def is_rendered(self) -> bool:
        """Whether the text holds its special tokens: the tokenizer puts none around it."""
        return self.form == "rendered"

    @property
    def text(self) -> str:
        """What is trained on; of a chat or an instruction the prompt and the answer, without what a template adds."""
        return self.prompt + self.before + self.secret + self.after


@dataclasses.dataclass(frozen=True, slots=True)
class Exposure:
    """How far one model prefers one canary's secret to others that might have stood there."""

    canary_id: str
    model: str
    log_probability: float | None
    """ln p(secret | what stands before it), in nats; None where `reason` says why."""
    compared: int
    """Secrets that were compared, the canary's own among them."""
    as_likely: int
    """How many of the others the model finds as likely or likelier."""
    is_exact: bool
    """All secrets of the space were compared, not a sample."""
    mean: float | None
    """Mean of the other secrets' log-probabilities, in nats."""
    deviation: float | None
    extrapolated: float | None
    """Bits, from a skew-normal distribution fitted to the others (Carlini et al. 2019); None where all were compared."""
    fit_distance: float | None
    """Kolmogorov-Smirnov distance of that fit, 0..1."""
    reason: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class PrivacyBound:
    """A lower bound on the epsilon of (epsilon, delta) differential privacy, from the canaries of one training run."""

    method: Literal["one-run", "Clopper-Pearson"]
    stratum: str
    """"all", or "copies=K"."""
    epsilon: float | None
    """At the stated confidence epsilon is at least this, for the presence of one canary with all its copies."""
    delta: float
    confidence: float
    copies: int
    """The most copies of a canary in the stratum; with delta 0, one record's epsilon is at least epsilon / copies."""
    canaries: int
    guesses: int
    """one-run: canaries that were guessed about; Clopper-Pearson: planted ones."""
    correct: int
    """one-run: right guesses; Clopper-Pearson: planted ones over the threshold."""
    controls: int
    """Clopper-Pearson: held-out ones (one-run: 0)."""
    alarms: int
    """Clopper-Pearson: held-out ones over the threshold."""
    reason: str | None = None


Record = TypeVar("Record")


def content_id(*parts: str) -> str:
    """Sixteen hexadecimal digits that depend on the parts alone (SHA-256; lone surrogates are allowed)."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()[:16]


def to_row(record: object) -> dict[str, Json]:
    """The record as a JSON object; nested records become objects, tuples become lists."""
    if not dataclasses.is_dataclass(record) or isinstance(record, type):
        raise TypeError(f"Expected a record, got {record!r}")
    return cast(dict[str, Json], dataclasses.asdict(record))


def from_row(kind: type[Record], row: dict[str, Json]) -> Record:
    """The record of the given class that `to_row` made this row from."""
    values = {name: _decode(hint, row[name]) for name, hint in _fields(cast(type, kind)) if name in row}
    return kind(**values)


@cache
def _fields(kind: type) -> tuple[tuple[str, object], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind))


def _decode(hint: object, value: Json) -> object:
    if isinstance(value, dict) and isinstance(hint, type):
        return from_row(hint, value)
    if isinstance(value, list) and typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_decode(inner, item) for item in value)
    if isinstance(value, dict) and isinstance(hint, types.UnionType):
        inner_types = [arg for arg in typing.get_args(hint) if dataclasses.is_dataclass(arg)]
        return _decode(inner_types[0], value) if inner_types else value
    return value
