"""Seeds, clusters, adaptive gaps and overlaps: hand examples."""

from dataclasses import replace

import numpy as np
import pytest

from rote.alignment import CORRECTED, PAN2015, ZENG2024, align
from rote.alignment.extension import PassagePair, SentenceRange, extend, find_clusters
from rote.alignment.overlaps import quality, resolve_both_sides, resolve_one_sided
from rote.alignment.preparation import prepare
from rote.alignment.seeding import SentencePairs, find_seeds

RIVER = "The swollen river carried broken timber past the abandoned mill."
MARKET = "Merchants shouted prices across the crowded spice market yesterday."
FILLERS = [
    "Grandmother knitted woollen socks beside her window.",
    "Several astronauts rehearsed docking manoeuvres underwater.",
    "Copper prices climbed sharply during autumn trading.",
    "My cousin repairs antique violins in Cremona.",
    "Penguins huddle together against freezing antarctic gales.",
    "Chess players rarely sacrifice both bishops early.",
    "Bakers proof their dough overnight inside cool cellars.",
]
OTHER_FILLERS = [
    "Glaciologists measured retreating ice near Svalbard.",
    "Students protested against rising tuition fees.",
    "Volcanic ash grounded hundreds of flights.",
    "Beekeepers inspected hives for parasitic mites.",
    "Judges postponed both hearings until spring.",
    "Sculptors prefer marble quarried around Carrara.",
    "Plumbers replaced corroded pipes under Main Street.",
]


def seed_pairs(generated: str, training: str) -> SentencePairs:
    texts = (prepare(text, CORRECTED, language="en") for text in (generated, training))
    return find_seeds(*texts, preset=CORRECTED)


def test_seeds_are_the_similar_sentences() -> None:
    pairs = seed_pairs(" ".join([*FILLERS[:2], RIVER]), " ".join([RIVER, *OTHER_FILLERS[:2], RIVER]))
    assert pairs.seeds.tolist() == [[2, 0], [2, 3]]


def test_a_published_weight_is_zero_for_a_term_of_every_sentence() -> None:
    texts = prepare(RIVER, PAN2015, language="en"), prepare(RIVER, PAN2015, language="en")
    assert find_seeds(*texts, preset=PAN2015).seeds.tolist() == []
    assert find_seeds(*texts, preset=replace(PAN2015, smooths_idf=True)).seeds.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("text", "preset", "spans"),
    [
        ("Yes. No. We all went home early.", ZENG2024, [(0, 27)]),
        ("Yes. No. We all went home early.", CORRECTED, [(0, 32)]),
        ("We all went home early. Yes sir.", ZENG2024, [(0, 23), (24, 32)]),
        ("Oh! We. Ok.", ZENG2024, []),
    ],
)
def test_short_sentences_join_the_next(text: str, preset: object, spans: list[tuple[int, int]]) -> None:
    """Defect 6: as published, a merged sentence ends short by the space inside it. Sentences without terms are dropped."""
    found = prepare(text, preset, language="en").spans  # type: ignore[arg-type]
    assert [(span.start, span.end) for span in found] == spans


def test_clusters_are_cut_on_both_sides_until_nothing_splits() -> None:
    seeds = np.array([[0, 0], [1, 20], [2, 1], [9, 2], [10, 3]])
    found = [sorted(map(tuple, cluster.tolist())) for cluster in find_clusters(seeds, gap=4)]
    assert sorted(found) == [[(0, 0), (2, 1)], [(1, 20)], [(9, 2), (10, 3)]]
    assert find_clusters(seeds[:0], gap=4) == []
    assert len(find_clusters(seeds, gap=24)) == 1
    assert len(find_clusters(seeds, gap=4, min_seeds=2)) == 2


@pytest.mark.parametrize(("apart", "gap", "clusters"), [(4, 4, 1), (5, 4, 2), (24, 24, 1), (25, 24, 2)])
def test_acceptance_5_the_gap_is_a_number_of_sentences_between(apart: int, gap: int, clusters: int) -> None:
    seeds = np.array([[0, 0], [apart + 1, apart + 1]])
    assert len(find_clusters(seeds, gap=gap)) == clusters


