"""Seeds, clusters, adaptive gaps and overlaps: hand examples, and the kernels against the plain reference."""

import math
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import plain
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import reference_alignment as reference
from rote.alignment import CORRECTED, PAN2015, ZENG2024, Preset, align
from rote.alignment.extension import PassagePairs, extend
from rote.alignment.overlaps import GENERATED, TRAINING, quality, resolve_one_sided
from rote.alignment.preparation import prepare
from rote.alignment.presets import Clustering
from rote.alignment.seeding import MAX_SEEDS, Rows, Seeds, WeightedPair, find_seeds, weigh

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


def weighed(generated: str, training: str, preset: Preset = CORRECTED) -> tuple[WeightedPair, Seeds]:
    texts = (prepare(text, preset, language="en").rows for text in (generated, training))
    pair = weigh(*texts, preset.seeding.smooths_idf)
    return pair, find_seeds(pair, preset.seeding.min_sentence_cosine, preset.seeding.min_sentence_dice)


def passages_of(
    pair: WeightedPair, seeds: Seeds, *, gap: int, cosine: float = 0.0, least_gap: int = 0
) -> list[list[int]]:
    ranges: list[list[int]] = extend(
        pair, seeds, gap, Clustering(least_gap_sentences=least_gap, min_seeds=1, min_passage_cosine=cosine)
    ).ranges.tolist()
    return ranges


def test_seeds_are_the_similar_sentences() -> None:
    _, seeds = weighed(" ".join([*FILLERS[:2], RIVER]), " ".join([RIVER, *OTHER_FILLERS[:2], RIVER]))
    assert seeds.tolist() == [[2, 0], [2, 3]]


def test_a_published_weight_is_zero_for_a_term_of_every_sentence() -> None:
    assert weighed(RIVER, RIVER, PAN2015)[1].tolist() == []
    assert weighed(RIVER, RIVER, replace(PAN2015, seeding=PAN2015.seeding._replace(smooths_idf=True)))[1].tolist() == [
        [0, 0]
    ]


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
    found = prepare(text, preset, language="en").rows  # type: ignore[arg-type]
    assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == spans


def identical(sentences: int) -> WeightedPair:
    """Two texts of the same different sentences: every passage is similar."""
    return counted([Counter({"all": 1, str(i): 1}) for i in range(sentences)], CORRECTED)


def test_clusters_are_cut_on_both_sides_until_nothing_splits() -> None:
    pair = identical(30)
    seeds = np.array([[0, 0], [1, 20], [2, 1], [9, 2], [10, 3]], dtype=np.int32)
    assert passages_of(pair, seeds, gap=4) == [[0, 2, 0, 1], [1, 1, 20, 20], [9, 10, 2, 3]]
    assert passages_of(pair, seeds[:0], gap=4) == []
    assert passages_of(pair, seeds, gap=24) == [[0, 10, 0, 20]]
    assert len(extend(pair, seeds, 4, Clustering(min_seeds=2, min_passage_cosine=0.0)).ranges) == 2


@pytest.mark.parametrize(("apart", "gap", "clusters"), [(4, 4, 1), (5, 4, 2), (24, 24, 1), (25, 24, 2)])
def test_acceptance_5_the_gap_is_a_number_of_sentences_between(apart: int, gap: int, clusters: int) -> None:
    seeds = np.array([[0, 0], [apart + 1, apart + 1]], dtype=np.int32)
    assert len(passages_of(identical(30), seeds, gap=gap)) == clusters


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
    wide = replace(CORRECTED, clustering=CORRECTED.clustering._replace(gap_sentences=24))
    (merged,) = [p for p in align(generated, training, preset=wide) if p.form == "plain"]
    assert merged.generated.of(generated) == generated
    assert merged.training.of(training) == training


