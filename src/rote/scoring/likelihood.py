"""Metrics of the true continuation that need no more than its tokens' probabilities under one model.

Each takes the statistics of the *reference's* tokens alone (`TokenStatistics.part(prompt_tokens)`).
"""

from rote.passes.choices import TokenChoices
from rote.passes.store import TokenStatistics


def loss(tokens: TokenStatistics | TokenChoices) -> float | None:
    """Mean negative log-probability of the tokens, in nats: 0 and up, lower = more memorised.

    loss = −(1/T) Σ ln p(x_t | x_<t). None where no token was scored. Source: Yeom et al. 2018 (1709.01604).
    """
    return -float(tokens.log_probabilities.mean(dtype=float)) + 0.0 if len(tokens) else None


def exact_memorization(tokens: TokenStatistics | TokenChoices) -> float | None:
    """Share of the tokens that are the model's first choice given the true ones before: 0..1, higher = more memorised.

    None where no token was scored. Source: exact memorisation of Tirumala et al. 2022 (section 3), with teacher
    forcing as there.
    """
    return float(tokens.is_greedy.mean(dtype=float)) if len(tokens) else None


def extractable(tokens: TokenStatistics | TokenChoices, suffix_tokens: int) -> bool | None:
    """Whether greedy decoding of the prompt gives the reference's first `suffix_tokens` tokens exactly.

    Greedy decoding gives them if and only if each one is the first choice after the true ones before it. None where
    fewer tokens were scored. Source: Carlini et al. 2023 (2202.07646), definition 3.1, with the true prefix.

    Raises:
        ValueError: `suffix_tokens` is below 1.
    """
    if suffix_tokens < 1:
        raise ValueError(f"Expected suffix_tokens >= 1, got {suffix_tokens}")
    return bool(tokens.is_greedy[:suffix_tokens].all()) if len(tokens) >= suffix_tokens else None
