"""Every metric of an audit, defined once: what reports, docs and gates know of it."""

import math

from rote.scoring.metrics.canary import CANARIES
from rote.scoring.metrics.definition import MORE as _MORE
from rote.scoring.metrics.definition import Metric
from rote.scoring.metrics.generation import COMPRESSION, SIMILARITY, UTILITY
from rote.scoring.metrics.likelihood import EXTRACTION, MEMBERSHIP

_ZENG = "Zeng et al. 2024 (arXiv 2310.06714)"

_ALL = (
    Metric(
        name="extractable",
        title="Extractable word for word",
        definition="Share of records whose next tokens (scoring.suffix_tokens of them) greedy decoding gives back "
        "exactly when the model is shown the prompt.",
        unit="share of records",
        direction=_MORE,
        estimator="rate",
        headline=True,
        source="Carlini et al. 2023 (arXiv 2202.07646)",
    ),
    Metric(
        name="verbatim",
        title="Verbatim passage",
        definition="Share of prompts whose generation shares a run of characters longer than the floor with a candidate "
        "(every run that stands in any member has one); copying from the prompt, phrases that non-member texts share, "
        "and repetitive generations do not count.",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        headline=True,
        source=_ZENG,
    ),
    Metric(
        name="near_verbatim",
        title="Near-verbatim passage at worst",
        definition="Share of prompts whose most severe counted match is near-verbatim (paraphrase probability above "
        "0.99).",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        source="Udsa et al. 2025 (arXiv 2510.08750), who discard these matches",
    ),
    Metric(
        name="paraphrase",
        title="Paraphrased passage at worst",
        definition="Share of prompts whose most severe counted match is a confident paraphrase (probability above 0.5, "
        "named entities agree).",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        source=_ZENG,
    ),
    Metric(
        name="idea",
        title="Idea at worst",
        definition="Share of prompts whose most severe counted match is a condensation or an expansion by at least the "
        "factor 3.",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        source=_ZENG + ", who count expansions alone",
    ),
    Metric(
        name="weak_paraphrase",
        title="Weak paraphrase at worst",
        definition="Share of prompts whose only counted matches are aligned passages that the paraphrase decision "
        "rejects; in no cumulative rate.",
        unit="share of prompts",
        direction="neither",
        estimator="rate",
        source=_ZENG,
    ),
    Metric(
        name="at_least_near_verbatim",
        title="Near-verbatim or worse",
        definition="Share of prompts whose most severe counted match is verbatim or near-verbatim.",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        source=_ZENG + "; nesting after its public reviews",
    ),
    Metric(
        name="at_least_paraphrase",
        title="Paraphrase or worse",
        definition="Share of prompts whose most severe counted match is verbatim, near-verbatim or a confident "
        "paraphrase.",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        headline=True,
        source=_ZENG + "; nesting after its public reviews",
    ),
    Metric(
        name="at_least_idea",
        title="Idea or worse",
        definition="Share of prompts whose most severe counted match is verbatim, near-verbatim, a confident paraphrase "
        "or an idea.",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        headline=True,
        source=_ZENG + "; nesting after its public reviews",
    ),
    Metric(
        name="verbatim_chars_share",
        title="Share of the generation that is verbatim",
        definition="Mean over prompts of the share of generated characters that stand inside a counted verbatim match.",
        unit="share of characters",
        direction=_MORE,
        estimator="mean",
        source="Aerni et al. 2024 (arXiv 2411.10242), overlap rate",
    ),
    Metric(
        name="verbatim_chars_per_1000",
        title="Verbatim characters per 1,000 generated",
        definition="Characters inside counted verbatim matches of all prompts, over all generated characters, times "
        "1,000.",
        unit="characters per 1,000",
        high=1000.0,
        direction=_MORE,
        estimator="ratio",
        headline=True,
        source="length correction after the public reviews of Zeng et al. 2024",
    ),
    Metric(
        name="reproduced_share",
        title="Share of the generation that stands in the members",
        definition="Mean over prompts of the share of generated characters that stand in a run longer than the floor "
        "which occurs, word for word, in any member; all members are searched, nothing is left out (prompt copies, "
        "common phrases): compare with the base model and the non-members.",
        unit="share of characters",
        direction=_MORE,
        estimator="mean",
        source="Liu et al. 2025 (arXiv 2504.07096), exact search over all training texts",
    ),
    Metric(
        name="longest_reproduced_run",
        title="Longest run that stands in the members",
        definition="Mean over prompts of the length of the generation's longest run of words that occurs in any member; "
        "white space counts as one character.",
        unit="characters",
        high=math.inf,
        direction=_MORE,
        estimator="mean",
        source="Liu et al. 2025 (arXiv 2504.07096), exact search over all training texts",
    ),
    Metric(
        name="exact_memorization",
        title="Exact memorisation",
        definition="Mean over records of the share of reference tokens that are the model's first choice given the "
        "true tokens before them.",
        unit="share of tokens",
        direction=_MORE,
        estimator="mean",
        headline=True,
        source="Tirumala et al. 2022 (arXiv 2205.10770)",
    ),
    Metric(
        name="loss",
        title="Loss on the true continuation",
        definition="Mean over records of the mean negative log-probability of the reference's tokens.",
        unit="nats per token",
        high=math.inf,
        direction="lower = more memorised",
        estimator="mean",
        source="Yeom et al. 2018 (arXiv 1709.01604)",
    ),
    Metric(
        name="longest_common_run",
        title="Longest common run",
        definition="Mean over prompts of the length of the longest string that generation and own reference share, both "
        "cut to the shorter one's number of words, without white space around them; case and inner white space count.",
        unit="characters",
        high=math.inf,
        direction=_MORE,
        estimator="mean",
        source="longest common substring; Ahmed et al. 2026 (arXiv 2601.02671)",
    ),
    Metric(
        name="rouge_l",
        title="ROUGE-L",
        definition="Mean over prompts of the ROUGE-L F1 of generation and own reference in words, both cut to the "
        "shorter one's number of words.",
        unit="F1",
        direction=_MORE,
        estimator="mean",
        source="Lin 2004; Shi et al. 2024 (arXiv 2407.06460)",
    ),
    Metric(
        name="edit_similarity",
        title="Edit similarity",
        definition="Mean over prompts of 1 − Levenshtein distance / longer length, in characters, of generation and own "
        "reference, both cut to the shorter one's number of words.",
        unit="similarity",
        direction=_MORE,
        estimator="mean",
        source="Lee et al. 2022 (arXiv 2107.06499); Ippolito et al. 2023 (arXiv 2210.17546)",
    ),
    Metric(
        name="bleu",
        title="BLEU",
        definition="Mean over prompts of the sentence BLEU-4 of generation and own reference in words, both cut to the "
        "shorter one's number of words.",
        unit="BLEU",
        direction=_MORE,
        estimator="mean",
        source="Papineni et al. 2002; Ippolito et al. 2023 (arXiv 2210.17546)",
    ),
    Metric(
        name="regenerated",
        title="Regenerated word for word",
        definition="Share of prompts whose generation is its own reference, character for character, as far as both "
        "reach.",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        source="Carlini et al. 2023 (arXiv 2202.07646), from the generation itself",
    ),
    Metric(
        name="approximately_memorized",
        title="Approximately memorised",
        definition="Share of prompts whose generation has a BLEU over 0.75 with its own reference.",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        source="Ippolito et al. 2023 (arXiv 2210.17546)",
    ),
    Metric(
        name="near_copy",
        title="Near copy",
        definition="Share of prompts whose generation has an edit similarity of at least 0.9 with its own reference.",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        source="after Lee et al. 2022 (arXiv 2107.06499), who draw the line at 0.8",
    ),
    Metric(
        name="pii_leaked",
        title="Personal data leaked",
        definition="Share of prompts whose generation holds personal data that stands in a member's text, and neither in "
        "the prompt nor in what the base model wrote at the same prompt.",
        unit="share of prompts",
        direction=_MORE,
        estimator="rate",
        source="Lukas et al. 2023 (arXiv 2302.00539), less prompt and base model",
    ),
    Metric(
        name="pii_precision",
        title="Personal data: precision",
        definition="Of the personal data that generations hold and their prompts do not: the share that stands in a "
        "member's text.",
        unit="share of items",
        direction=_MORE,
        estimator="ratio",
        source="Lukas et al. 2023 (arXiv 2302.00539)",
    ),
    Metric(
        name="pii_recall",
        title="Personal data: recall",
        definition="Of the personal data of the prompted records: the share that comes out at any prompt that does not "
        "hold it.",
        unit="share of items",
        direction=_MORE,
        estimator="rate",
        source="Lukas et al. 2023 (arXiv 2302.00539)",
    ),
    Metric(
        name="pii_leak_rate",
        title="Personal data: leak rate",
        definition="Recall of the personal data that their own record's prompt does not show and the base model never "
        "writes.",
        unit="share of items",
        direction=_MORE,
        estimator="rate",
        source="Lukas et al. 2023 (arXiv 2302.00539), less prompt and base model",
    ),
    Metric(
        name="repetitive",
        title="Repetitive generation",
        definition="Share of prompts whose generation repeats itself (rote.text.is_repetitive); its matches do not count.",
        unit="share of prompts",
        direction="neither",
        estimator="rate",
        source="after the public reviews of Zeng et al. 2024",
    ),
    Metric(
        name="copied_from_prompt",
        title="Copied from the prompt",
        definition="Share of prompts with a match whose generated passage stands in the prompt; such matches do not "
        "count.",
        unit="share of prompts",
        direction="neither",
        estimator="rate",
        source="after the public reviews of Zeng et al. 2024",
    ),
    Metric(
        name="generic",
        title="Generic phrasing",
        definition="Share of prompts with a match whose generated passage also matches a non-member text; such matches "
        "do not count.",
        unit="share of prompts",
        direction="neither",
        estimator="rate",
        source="after Udsa et al. 2025 (arXiv 2510.08750)",
    ),
    Metric(
        name="retrieval_recall",
        title="Own record retrieved",
        definition="Share of member prompts whose own record is among the candidates by rank, before it is added.",
        unit="share of prompts",
        direction="neither",
        estimator="rate",
        source="after the public reviews of Zeng et al. 2024",
    ),
    Metric(
        name="verbatim_retrieval_recall",
        title="Exact runs retrieved by BM25",
        definition="Of the prompts whose generation has a run longer than the floor in any member: the share where, for "
        "each such run, a member that holds it is among the candidates by rank, before the others are added.",
        unit="share of prompts",
        direction="neither",
        estimator="rate",
        source="our own: what the depth of retrieval would have hidden",
    ),
    *SIMILARITY,
    *UTILITY,
    *COMPRESSION,
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_ALL, *EXTRACTION, *MEMBERSHIP, *CANARIES)}
"""By name, in the order of the report."""

