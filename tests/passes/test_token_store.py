from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.errors import RunError
from rote.passes.store import TokenStatistics, TokenStore, store_of
from rote.runs import Run


def made(tokens: int, schemes: int = 2, *, seed: int = 0) -> TokenStatistics:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(3, tokens)).astype(np.float32)
    decoding = generator.normal(size=(schemes, tokens)).astype(np.float32)
    decoding[:, ::3] = -np.inf
    ranks = generator.integers(0, 50_000, tokens).astype(np.int32)
    return TokenStatistics(values[0], values[1], values[2], ranks, ranks == 0, decoding)


def assert_equal(one: TokenStatistics, other: TokenStatistics) -> None:
    for name in TokenStatistics.__slots__:
        left, right = getattr(one, name), getattr(other, name)
        assert left.dtype == right.dtype
        assert left.shape == right.shape
        assert np.array_equal(left, right, equal_nan=True)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 4)), min_size=1, max_size=6), st.integers(0, 100))
@settings(max_examples=30)
def test_what_is_added_is_read_back_to_the_bit(tmp_path_factory, sizes, seed):
    folder = tmp_path_factory.mktemp("store")
    store = TokenStore(folder / "new")
    known = {f"k{n}": made(*size, seed=seed + n) for n, size in enumerate(sizes)}
    store.add(dict(list(known.items())[:2]))
    store.add(dict(list(known.items())[2:]))
    for reader in (store, TokenStore(folder / "new")):
        for key, statistics in known.items():
            assert key in reader
            assert_equal(reader.read(key), statistics)


def test_a_key_that_is_there_is_not_written_again(tmp_path):
    store = TokenStore(tmp_path)
    store.add({"a": made(3)})
    before = sorted(tmp_path.iterdir())
    store.add({"a": made(3, seed=9)})
    assert sorted(tmp_path.iterdir()) == before
    assert_equal(store.read("a"), made(3))
    store.add({"a": made(3), "b": made(4)})
    assert len(list(tmp_path.iterdir())) == 2
    assert_equal(TokenStore(tmp_path).read("b"), made(4))


def test_nothing_is_written_where_nothing_is_new(tmp_path):
    TokenStore(tmp_path / "store").add({})
    assert not (tmp_path / "store").exists()


def test_two_processes_may_add_the_same_texts(tmp_path):
    one, other = TokenStore(tmp_path), TokenStore(tmp_path)
    one.add({"a": made(3), "b": made(2)})
    other.add({"a": made(3), "b": made(2)})
    assert len(list(tmp_path.iterdir())) == 1
    other.add({"b": made(2), "c": made(5)})
    assert_equal(TokenStore(tmp_path).read("c"), made(5))


def test_a_part_is_cut_from_every_field():
    whole = made(7, 3)
    part = whole.part(2, 5)
    assert len(part) == 3
    assert part.decoding_log_probabilities.shape == (3, 3)
    assert np.array_equal(part.ranks, whole.ranks[2:5])
    assert len(whole.part(7)) == 0
    assert_equal(whole.part(0), whole)


def test_a_missing_key_and_a_damaged_chunk_are_named(tmp_path):
    store = TokenStore(tmp_path)
    with pytest.raises(RunError, match=r"token statistics gone are missing; run `rote generate` .*again"):
        store.read("gone")
    store.add({"a": made(3)})
    (chunk,) = tmp_path.glob("*.arrow")
    content = chunk.read_bytes()
    for damage in (content[:100], content[:-9] + b"x" + content[-8:], b""):
        chunk.write_bytes(damage)
        damaged = TokenStore(tmp_path)
        assert "a" not in damaged
        with pytest.raises(RunError, match=rf"{chunk.name} is damaged\); run `rote generate`"):
            damaged.read("a")
    said: list[str] = []
    damaged.repair(said.append)
    assert chunk.name in said[0]
    damaged.add({"a": made(3)})
    assert chunk.read_bytes() == content


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_many_chunks_keep_no_files_open(tmp_path):
    store = TokenStore(tmp_path)
    for number in range(150):
        store.add({f"k{number}": made(3, seed=number)})
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    reader = TokenStore(tmp_path)
    for number in range(150):
        assert_equal(reader.read(f"k{number}"), made(3, seed=number))
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= before + 2


def test_a_run_has_its_own_store_or_the_one_that_its_manifest_names(tmp_path):
    run = Run(tmp_path / "run")
    assert store_of(run).folder == tmp_path / "run" / "token-store"
    run.note(token_store=str(tmp_path / "shared"))
    assert store_of(Run(tmp_path / "run")).folder == tmp_path / "shared"
