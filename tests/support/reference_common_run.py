"""The longest common run in plain Python: the reference of the compiled kernel."""


def automaton_common_run(first: str, second: str) -> int:
    """Length of the longest string that stands in both, by the suffix automaton of the shorter text."""
    shorter, longer = sorted((first, second), key=len)
    automaton = _SuffixAutomaton(shorter)
    longest = state = run = 0
    for character in longer:
        while state and character not in automaton.moves[state]:
            state = automaton.suffix[state]
            run = automaton.length[state]
        if character in automaton.moves[state]:
            state = automaton.moves[state][character]
            run += 1
            longest = max(longest, run)
    return longest


class _SuffixAutomaton:
    """Every substring of a text is a path from state 0; `suffix` leads to the longest suffix in another state."""

    def __init__(self, text: str) -> None:
        self.moves: list[dict[str, int]] = [{}]
        self.suffix = [-1]
        self.length = [0]
        last = 0
        for character in text:
            last = self._extended(last, character)

    def _extended(self, last: int, character: str) -> int:
        new = self._added({}, self.length[last] + 1)
        state = last
        while state != -1 and character not in self.moves[state]:
            self.moves[state][character] = new
            state = self.suffix[state]
        if state != -1:
            self.suffix[new] = self._split(state, character)
        return new

    def _split(self, state: int, character: str) -> int:
        """The state of the string of `state` and the character alone; parted from longer strings where need be."""
        target = self.moves[state][character]
        if self.length[target] == self.length[state] + 1:
            return target
        clone = self._added(self.moves[target].copy(), self.length[state] + 1)
        self.suffix[clone], self.suffix[target] = self.suffix[target], clone
        while state != -1 and self.moves[state].get(character) == target:
            self.moves[state][character] = clone
            state = self.suffix[state]
        return clone

    def _added(self, moves: dict[str, int], length: int) -> int:
        self.moves.append(moves)
        self.length.append(length)
        self.suffix.append(0)
        return len(self.moves) - 1