def test_acceptance_5_two_blocks_five_sentences_apart() -> None:
    block, other = (
        f"{RIVER} {MARKET}",
        "Pilgrims climbed the marble stairs singing hymns softly. Wolves circled the frozen camp until sunrise.",
    )
    generated = " ".join([block, *FILLERS[:5], other])
    training = " ".join([block, *OTHER_FILLERS[:5], other])
    found = [p for p in align(generated, training, preset=CORRECTED) if p.form == "plain"]
    assert [p.generated.of(generated) for p in found] == [block, other]
    assert [p.training.of(training) for p in found] == [block, other]
    wide = replace(CORRECTED, gap_sentences=24)
    (merged,) = [p for p in align(generated, training, preset=wide) if p.form == "plain"]
    assert merged.generated.of(generated) == generated
    assert merged.training.of(training) == training


def test_acceptance_6_a_dissimilar_passage_is_cut_and_its_parts_recovered() -> None:
    generated = " ".join([RIVER, *FILLERS[:4], MARKET])
    training = " ".join([RIVER, *OTHER_FILLERS[:4], MARKET])
    pairs = seed_pairs(generated, training)
    assert pairs.seeds.tolist() == [[0, 0], [5, 5]]
    strict = replace(CORRECTED, min_passage_cosine=0.6)
    found = extend(pairs, gap=4, preset=strict)
    assert [(p.generated, p.training) for p in found] == [(SentenceRange(i, i), SentenceRange(i, i)) for i in (0, 5)]
    assert all(p.cosine == pytest.approx(1.0) for p in found)
    assert len(extend(pairs, gap=4, preset=replace(strict, min_passage_cosine=0.1))) == 1
    assert extend(pairs, gap=4, preset=replace(strict, least_gap_sentences=4)) == []


def test_acceptance_7_quality_by_hand() -> None:
    assert quality([0.5, 0.7], [0.2, 0.4]) == pytest.approx(0.6 + 0.4 * 0.3)
    assert quality([0.5], []) == 0.5
    assert quality([1.0], [0.0]) == 1.0


def overlapping() -> tuple[list[PassagePair], SentencePairs]:
    """Sentence 1 of the generation in two passages: not supported in the first, fully in the second."""
    generated = f"{FILLERS[0]} {RIVER} {MARKET}"
    pairs = seed_pairs(generated, f"{OTHER_FILLERS[0]} {OTHER_FILLERS[1]} {RIVER} {MARKET}")
    first = PassagePair(SentenceRange(0, 1), SentenceRange(0, 1), 0.5)
    second = PassagePair(SentenceRange(1, 2), SentenceRange(2, 3), 1.0)
    return [first, second], pairs


def test_published_overlaps_are_won_on_one_side() -> None:
    passages, pairs = overlapping()
    assert resolve_one_sided(passages, pairs, side="generated") == passages[1:]
    assert resolve_one_sided(passages, pairs, side="training") == passages


def test_corrected_overlaps_spare_a_passage_that_is_mostly_its_own() -> None:
    passages, pairs = overlapping()
    assert resolve_both_sides(passages, pairs) == passages
    inside = PassagePair(SentenceRange(1, 1), SentenceRange(1, 1), 0.4)
    assert resolve_both_sides([inside, passages[1]], pairs) == passages[1:]
    assert resolve_both_sides([passages[1], inside], pairs) == passages[1:]


def test_corrected_overlaps_do_not_depend_on_the_side() -> None:
    """Defect 8: exchange the roles of the two texts and the same passages stay."""
    one = " ".join([RIVER, FILLERS[0], RIVER, MARKET, FILLERS[1]])
    two = " ".join([OTHER_FILLERS[0], MARKET, RIVER, OTHER_FILLERS[1], RIVER])
    there = {(p.generated, p.training) for p in align(one, two, preset=CORRECTED) if p.form == "plain"}
    back = {(p.training, p.generated) for p in align(two, one, preset=CORRECTED) if p.form == "plain"}
    assert there == back != set()
