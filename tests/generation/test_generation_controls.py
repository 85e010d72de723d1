import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.generation import shuffled_generations, true_suffix_generations
from rote.records import Example, Generation, Prompt


def generation(number: int, *, sample: int = 0, text: str | None = None) -> Generation:
    text = f"text {number} {sample}" if text is None else text
    return Generation(f"g{number}-{sample}", f"p{number}", f"e{number}", "tuned", "greedy", sample, text)


def records(groups: list[int], split: str = "member") -> list[Example]:
    return [Example(f"e{n}", "", f"record {n}", split, f"group {group}") for n, group in enumerate(groups)]


def test_true_suffix_is_the_reference_cut_to_the_generations_length():
    prompts = [Prompt("p0", "e0", "shown", "the true rest"), Prompt("p1", "e1", "shown", "rest")]
    tuned = [generation(0, text="12345678"), generation(1, text="12345678"), generation(0, sample=1, text="")]
    found = true_suffix_generations(prompts, tuned)
    assert [item.text for item in found] == ["the true", "rest", ""]
    assert {item.model for item in found} == {"true-suffix"}
    assert [(item.prompt_id, item.example_id, item.sample) for item in found] == [
        ("p0", "e0", 0),
        ("p1", "e1", 0),
        ("p0", "e0", 1),
    ]
    assert not {item.id for item in found} & {item.id for item in tuned}


@settings(max_examples=100)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(0, 3), st.randoms())
def test_shuffled_texts_come_from_other_groups_and_nobody_is_lost(groups, seed, random):
    examples, tuned = records(groups), [generation(n) for n in range(len(groups))]
    shuffled = shuffled_generations(tuned, examples, seed=seed)
    given_to = {item.example_id: item.text for item in shuffled.generations}
    group_of_text = {f"text {n} 0": group for n, group in enumerate(groups)}
    assert all(group_of_text[text] != groups[int(to[1:])] for to, text in given_to.items())
    assert len(set(given_to.values())) == len(given_to)
    assert len(given_to) + len(shuffled.unmeasurable) == len(groups)
    if 2 * max(map(groups.count, groups)) <= len(groups):
        assert shuffled.unmeasurable == []
    again = shuffled_generations(random.sample(tuned, len(tuned)), examples, seed=seed)
    assert {item.example_id: item.text for item in again.generations} == given_to


def test_shuffled_stays_within_split_and_sample():
    examples = records([0, 1], "member") + [Example(f"e{n}", "", "", "non-member", f"group {n}") for n in (2, 3)]
    tuned = [generation(n, sample=sample) for n in range(4) for sample in (0, 1)]
    found = shuffled_generations(tuned, examples, seed=0).generations
    partner = {"e0": 1, "e1": 0, "e2": 3, "e3": 2}
    assert [item.text for item in found] == [f"text {partner[item.example_id]} {item.sample}" for item in found]
    assert {item.model for item in found} == {"shuffled"}
    assert len({item.id for item in found} | {item.id for item in tuned}) == 16


def test_one_group_gives_no_negative_control_and_says_why():
    shuffled = shuffled_generations([generation(0), generation(1)], records([7, 7]), seed=0)
    assert shuffled.generations == []
    assert [score.subject_id for score in shuffled.unmeasurable] == ["g0-0", "g1-0"]
    assert all("same duplicate group" in score.reason for score in shuffled.unmeasurable)


def test_the_seed_deals_anew():
    examples, tuned = records(list(range(12))), [generation(n) for n in range(12)]
    deals = {
        tuple(item.text for item in shuffled_generations(tuned, examples, seed=seed).generations) for seed in range(5)
    }
    assert len(deals) == 5


def test_unknown_prompts_and_examples_are_not_passed_over():
    with pytest.raises(KeyError, match="p0"):
        true_suffix_generations([], [generation(0)])
    with pytest.raises(KeyError, match="e0"):
        shuffled_generations([generation(0)], [], seed=0)


def test_nothing_in_nothing_out():
    assert true_suffix_generations([], []) == []
    assert shuffled_generations([], [], seed=0) == ([], [])
