"""From logits to statistics: against sums by the definitions, for any logits, on the way of a CPU and that of a GPU."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.passes import token_statistics as statistics
from rote.passes.schemes import PLAIN, Scheme
from rote.passes.token_statistics import Columns, empty_columns, fill

SCHEMES = (PLAIN, Scheme(1.0, 3, 1.0), Scheme(0.7, 0, 0.8), Scheme(1.5, 5, 0.6), Scheme(1.0, 10_000, 1.0))


def by_definition(logits: list[float], target: int, suppressed: set[int], scheme: Scheme = PLAIN) -> dict[str, float]:
    """Sums over the vocabulary in plain Python."""
    largest = max(logits)
    weights = [math.exp(value - largest) for value in logits]
    p = [weight / math.fsum(weights) for weight in weights]
    log_p = [value - largest - math.log(math.fsum(weights)) for value in logits]
    mean = math.fsum(a * b for a, b in zip(p, log_p, strict=True) if a)
    variance = math.fsum(a * (b - mean) ** 2 for a, b in zip(p, log_p, strict=True) if a)
    allowed = {token: value / scheme.temperature for token, value in enumerate(logits) if token not in suppressed}
    first = max(allowed, key=lambda token: (allowed[token], -token))
    if scheme.top_k:
        least = sorted(allowed.values(), reverse=True)[min(scheme.top_k, len(allowed)) - 1]
        allowed = {token: value for token, value in allowed.items() if value >= least}
    mass = {token: math.exp(value - max(allowed.values())) for token, value in allowed.items()}
    total = math.fsum(mass.values())
    above = {token: math.fsum(mass[o] for o in mass if allowed[o] > allowed[token]) / total for token in mass}
    kept = {token: mass[token] for token in mass if above[token] < scheme.top_p}
    edge = min((abs(value - scheme.top_p) for value in above.values()), default=1.0)
    drawn = math.log(kept[target] / math.fsum(kept.values())) if kept.get(target) else -math.inf
    rank = sum(value > logits[target] for value in logits)
    return {"log": log_p[target], "mean": mean, "deviation": math.sqrt(variance), "rank": rank,
            "greedy": first == target, "drawn": drawn, "edge": edge}  # fmt: skip


def computed(logits: torch.Tensor, targets: list[int], suppressed: set[int], schemes=SCHEMES) -> Columns:
    columns = empty_columns(len(targets), len(schemes), logits.device)
    places = torch.arange(len(targets))
    fill(columns, places, logits.clone(), torch.tensor(targets), suppressed=sorted(suppressed), schemes=schemes)
    return columns


@pytest.fixture(params=["cpu", "gpu"])
def way(request, monkeypatch):
    """Everything sorted, as on a CPU, or the largest 4 logits alone, as (with 1024) on a GPU."""
    if request.param == "gpu":

        def ordered(logits, least):
            if least < logits.shape[-1]:
                return logits, logits.topk(least).values.flip(-1)
            whole = logits.sort(-1).values
            return whole, whole

        monkeypatch.setattr(statistics, "_ordered", ordered)
        monkeypatch.setattr(statistics, "LEAST_TAIL", 4)
    return request.param


def assert_by_definition(logits: torch.Tensor, targets: list[int], suppressed: set[int], schemes=SCHEMES) -> None:
    found = computed(logits, targets, suppressed, schemes)
    size = max(1.0, float(logits.abs().max()))
    for row, target in enumerate(targets):
        values = [float(value) for value in logits[row]]
        for number, scheme in enumerate(schemes):
            expected = by_definition(values, target, suppressed, scheme)
            assert float(found.log_probabilities[row]) == pytest.approx(expected["log"], abs=3e-6 * size)
            assert float(found.means[row]) == pytest.approx(expected["mean"], abs=3e-6 * size)
            assert float(found.deviations[row]) == pytest.approx(expected["deviation"], abs=1e-5 * size)
            assert (int(found.ranks[row]), bool(found.is_greedy[row])) == (expected["rank"], expected["greedy"])
            if expected["edge"] > 1e-5:  # what is kept does not hang on the last digit of a sum
                drawn = float(found.decoding_log_probabilities[number, row])
                assert drawn == pytest.approx(expected["drawn"], abs=1e-5 * size)


logits_of = st.integers(2, 12).flatmap(
    lambda width: st.lists(
        st.lists(st.floats(-30, 30, width=16), min_size=width, max_size=width), min_size=1, max_size=5
    )
)


@pytest.mark.parametrize("suppressed", [set(), {0}, {1, 3}])
@given(rows=logits_of, data=st.data())
@settings(max_examples=60)
def test_statistics_are_the_sums_of_their_definitions(suppressed, rows, data):
    """Half-precision values between -30 and 30: ties are common."""
    width = len(rows[0])
    suppressed = {token for token in suppressed if token < width - 1}
    targets = [data.draw(st.integers(0, width - 1)) for _ in rows]
    assert_by_definition(torch.tensor(rows), targets, suppressed)


@pytest.mark.parametrize("spread", [0.01, 1.0, 10.0])
def test_both_ways_are_the_definitions(way, spread):
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn((12, 40), generator=generator) * spread
    targets = [int(logits[row].argmax()) if row % 3 == 0 else row for row in range(12)]
    assert_by_definition(logits, targets, {2, 7}, SCHEMES[:4])


def test_ties_at_the_edge_are_kept_and_the_first_of_equals_is_greedy(way):
    logits = torch.tensor([[5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 5.0, 1.0, 1.0, 1.0, 1.0]] * 3)
    found = computed(logits, [0, 7, 1], set(), (Scheme(1.0, 3, 1.0),))
    assert found.is_greedy.tolist() == [True, False, False]
    assert found.ranks.tolist() == [0, 0, 2]
    kept = 2 * math.exp(5) + 9 * math.exp(1)
    assert found.decoding_log_probabilities[0].tolist() == pytest.approx(
        [5 - math.log(kept)] * 2 + [1 - math.log(kept)]
    )


def test_a_token_that_is_never_generated_takes_no_part_in_decoding_however_likely_it_is(way):
    logits = torch.zeros((2, 30))
    logits[:, 4] = 200.0
    found = computed(logits, [0, 4], {4}, (PLAIN,))
    assert found.log_probabilities.tolist() == [-200.0, 0.0]
    assert found.means.tolist() == [0.0, 0.0]
    assert found.decoding_log_probabilities[0].tolist() == pytest.approx([-math.log(29), -math.inf])
    assert found.ranks.tolist() == [1, 0]
    assert found.is_greedy.tolist() == [True, False]


def test_logits_of_minus_infinity_weigh_nothing(way):
    logits = torch.full((1, 20), -math.inf)
    logits[0, :2] = 0.0
    found = computed(logits, [0], {5}, (PLAIN, Scheme(2.0, 3, 0.9)))
    assert float(found.log_probabilities[0]) == pytest.approx(-math.log(2))
    assert float(found.means[0]) == pytest.approx(-math.log(2))
    assert float(found.deviations[0]) == pytest.approx(0, abs=1e-6)
    assert found.decoding_log_probabilities[:, 0].tolist() == pytest.approx([-math.log(2)] * 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_of_half_precision_are_summed_in_float32(dtype):
    logits = torch.randn((6, 50), generator=torch.Generator().manual_seed(1)).to(dtype)
    assert_by_definition(logits, list(range(6)), {3})


def test_any_split_into_blocks_gives_the_same(monkeypatch):
    logits = torch.randn((9, 31), generator=torch.Generator().manual_seed(2))
    whole = computed(logits, list(range(9)), {1})
    monkeypatch.setattr(statistics, "CPU_BLOCK", 2 * 31)
    for one, other in zip(whole, computed(logits, list(range(9)), {1}), strict=True):
        assert torch.equal(one, other)


def test_several_threads_sort_the_same(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(7, 100)).astype(np.float32)
    expected = np.sort(rows, axis=-1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    statistics._sort(rows)
    assert (rows == expected).all()


def test_defect_2_means_and_deviations_are_under_the_models_distribution():
    """The plain mean over the vocabulary would be far below: most tokens are unlikely."""
    logits = torch.tensor([[10.0, 0.0, -1.0, -2.0, -30.0, -31.0]])
    found = computed(logits, [1], set(), (PLAIN,))
    expected = by_definition(logits[0].tolist(), 1, set())
    log_p = logits[0].double().log_softmax(-1)
    assert float(found.means[0]) == pytest.approx(expected["mean"], rel=1e-4)
    assert float(found.deviations[0]) == pytest.approx(expected["deviation"], rel=1e-4)
    assert abs(float(log_p.mean()) - float(found.means[0])) > 10
    assert abs(float(log_p.std()) - float(found.deviations[0])) > 10
