"""The longest string that two texts share, exact and in linear time: a suffix automaton as a compiled kernel.

The moves of a state are a chain of edges instead of a mapping: the kernel knows arrays alone.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel

_Codes = NDArray[np.uint32]
_Ints = NDArray[np.int32]


class _Automaton(NamedTuple):
    """Every substring of a row of codes is a path from state 0. Room for 2·n states and 3·n edges is enough for n codes."""

    length: _Ints
    """Length of the longest string that leads to a state."""
    suffix: _Ints
    """The state of the longest suffix that leads to another state; -1 for state 0."""
    first: _Ints
    """The first edge of a state, or -1."""
    following: _Ints
    """The next edge of the same state, or -1."""
    code: _Codes
    target: _Ints
    used: _Ints
    """Number of states and of edges so far."""


def longest_common_run(first: str, second: str) -> int:
    """Length in characters of the longest string that stands in both texts, exactly as they are given.

    Case and white space count. The metric of that name gives it the texts of `cut_alike`: cut to one number of words, and
    without white space around them.

    0 and up, higher = more memorised; 0 where either is empty. Linear time, by the suffix automaton of the shorter
    text (Blumer et al. 1985): `difflib` with its defaults misses most of a long copy.

    >>> longest_common_run("a fever of 39 degrees", "no fever of 38 degrees")
    11
    """
    shorter, longer = sorted((first, second), key=len)
    if shorter in longer:
        return len(shorter)
    return int(_longest_shared(_codes(shorter), _codes(longer)))


def _codes(text: str) -> _Codes:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


@kernel
def _longest_shared(indexed: _Codes, read: _Codes) -> int:
    states, edges = 2 * len(indexed) + 1, 3 * len(indexed) + 1
    automaton = _Automaton(
        np.zeros(states, np.int32),
        np.full(states, -1, np.int32),
        np.full(states, -1, np.int32),
        np.full(edges, -1, np.int32),
        np.zeros(edges, np.uint32),
        np.zeros(edges, np.int32),
        np.array([1, 0], np.int32),
    )
    last = 0
    for code in indexed:
        last = _extend(automaton, last, code)
    longest = state = run = 0
    for code in read:
        edge = _edge(automaton, state, code)
        while edge < 0 and state > 0:
            state = automaton.suffix[state]
            run = automaton.length[state]
            edge = _edge(automaton, state, code)
        if edge >= 0:
            state, run = automaton.target[edge], run + 1
            longest = max(longest, run)
    return longest


@kernel
def _extend(automaton: _Automaton, last: int, code: np.uint32) -> int:
    """Adds one code after the state of the whole row so far; returns the new state of the whole row."""
    new = _add_state(automaton, automaton.length[last] + 1)
    state, edge = last, -1
    while state >= 0:
        edge = _edge(automaton, state, code)
        if edge >= 0:
            break
        _add_edge(automaton, state, code, new)
        state = automaton.suffix[state]
    automaton.suffix[new] = _split(automaton, state, edge) if state >= 0 else 0
    return new


@kernel
def _split(automaton: _Automaton, state: int, edge: int) -> int:
    """The state of the string of `state` and the edge's code alone; parted from longer strings where need be."""
    target, code = automaton.target[edge], automaton.code[edge]
    if automaton.length[target] == automaton.length[state] + 1:
        return int(target)
    clone = _add_state(automaton, automaton.length[state] + 1)
    copied = automaton.first[target]
    while copied >= 0:
        _add_edge(automaton, clone, automaton.code[copied], automaton.target[copied])
        copied = automaton.following[copied]
    automaton.suffix[clone] = automaton.suffix[target]
    automaton.suffix[target] = clone
    while edge >= 0 and automaton.target[edge] == target:
        automaton.target[edge] = clone
        state = automaton.suffix[state]
        edge = _edge(automaton, state, code) if state >= 0 else -1
    return clone


@kernel
def _edge(automaton: _Automaton, state: int, code: np.uint32) -> int:
    """The edge of the state with that code, or -1."""
    edge = automaton.first[state]
    while edge >= 0 and automaton.code[edge] != code:
        edge = automaton.following[edge]
    return int(edge)


@kernel
def _add_state(automaton: _Automaton, length: int) -> int:
    new = int(automaton.used[0])
    automaton.length[new] = length
    automaton.used[0] += 1
    return new


@kernel
def _add_edge(automaton: _Automaton, state: int, code: np.uint32, target: int) -> None:
    new = automaton.used[1]
    automaton.code[new], automaton.target[new] = code, target
    automaton.following[new], automaton.first[state] = automaton.first[state], new
    automaton.used[1] += 1
