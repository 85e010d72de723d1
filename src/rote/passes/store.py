"""What the teacher-forced passes found, kept once for each text: a folder of chunk files that only grows.

A chunk is an Arrow file that is written under a temporary name and renamed. Its name says which texts are in it, so
processes that share a store do not disturb each other, and holds a hash of its content, which is checked once in a process
before anything is read from it. Nothing here knows of models or prompts.
"""

import io
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rote.errors import RunError
from rote.records import content_id
from rote.runs import TOKEN_STORE, Echo, Run
from rote.runs.disk import content_hash, known_hash, private_folder, write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

ENDING = ".arrow"
OPEN_CHUNKS = 64
"""Chunks that are kept in memory for reading."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """What one model's distribution says of each scored token of one text, in the order of the text.

    All distributions are of the whole vocabulary, but for `is_greedy` and `decoding_log_probabilities`, which are of
    the tokens that may be generated (no start, end or padding).
    """

    log_probabilities: Floats
    """ln p(token | what stands before it), in nats: 0 and down ("token")."""
    means: Floats
    """Mean of ln p(v) over v drawn from the distribution: minus its entropy ("token")."""
    deviations: Floats
    """Standard deviation of ln p(v) over v drawn from the distribution ("token")."""
    ranks: NDArray[np.int32]
    """Number of tokens that are more likely; 0 = none ("token"). Equally likely ones do not count."""
    is_greedy: NDArray[np.bool_]
    """Whether greedy decoding would choose the token here ("token")."""
    decoding_log_probabilities: Floats
    """ln of the probability that sampling draws the token, -inf where it never does ("scheme token")."""

    def __len__(self) -> int:
        return len(self.log_probabilities)

    def part(self, start: int, end: int | None = None) -> "TokenStatistics":
        """The statistics of the tokens from `start` (inclusive) to `end` (exclusive); `part(prompt_tokens)`: the reference's."""
        return TokenStatistics(
            self.log_probabilities[start:end],
            self.means[start:end],
            self.deviations[start:end],
            self.ranks[start:end],
            self.is_greedy[start:end],
            self.decoding_log_probabilities[:, start:end],
        )


def store_of(run: Run) -> "TokenStore":
    """The store that a run's token scores point into: the one that its manifest names, or the run's own."""
    named = run.manifest().get("token_store")
    return TokenStore(run.path(str(named or TOKEN_STORE)), is_inner=not named)


class TokenStore:
    """The folder of chunks. Reading needs no folder; it is made when something is added.

    Args:
        folder: where the chunks lie; may be shared by runs and by processes.
        is_inner: it lies in a run folder, and must be no symbolic link.
    """

    def __init__(self, folder: Path, *, is_inner: bool = False) -> None:
        self.folder = folder
        self.is_inner = is_inner
        self.damaged: list[Path] = []
        """Chunks that are not what was written, or of another version of rote; nothing is read from them."""
        self._places: dict[str, tuple[Path, int]] = {}
        self._chunks: OrderedDict[Path, pa.Table] = OrderedDict()
        for path in sorted(folder.glob(f"*{ENDING}")):
            if _is_whole(path):
                self._enter(path, _read(path, columns=[0]))
            else:
                self.damaged.append(path)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def read(self, key: str) -> TokenStatistics:
        """The statistics of one text.

        Raises:
            RunError: the store does not have it (any more), or a chunk is damaged.
        """
        if key not in self._places:
            damaged = f" ({self.damaged[0].name} is damaged)" if self.damaged else ""
            raise RunError(
                f"{self.folder}: token statistics {key} are missing{damaged}; run `rote generate` (of reference models: "
                "`rote references`) again"
            )
        path, row = self._places[key]
        return _from_row(self._table(path), row)

    def add(self, found: Mapping[str, TokenStatistics]) -> None:
        """Writes the statistics of some texts, by key, as one chunk; texts that are there already are left out."""
        new = {key: found[key] for key in found if key not in self}
        if not new:
            return
        table = _to_table(new)
        private_folder(self.folder, is_inner=self.is_inner)
        content = _encoded(table)
        path = self.folder / f"{content_id(*new)}-{content_hash(content)}{ENDING}"
        write_atomically(path, content)
        self._enter(path, table)

    def repair(self, echo: Echo) -> None:
        """Removes damaged chunks, and reports each: their texts are then missing, and scored again."""
        for path in self.damaged:
            echo(f"{path}: damaged, or of another version; removed")
            path.unlink(missing_ok=True)
        self.damaged.clear()

    def _enter(self, path: Path, table: "pa.Table") -> None:
        for row, key in enumerate(table["key"].to_pylist()):
            self._places.setdefault(key, (path, row))

    def _table(self, path: Path) -> "pa.Table":
        """The chunk, from memory where it was read lately."""
        if path not in self._chunks:
            self._chunks[path] = _read(path)
        self._chunks.move_to_end(path)
        if len(self._chunks) > OPEN_CHUNKS:
            self._chunks.popitem(last=False)
        return self._chunks[path]


def _is_whole(path: Path) -> bool:
    """Whether the chunk is what its name says."""
    try:
        return known_hash(path) == path.stem.partition("-")[2]
    except OSError:
        return False


def _read(path: Path, *, columns: list[int] | None = None) -> "pa.Table":
    """Some columns of a chunk (all, without `columns`); only these are read from the disk."""
    import pyarrow as pa

    try:
        options = pa.ipc.IpcReadOptions(included_fields=columns)
        with pa.memory_map(str(path)) as file, pa.ipc.open_file(file, options=options) as reader:
            return reader.read_all()
    except (OSError, pa.ArrowException) as error:
        raise RunError(f"{path}: damaged ({error}); delete it and run `rote generate` again") from error


def _to_table(found: Mapping[str, TokenStatistics]) -> "pa.Table":
    import pyarrow as pa

    rows = list(found.values())
    floats, whole, truth = pa.list_(pa.float32()), pa.list_(pa.int32()), pa.list_(pa.bool_())
    return pa.table(
        {
            "key": pa.array(list(found), pa.string()),
            "log_probabilities": pa.array([row.log_probabilities for row in rows], floats),
            "means": pa.array([row.means for row in rows], floats),
            "deviations": pa.array([row.deviations for row in rows], floats),
            "ranks": pa.array([row.ranks for row in rows], whole),
            "is_greedy": pa.array([row.is_greedy for row in rows], truth),
            "decoding_log_probabilities": pa.array(
                [row.decoding_log_probabilities.reshape(-1) for row in rows], floats
            ),
            "schemes": pa.array([len(row.decoding_log_probabilities) for row in rows], pa.int32()),
        }
    )


def _from_row(table: "pa.Table", row: int) -> TokenStatistics:
    def column(name: str) -> NDArray[np.generic]:
        found: NDArray[np.generic] = table[name][row].values.to_numpy(zero_copy_only=False)
        return found

    tokens = column("log_probabilities")
    return TokenStatistics(
        log_probabilities=tokens.astype(np.float32),
        means=column("means").astype(np.float32),
        deviations=column("deviations").astype(np.float32),
        ranks=column("ranks").astype(np.int32),
        is_greedy=column("is_greedy").astype(np.bool_),
        decoding_log_probabilities=column("decoding_log_probabilities")
        .astype(np.float32)
        .reshape(table["schemes"][row].as_py(), len(tokens)),
    )


def _encoded(table: "pa.Table") -> bytes:
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
