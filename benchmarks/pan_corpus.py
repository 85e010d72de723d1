"""Reads and writes text-alignment corpora in the format of PAN 2013 and 2014.

`susp/` and `src/` hold the documents, and each folder with a file `pairs` (suspicious and source document, a line) one
XML file of truth per pair.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from halves import Half, linked_halves
from plagdet import Reuse

from rote.errors import DataError
from rote.records import Span


@dataclass(frozen=True, slots=True)
class Pair:
    """A suspicious and a source document by file name, with the truth."""

    obfuscation: str
    suspicious: str
    source: str
    cases: tuple[Reuse, ...]

    @property
    def file_name(self) -> str:
        """Of its truth and of its detections."""
        return f"{Path(self.suspicious).stem}-{Path(self.source).stem}.xml"


@dataclass(frozen=True, slots=True)
class Corpus:
    """All pairs, and the documents by file name."""

    pairs: Sequence[Pair]
    suspicious: dict[str, str]
    sources: dict[str, str]


def read_corpus(folder: Path) -> Corpus:
    """The corpus in a folder.

    Raises:
        DataError: the folder, its parts, a document or a truth file is missing or cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"--corpus: no folder {str(folder)!r}")
    lists = sorted(folder.glob("*/pairs"))
    for part in ("susp", "src"):
        if not (folder / part).is_dir():
            raise DataError(
                f"{folder}: no folder {part!r}; expected susp/, src/ and folders of truth with a file 'pairs'"
            )
    if not lists:
        raise DataError(f"{folder}: none of its folders holds a file 'pairs'")
    pairs = [pair for file in lists for pair in _read_pairs(file)]
    suspicious = {name: _read_document(folder / "susp" / name) for name in {pair.suspicious for pair in pairs}}
    sources = {name: _read_document(folder / "src" / name) for name in {pair.source for pair in pairs}}
    corpus = Corpus(pairs, suspicious, sources)
    _check_spans(corpus)
    return corpus


def _read_pairs(file: Path) -> list[Pair]:
    pairs = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        names = line.split()
        if len(names) != 2:
            raise DataError.at(file, number, f"expected a suspicious and a source document, found {line!r}")
        pair = Pair(file.parent.name, names[0], names[1], ())
        cases = read_passages(file.parent / pair.file_name, "plagiarism")
        pairs.append(Pair(pair.obfuscation, pair.suspicious, pair.source, tuple(cases)))
    return pairs


def _read_document(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such document, but 'pairs' names it") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 ({error.reason} at byte {error.start})") from error


def read_passages(file: Path, name: Literal["plagiarism", "detected-plagiarism"]) -> list[Reuse]:
    """The passages with this feature name in a PAN file; those that name no source are left out.

    Raises:
        DataError: the file is missing, is no XML, or an offset or length is missing or no number.
    """
    try:
        root = ElementTree.parse(file).getroot()
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such file, but 'pairs' names its documents") from error
    except ElementTree.ParseError as error:
        raise DataError.at(file, error.position[0], f"broken XML: {error}") from error
    features = (feature for feature in root.iter("feature") if feature.get("name") == name)
    suspicious = root.get("reference", "")
    return [
        Reuse(
            suspicious,
            feature.get("source_reference", ""),
            _span(file, feature, "this"),
            _span(file, feature, "source"),
        )
        for feature in features
        if feature.get("source_reference")
    ]


def _span(file: Path, feature: ElementTree.Element, side: str) -> Span:
    offset, length = feature.get(f"{side}_offset", ""), feature.get(f"{side}_length", "")
    if not (offset.isdecimal() and length.isdecimal()):
        found = f"{side}_offset={offset!r} {side}_length={length!r}"
        raise DataError.at(file, None, f"expected whole numbers, found {found}")
    return Span(int(offset), int(offset) + int(length))


def _check_spans(corpus: Corpus) -> None:
    for pair in corpus.pairs:
        for case in pair.cases:
            if case.copy.end > len(corpus.suspicious[pair.suspicious]) or case.origin.end > len(
                corpus.sources[pair.source]
            ):
                raise DataError(
                    f"{pair.obfuscation}/{pair.file_name}: {case.copy} or {case.origin} is outside its document"
                )


def write_detections(folder: Path, pair: Pair, detections: Iterable[Reuse]) -> None:
    """Writes the detections of a pair as PAN's evaluators read them: one file per pair in the obfuscation's folder."""
    root = ElementTree.Element("document", reference=pair.suspicious)
    for found in detections:
        ElementTree.SubElement(
            root,
            "feature",
            name="detected-plagiarism",
            this_offset=str(found.copy.start),
            this_length=str(len(found.copy)),
            source_reference=found.source,
            source_offset=str(found.origin.start),
            source_length=str(len(found.origin)),
        )
    ElementTree.indent(root)
    file = folder / pair.obfuscation / pair.file_name
    file.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def halves(corpus: Corpus) -> list[Half]:
    """The half of each pair; no document, by its content, stands in both halves (`halves.linked_halves`)."""
    return linked_halves([(corpus.suspicious[pair.suspicious], corpus.sources[pair.source]) for pair in corpus.pairs])