def test_acceptance_6_a_dissimilar_passage_is_cut_and_its_parts_recovered() -> None:
    generated = " ".join([RIVER, *FILLERS[:4], MARKET])
    training = " ".join([RIVER, *OTHER_FILLERS[:4], MARKET])
    pair, seeds = weighed(generated, training)
    assert seeds.tolist() == [[0, 0], [5, 5]]
    assert passages_of(pair, seeds, gap=4, cosine=0.6) == [[0, 0, 0, 0], [5, 5, 5, 5]]
    assert extend(pair, seeds, 4, Clustering(min_passage_cosine=0.6)).cosines.tolist() == pytest.approx([1.0, 1.0])
    assert len(passages_of(pair, seeds, gap=4, cosine=0.1)) == 1
    assert passages_of(pair, seeds, gap=4, cosine=0.6, least_gap=4) == []


def test_acceptance_7_quality_by_hand() -> None:
    assert quality(np.array([0.5, 0.7]), np.array([0.2, 0.4])) == pytest.approx(0.6 + 0.4 * 0.3)
    assert quality(np.array([0.5]), np.array([])) == 0.5
    assert quality(np.array([1.0]), np.array([0.0])) == 1.0


def pairs_of(*ranges: list[int]) -> PassagePairs:
    return PassagePairs(np.array(ranges, dtype=np.int32), np.ones(len(ranges)))


def overlapping() -> tuple[list[list[int]], WeightedPair]:
    """Sentence 1 of the generation in two passages: not supported in the first, fully in the second."""
    generated = f"{FILLERS[0]} {RIVER} {MARKET}"
    pair, _ = weighed(generated, f"{OTHER_FILLERS[0]} {OTHER_FILLERS[1]} {RIVER} {MARKET}")
    return [[0, 1, 0, 1], [1, 2, 2, 3]], pair


def test_published_overlaps_are_won_on_one_side() -> None:
    passages, pair = overlapping()
    assert resolve_one_sided(pair, pairs_of(*passages), GENERATED).ranges.tolist() == passages[1:]
    assert resolve_one_sided(pair, pairs_of(*passages), TRAINING).ranges.tolist() == passages


def test_corrected_overlaps_do_not_depend_on_the_side() -> None:
    """Defect 8: exchange the roles of the two texts and the same passages stay."""
    one = " ".join([RIVER, FILLERS[0], RIVER, MARKET, FILLERS[1]])
    two = " ".join([OTHER_FILLERS[0], MARKET, RIVER, OTHER_FILLERS[1], RIVER])
    there = {(p.generated, p.training) for p in align(one, two, preset=CORRECTED) if p.form == "plain"}
    back = {(p.training, p.generated) for p in align(two, one, preset=CORRECTED) if p.form == "plain"}
    assert there == back != set()


def counted(rows: list[Counter[str]], preset: Preset, training: list[Counter[str]] | None = None) -> WeightedPair:
    """The weighted pair of two texts whose sentences hold these terms."""
    ids = {term: i for i, term in enumerate(sorted({term for row in [*rows, *(training or [])] for term in row}))}
    return weigh(
        rows_of_counts(rows, ids),
        rows_of_counts(rows if training is None else training, ids),
        preset.seeding.smooths_idf,
    )


def rows_of_counts(rows: list[Counter[str]], ids: dict[str, int]) -> Rows:
    terms = np.array(sorted({ids[term] for row in rows for term in row}), dtype=np.int32)
    entries = [sorted((int(np.searchsorted(terms, ids[term])), n) for term, n in row.items()) for row in rows]
    places = np.arange(len(rows), dtype=np.int32)
    columns = np.array([column for row in entries for column, _ in row], dtype=np.int32)
    return Rows(
        starts=places * 100,
        ends=places * 100 + 99,
        row_starts=np.cumsum([0, *map(len, entries)], dtype=np.int32),
        columns=columns,
        counts=np.array([n for row in entries for _, n in row], dtype=np.int32),
        terms=terms // 2,
        more_terms=terms % 2,
        frequencies=np.bincount(columns, minlength=len(terms)).astype(np.int32),
    )