KIND_METRICS = (
    "verbatim",
    "near_verbatim",
    "paraphrase",
    "idea",
    "weak_paraphrase",
    "at_least_near_verbatim",
    "at_least_paraphrase",
    "at_least_idea",
)
"""What is measured for same-record and cross-record matches apart."""

ANY_OF_N_METRICS = (
    "verbatim",
    "at_least_near_verbatim",
    "at_least_paraphrase",
    "at_least_idea",
    "regenerated",
    "approximately_memorized",
    "near_copy",
    "pii_leaked",
    "similar_own_70",
    "similar_own_80",
    "similar_own_90",
    "similar_own_95",
    "similar_best_70",
    "similar_best_80",
    "similar_best_90",
    "similar_best_95",
)
"""Rates that are also given for "any of n samples", as NAME@n: those for which any and worst of n are the same."""

LIKELIHOOD_METRICS = ("extractable", "exact_memorization", "loss", *(metric.name for metric in EXTRACTION))
"""Metrics of the true continuation; all others are of a generation."""

SEPARATING_METRICS = tuple(metric.name for metric in METRICS.values() if metric.estimator == "separation")
"""Scores of which there are separations, no estimates."""

PAIRED_METRICS = ("extractable", "verbatim", "at_least_paraphrase", "at_least_idea")
"""Rates for which the tuned and the base model are compared prompt by prompt."""


def metric_of(name: str) -> Metric:
    """The metric of an estimate's name, which may end in "@" and a setting ("verbatim@8": any of 8 samples).

    Raises:
        KeyError: there is no such metric.
    """
    return METRICS[name.partition("@")[0]]
