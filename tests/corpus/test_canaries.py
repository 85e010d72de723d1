"""Canaries before the training: spaces of secrets, drawing, planting, their file, and that they are no members."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import byte_tokenizer, examples, tiny_decoder
from rote import runs
from rote.cli import main
from rote.config import CorpusConfig
from rote.corpus import SecretSpace, canaries_of, draw_canaries, plant, planted_examples, read_canaries, read_corpus
from rote.corpus.canaries import canary_lines, summary
from rote.corpus.secrets import WORDS
from rote.errors import ConfigError, DataError
from rote.finetuning import read_training
from rote.records import Canary, Example
from rote.runs import Run

CONFIG = CorpusConfig(canaries=40)
MEMBERS = tuple(
    f"Record {n}: the {word} stood by the {other}."
    for n, (word, other) in enumerate(zip(WORDS, WORDS[9:29], strict=False))
)

SPACES = st.builds(SecretSpace, st.sampled_from(["number", "words"]), st.integers(1, 12))


@given(SPACES, st.randoms(use_true_random=False))
def test_a_space_numbers_its_secrets(space: SecretSpace, rng: random.Random) -> None:
    number = rng.randrange(space.size)
    assert space.number(space.secret(number)) == number
    assert space.number(space.draw(rng)) in range(space.size)


@given(SPACES, st.integers(2, 300), st.integers(0, 9))
def test_some_secrets_are_distinct_as_many_as_asked_for_and_all_where_there_are_no_more(space, limit, seed) -> None:
    found = space.some(limit, seed)
    assert len(set(found)) == len(found) == min(limit, space.size)
    assert found == space.some(limit, seed)


def test_a_small_space_is_given_in_order() -> None:
    assert SecretSpace("number", 2).some(100, 0) == tuple(f"{n:02d}" for n in range(100))


@pytest.mark.parametrize("secret", ["", "12", "12a4", "12345", "acorn amber"])
def test_what_is_not_of_the_space_has_no_number(secret: str) -> None:
    assert SecretSpace("number", 4).number(secret) is None


def test_a_secret_beyond_the_space_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected 0 <= number < 100, got 100"):
        SecretSpace("number", 2).secret(100)


def test_there_are_256_words_and_none_is_the_beginning_of_another() -> None:
    assert len(WORDS) == len(set(WORDS)) == 256
    assert not [(a, b) for a in WORDS for b in WORDS if a != b and b.startswith(a)]


def test_canaries_have_names_of_their_own_and_copies_in_turn() -> None:
    found = draw_canaries(CONFIG, with_prompts=True)
    assert len({canary.before for canary in found}) == len({canary.id for canary in found}) == 40
    assert Counter(canary.copies for canary in found) == dict.fromkeys((1, 2, 4, 8, 16), 8)
    for canary in found:
        name = canary.before.removeprefix("The access code of ").removesuffix(" is ")
        assert canary.prompt == f"What is the access code of {name}?\n"
        assert canary.text == f"{canary.prompt}The access code of {name} is {canary.secret}."
        assert len(canary.secret) == 4
        assert canary.secret.isdigit()


def test_canaries_depend_on_the_seed_alone() -> None:
    assert draw_canaries(CONFIG, with_prompts=False) == draw_canaries(CONFIG, with_prompts=False)
    assert draw_canaries(CONFIG, with_prompts=False) != draw_canaries(replace(CONFIG, seed=1), with_prompts=False)


def test_coins_are_fair_and_do_not_depend_on_copies_or_secrets() -> None:
    found = [c for seed in range(50) for c in draw_canaries(replace(CONFIG, seed=seed), with_prompts=False)]
    for level in (1, 16):
        side = [canary.planted for canary in found if canary.copies == level]
        assert abs(sum(side) / len(side) - 0.5) < 0.1  # 400 coins: five standard deviations
    low = [canary.planted for canary in found if canary.secret < "5000"]
    assert abs(sum(low) / len(low) - 0.5) < 0.08


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"canary_copies": ()}, r"corpus.canary_copies: expected numbers >= 1, found \[\]"),
        ({"canary_copies": (1, 0)}, r"corpus.canary_copies: expected numbers >= 1, found \[1, 0\]"),
        (
            {"canary_sentence": "{name} has no secret"},
            "corpus.canary_sentence: expected {name} once and after it {secret}",
        ),
        ({"canary_sentence": "{secret} belongs to {name}"}, "found '{secret} belongs to {name}'"),
        ({"canary_sentence": "{name}: {secret} {secret}"}, "corpus.canary_sentence"),
        ({"canary_file": "x.jsonl"}, "corpus.canaries = 40 would draw canaries, and corpus.canary_file = 'x.jsonl'"),
    ],
)
def test_settings_that_do_not_fit_are_told(change, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        canaries_of(replace(CONFIG, **change), [])


def test_canaries_have_prompts_where_most_members_do() -> None:
    plain = examples(MEMBERS)
    asked = [replace(member, prompt="Who?\n") for member in plain]
    assert not canaries_of(CONFIG, plain)[0].prompt
    assert canaries_of(CONFIG, asked)[0].prompt
    assert not canaries_of(CONFIG, [*asked[:10], *plain[10:]])[0].prompt
    assert canaries_of(CorpusConfig(), plain) == []


def test_planting_keeps_the_order_of_the_rows_and_plants_every_copy_of_planted_canaries_alone() -> None:
    rows, canaries = examples(MEMBERS), draw_canaries(CONFIG, with_prompts=False)
    found = plant(rows, canaries, seed=3)
    assert [row for row in found if row in rows] == rows
    planted = Counter(row.text for row in found if row not in rows)
    assert planted == {canary.text: canary.copies for canary in canaries if canary.planted}
    assert found == plant(rows, canaries, seed=3) != plant(rows, canaries, seed=4)
    assert plant(rows, [], seed=3) == rows


def test_planted_canaries_are_records_in_groups_of_their_own() -> None:
    canaries = draw_canaries(CONFIG, with_prompts=True)
    found = planted_examples(canaries)
    assert [example.text for example in found] == [canary.text for canary in canaries if canary.planted]
    assert len({example.group for example in found}) == len(found)


def test_the_file_of_canaries_reads_back(tmp_path: Path) -> None:
    canaries = draw_canaries(replace(CONFIG, canary_kind="words"), with_prompts=True)
    (tmp_path / "c.jsonl").write_bytes(canary_lines(canaries))
    assert read_canaries(tmp_path / "c.jsonl") == canaries


def row_of(**changes: object) -> str:
    row = json.loads(canary_lines(draw_canaries(CONFIG, with_prompts=False)[:1]))
    return json.dumps({key: value for key, value in {**row, **changes}.items() if value is not ...})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no canaries"),
        ("{", "line 1: not JSON"),
        ("[]", "line 1: expected an object, found '\\[\\]'"),
        (row_of(after=...), "line 1, field 'after': missing"),
        (row_of(secret=4711), "field 'secret': expected a text, found 4711"),
        (row_of(planted="yes"), "field 'planted': expected true or false, found 'yes'"),
        (row_of(copies=0), "field 'copies': expected a whole number >= 1, found 0"),
        (row_of(length=True), "field 'length': expected a whole number >= 1, found True"),
        (row_of(kind="poem"), "field 'kind': expected 'number' or 'words', found 'poem'"),
        (row_of(secret="12"), "field 'secret': expected 4 digits, found '12'"),
        (row_of(kind="words"), "expected 4 words of the list"),
        (row_of(before=" "), "field 'before': nothing stands before the secret"),
        (f"{row_of()}\n{row_of()}", "line 2: the same canary stands there twice"),
    ],
)
def test_a_bad_file_of_canaries_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_canaries(tmp_path / "c.jsonl")


def test_a_missing_file_of_canaries_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a file of canaries"):
        read_canaries(tmp_path / "none.jsonl")


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def canaries_in(folder: Path) -> tuple[list[Canary], str]:
    canaries = draw_canaries(CONFIG, with_prompts=False)
    (folder / "c.jsonl").write_bytes(canary_lines(canaries))
    return canaries, str(folder / "c.jsonl")


def test_canaries_are_neither_members_nor_non_members(tmp_path: Path) -> None:
    canaries, file = canaries_in(tmp_path)
    planted = [{"text": canary.text.replace(" is ", "  is\n")} for canary in canaries if canary.planted]
    rest = [{"text": canary.text} for canary in canaries if not canary.planted]
    members = write(tmp_path / "m.jsonl", [{"text": text} for text in MEMBERS] + planted * 2)
    others = write(tmp_path / "n.jsonl", [{"text": "Nobody knew."}, *rest, *planted[:1]])
    corpus = read_corpus(CorpusConfig(members=members, nonmembers=others, canary_file=file, max_bad=0.0))
    assert sorted(example.text for example in corpus.members) == sorted(MEMBERS)
    assert [example.text for example in corpus.nonmembers] == ["Nobody knew."]
    reasons = Counter(item.reason for item in corpus.dropped)
    assert reasons == {"canary": 2 * len(planted) + len(rest) + 1}


def test_a_held_out_canary_among_the_members_is_an_error(tmp_path: Path) -> None:
    canaries, file = canaries_in(tmp_path)
    stray = next(canary for canary in canaries if not canary.planted)
    members = write(tmp_path / "m.jsonl", [{"text": "One."}, {"text": stray.text}])
    with pytest.raises(DataError, match="line 2: a canary that was held out stands among the members"):
        read_corpus(CorpusConfig(members=members, canary_file=file))


def test_prepare_writes_what_any_trainer_reads_and_the_audit_tells_apart_again(tmp_path: Path) -> None:
    rows = [{"question": f"Who was {n}?", "answer": text} for n, text in enumerate(MEMBERS)]
    data, out = write(tmp_path / "m.jsonl", rows), tmp_path / "run"
    assert main(["prepare", "--members", data, "--holdout", "0.25", "--canaries", "40", "--out", str(out)]) == 0
    canaries = read_canaries(out / runs.CANARIES)
    lines = (out / runs.TRAINING_DATA).read_text(encoding="utf-8").splitlines()
    written = [f"{row['question']}\n{row['answer']}" for row in map(json.loads, lines)]
    kept = Run(out).read(runs.EXAMPLES, Example)
    members = [example.text for example in kept if example.split == "member"]
    planted = [canary.text for canary in canaries if canary.planted for _ in range(canary.copies)]
    assert Counter(written) == Counter(members + planted)
    held_out = (out / runs.HELD_OUT_DATA).read_text(encoding="utf-8").splitlines()
    assert len(held_out) == sum(example.split == "non-member" for example in kept)

    again = tmp_path / "again"
    words = ["--members", out / runs.TRAINING_DATA, "--nonmembers", out / runs.HELD_OUT_DATA]
    words += ["--canary-file", out / runs.CANARIES, "--out", again]
    assert main(["prepare", *map(str, words)]) == 0
    assert {example.text for example in Run(again).read(runs.EXAMPLES, Example)} == {example.text for example in kept}
    assert read_canaries(again / runs.CANARIES) == canaries
    assert not (again / runs.TRAINING_DATA).exists()


def test_a_run_without_canaries_keeps_none(tmp_path: Path) -> None:
    data = write(tmp_path / "m.jsonl", [{"text": text} for text in MEMBERS])
    main(["prepare", "--members", data, "--canaries", "10", "--out", str(tmp_path / "run")])
    assert Run(tmp_path / "run").has(runs.CANARIES)
    main(["prepare", "--members", data, "--out", str(tmp_path / "run")])
    assert not (tmp_path / "run" / runs.CANARIES).exists()


def test_an_audit_refuses_to_plant_after_the_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "m.jsonl", [{"text": text} for text in MEMBERS])
    assert main(["prepare", "--members", data, "--canaries", "9", "--model", "m", "--out", str(tmp_path / "run")]) == 2
    assert "corpus.canaries = 9: canaries are planted before the training" in capsys.readouterr().err


def test_fine_tuning_plants_canaries_and_counts_them_apart(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tiny_decoder(tokens=len(tokenizer), context=128).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    data, out = write(tmp_path / "m.jsonl", [{"text": text} for text in MEMBERS[:4]]), tmp_path / "out"
    words = ["--base", tmp_path / "base", "--members", data, "--canaries", "10", "--canary-copies", "1,2"]
    words += ["--epochs", "1", "--repetition", "1,3", "--warmup-steps", "0", "--device", "cpu", "--out", out]
    assert main(["finetune", *map(str, words)]) == 0
    canaries = read_canaries(out / "canaries.jsonl")
    copies = sum(canary.copies for canary in canaries if canary.planted)
    training = read_training(out)
    assert (training.members, training.rows, training.canary_rows) == (4, 8 + copies, copies)
    members = [json.loads(line)["text"] for line in (out / "members.jsonl").read_text(encoding="utf-8").splitlines()]
    assert set(members) == set(MEMBERS[:4])
    assert len(members) == 8
    assert f"{len(canaries)} canaries: " in summary(canaries)
    assert f"(1, 2 copies, {copies} rows in all)" in summary(canaries)
    assert summary(canaries).endswith("held out; a rate at 1 % false positives needs 100 held out")
    assert summary(draw_canaries(replace(CONFIG, canaries=250), with_prompts=False)).endswith("held out")


def test_fine_tuning_plants_the_canaries_of_a_file_once_also_where_they_stand_in_the_data(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tiny_decoder(tokens=len(tokenizer), context=128).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    data, run, out = (
        write(tmp_path / "m.jsonl", [{"text": text} for text in MEMBERS[:4]]),
        tmp_path / "run",
        tmp_path / "o",
    )
    assert main(["prepare", "--members", data, "--canaries", "8", "--canary-copies", "1,2", "--out", str(run)]) == 0
    words = ["--base", tmp_path / "base", "--members", run / runs.TRAINING_DATA, "--canary-file", run / runs.CANARIES]
    words += ["--epochs", "1", "--warmup-steps", "0", "--device", "cpu", "--out", out]
    assert main(["finetune", *map(str, words)]) == 0
    rows = (run / runs.TRAINING_DATA).read_text(encoding="utf-8").splitlines()
    training = read_training(out)
    assert (training.members, training.rows) == (4, len(rows))
    assert read_canaries(out / "canaries.jsonl") == read_canaries(run / runs.CANARIES)


def test_fine_tuning_refuses_canaries_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = byte_tokenizer()
    tiny_decoder(tokens=len(tokenizer), context=128).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    data = write(tmp_path / "m.jsonl", [{"text": text} for text in MEMBERS[:4]])
    words = ["--base", tmp_path / "base", "--members", data, "--canaries", "10", "--context-tokens", "20"]
    assert main(["finetune", *map(str, words), "--device", "cpu", "--out", str(tmp_path / "out")]) == 2
    assert "canaries do not fit the context" in capsys.readouterr().err
