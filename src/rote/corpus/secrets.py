"""Secrets of known randomness: what a canary hides, and every other secret that might have stood in its place.

A secret is drawn uniformly from a space that is written down. So, for any model that was not trained on it, its rank
among the secrets of the space is a matter of chance, whatever the model prefers.
"""

import random
from dataclasses import dataclass

from rote.records import CanaryKind

_WORDS = (
    "acorn amber anchor apple apron arrow aspen atlas autumn badge baker bamboo banjo barley basket beacon beaver "
    "bell berry birch biscuit blanket bonnet border bottle boulder bracket branch bridge bronze brook brush bucket "
    "butter button cabin cactus camel canal candle canoe canvas captain carbon carpet castle cedar cellar chapel "
    "cherry chimney cider cinema circle citrus clay cliff clock clover cobalt coffee collar comet compass copper "
    "coral cotton cousin cradle crane crayon cricket crown crystal cup curtain cushion cymbal dagger dairy daisy "
    "dancer decade desert dinner dolphin donkey drawer drum eagle easel echo elbow ember engine estate fabric falcon "
    "farmer feather fern ferry fiddle finch flannel flask flute forest fossil fountain fox galaxy garden garlic "
    "garnet gate gazelle geyser ginger glacier glove goblet gold grape gravel guitar hammer harbour harvest hazel "
    "helmet heron hill honey horizon hornet iceberg ink inlet iris island ivory ivy jacket jasmine jelly jewel jigsaw "
    "juniper kettle kitchen kite ladder lagoon lantern laurel lemon lentil letter lichen lily linen lizard lobster "
    "locket lotus magnet mango maple marble meadow melon mirror mitten monsoon moss mountain museum mustard napkin "
    "needle nest nickel nutmeg oak oasis ocean olive onion orbit orchid otter oyster paddle palace paper parcel "
    "parrot pasture peach pebble pelican pencil pepper piano pigeon pillow pine planet plum pocket pond poplar powder "
    "prairie prism pumpkin puzzle quarry quartz quilt rabbit radish raven ribbon river robin rocket rose rowan ruby "
    "saddle saffron sail salmon sandal satin scarf school shadow shell silver slate sparrow spider spoon stable star "
    "stone summer sunset tailor temple thistle timber tulip"
)
WORDS = _WORDS.split()
"""256 common words, none the beginning of another: 8 bits each."""
SYMBOLS: dict[CanaryKind, list[str]] = {"number": list("0123456789"), "words": WORDS}
BETWEEN: dict[CanaryKind, str] = {"number": "", "words": " "}


@dataclass(frozen=True, slots=True)
class SecretSpace:
    """All secrets of `length` symbols (digits or words), each equally likely to be drawn.

    >>> SecretSpace("number", 4).size
    10000
    >>> SecretSpace("number", 4).secret(27)
    '0027'
    """

    kind: CanaryKind
    length: int

    @property
    def size(self) -> int:
        """|R|, the number of secrets."""
        return int(len(SYMBOLS[self.kind]) ** self.length)

    def secret(self, number: int) -> str:
        """The secret of that number, 0 <= number < size.

        Raises:
            ValueError: there is no such secret.
        """
        if not 0 <= number < self.size:
            raise ValueError(f"Expected 0 <= number < {self.size}, got {number}")
        symbols, found = SYMBOLS[self.kind], []
        for _ in range(self.length):
            number, place = divmod(number, len(symbols))
            found.append(symbols[place])
        return BETWEEN[self.kind].join(reversed(found))

    def number(self, secret: str) -> int | None:
        """The number of a secret; None where it is not of the space."""
        symbols, number = SYMBOLS[self.kind], 0
        parts = secret.split(BETWEEN[self.kind]) if BETWEEN[self.kind] else list(secret)
        if len(parts) != self.length or not set(parts) <= set(symbols):
            return None
        for part in parts:
            number = number * len(symbols) + symbols.index(part)
        return number

    def draw(self, rng: random.Random) -> str:
        """One secret, each equally likely."""
        return self.secret(rng.randrange(self.size))

    def some(self, limit: int, seed: int) -> tuple[str, ...]:
        """All secrets where there are at most `limit`, in order; else that many, drawn by seed without repetition."""
        if self.size <= limit:
            return tuple(map(self.secret, range(self.size)))
        rng = random.Random(f"secrets {self.kind} {self.length} {seed}")
        numbers: dict[int, None] = {}  # in the order of the draws
        while len(numbers) < limit:
            numbers[rng.randrange(self.size)] = None
        return tuple(map(self.secret, numbers))