counts = st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=7).map(Counter)
sentence_counts = st.lists(counts, min_size=1, max_size=25)
presets = st.sampled_from([PAN2015, ZENG2024, CORRECTED])


def is_clear(one: list[Counter[str]], two: list[Counter[str]], preset: Preset) -> bool:
    """Whether no cosine of two sentences lies within rounding of the threshold."""
    texts = plain.TextPair([one, two], preset)
    cosines = [plain.cosine(a, b) for a in texts.vectors[0] for b in texts.vectors[1]]
    return all(abs(x - preset.seeding.min_sentence_cosine) > 1e-9 for x in cosines)


@given(one=sentence_counts, two=sentence_counts, preset=presets, gap=st.sampled_from([0, 2, 4, 24]))
@settings(max_examples=300)
def test_the_kernels_find_what_the_plain_reference_finds(
    one: list[Counter[str]], two: list[Counter[str]], preset: Preset, gap: int
) -> None:
    assume(is_clear(one, two, preset))
    texts, pair = plain.TextPair([one, two], preset), counted(one, preset, two)
    seeds = find_seeds(pair, preset.seeding.min_sentence_cosine, preset.seeding.min_sentence_dice)
    assert list(map(tuple, seeds.tolist())) == texts.find_seeds()
    clustering = preset.clustering
    passages = extend(pair, seeds, gap, clustering)
    assert as_lists(texts.extend(texts.find_seeds(), gap)) == passages.ranges.tolist()
    assert passages.cosines.tolist() == pytest.approx([p.cosine for p in texts.extend(texts.find_seeds(), gap)])
    expected = texts.extend(texts.find_seeds(), gap)
    for side in (GENERATED, TRAINING):
        texts.preset = replace(preset, copy_side="generated" if side == GENERATED else "training")
        assert resolve_one_sided(pair, passages, side).ranges.tolist() == as_lists(texts.resolve(expected))


def as_lists(passages: list[plain.PassagePair]) -> list[list[int]]:
    return [[*passage.sides[0], *passage.sides[1]] for passage in passages]


def test_a_text_that_repeats_itself_keeps_its_strongest_seeds() -> None:
    rows = [Counter({"a": 1, "b": 1, "c": 1 + i % 2}) for i in range(1500)] + [Counter({"z": 1})]
    pair = counted(rows, CORRECTED)
    seeds = find_seeds(pair, CORRECTED.seeding.min_sentence_cosine, CORRECTED.seeding.min_sentence_dice)
    assert len(seeds) == 1500 * (MAX_SEEDS // len(rows)) + 1
    assert all(row % 2 == column % 2 for row, column in seeds[:2000].tolist())
    assert math.isclose(len(seeds), MAX_SEEDS, rel_tol=0.01)


SHARED = Path(os.environ.get("ROTE_SHARED", Path(__file__).parents[3] / "shared")) / "pan13-training"


@pytest.mark.slow
@pytest.mark.parametrize("preset", [PAN2015, ZENG2024, CORRECTED], ids=lambda preset: preset.name)
def test_real_documents_are_aligned_as_by_the_plain_reference(preset: Preset) -> None:
    if not SHARED.exists():
        pytest.skip(f"the PAN-13 documents are not at {SHARED} (set ROTE_SHARED)")
    for line in (SHARED / "pairs").read_text(encoding="utf-8").splitlines()[::70]:
        texts = (
            (SHARED / folder / name).read_text(encoding="utf-8")
            for folder, name in zip(("susp", "src"), line.split(), strict=True)
        )
        generated, training = texts
        found, expected = align(generated, training, preset=preset), reference.aligned(generated, training, preset)
        assert [(p.generated, p.training, p.form, p.direction) for p in found] == [
            (p.generated, p.training, p.form, p.direction) for p in expected
        ], line
        assert [p.similarity for p in found] == pytest.approx([p.similarity for p in expected])
