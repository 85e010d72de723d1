"""Personal data that fields of the records hold: names of persons, mail addresses, numbers, by the names of the fields.

A field is used for what its name says ("patient.name", "e-mail", "dob") where its values look like it. A field `name` may
hold a file, a model or a product: its values must be written as names of persons are, and most values of the field must.
How often a value occurs plays no part: a doctor named in half of the records is a person.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from rote.corpus.formats import Fields
from rote.personal_data.name_words import PARTICLE_WORDS, WORD, Kind, kind_of, name_form
from rote.personal_data.recognizing import BuiltInRecognizer
from rote.records import Identifier

LEAST_SHARE = 0.5
"""A field holds names if at least this share of its different values, of those with a letter, look like names."""
MAX_VALUE_CHARS = 200
"""A longer value is a text, no name and no number."""
_TYPES: dict[str, tuple[str, ...]] = {
    "EMAIL": ("email", "mail", "emails"),
    "PHONE": ("phone", "telephone", "tel", "mobile", "cell", "fax", "telefon", "handy"),
    "BIRTH_DATE": ("dob", "birthdate", "birthday", "born", "birth", "geburtsdatum", "dateofbirth"),
    "SSN": ("ssn",),
    "IBAN": ("iban",),
    "CARD": ("card", "creditcard", "cardnumber"),
    "NATIONAL_ID": ("nino", "nhs", "pesel", "bsn", "cpf", "dni", "nie", "nir", "aadhaar", "personnummer", "nationalid"),
    "RECORD_NUMBER": ("mrn", "passport", "patientid", "policynumber", "recordnumber", "patientnumber", "customerid", "licence"),
    "ADDRESS": ("address", "addr", "anschrift", "adresse"),
    "IP_ADDRESS": ("ip", "ipaddress"),
}  # fmt: skip
"""Type → words of a field's name that say so; two words of a name may be written as one."""
_FULL = frozenset(
    ("fullname", "realname", "patientname", "personname", "customername", "clientname", "doctorname", "employeename",
     "contactname", "nombrecompleto", "accountholder", "cardholder", "policyholder")
)  # fmt: skip
_FIRST = frozenset(
    ("firstname", "givenname", "forename", "forenames", "fname", "vorname", "prenom", "prénom", "voornaam")
)
_LAST = frozenset(
    ("lastname", "surname", "familyname", "lname", "nachname", "familienname", "apellido", "apellidos", "cognome", "achternaam",
     "maidenname")
)  # fmt: skip
_ROLES = frozenset(
    [
        "person",
        "patient",
        "patientin",
        "doctor",
        "physician",
        "nurse",
        "clinician",
        "surgeon",
        "consultant",
        "therapist",
        "practitioner",
        "gp",
        "provider",
        "arzt",
        "customer",
        "client",
        "kunde",
        "employee",
        "staff",
        "author",
        "authors",
        "sender",
        "recipient",
        "contact",
        "guardian",
        "mother",
        "father",
        "parent",
        "spouse",
        "husband",
        "wife",
        "child",
        "son",
        "daughter",
        "student",
        "pupil",
        "teacher",
        "professor",
        "lawyer",
        "attorney",
        "judge",
        "plaintiff",
        "defendant",
        "witness",
        "applicant",
        "claimant",
        "candidate",
        "tenant",
        "landlord",
        "owner",
        "holder",
        "beneficiary",
        "insured",
        "signatory",
        "signer",
        "manager",
        "agent",
        "speaker",
        "interviewer",
        "interviewee",
        "resident",
        "relative",
        "kin",
        "referrer",
        "subscriber",
        "assignee",
        "reporter",
        "buyer",
        "seller",
        "borrower",
    ]
)
_NAMES = frozenset(("name", "names", "nombre", "nom", "nome", "naam", "namn", "navn"))
_NO_PERSON = frozenset(
    [
        "file",
        "path",
        "folder",
        "model",
        "product",
        "company",
        "brand",
        "class",
        "column",
        "table",
        "project",
        "dataset",
        "repo",
        "repository",
        "package",
        "function",
        "tool",
        "variable",
        "event",
        "city",
        "country",
        "street",
        "place",
        "school",
        "hospital",
        "ward",
        "drug",
        "medication",
        "medicine",
        "disease",
        "species",
        "host",
        "domain",
        "server",
        "title",
        "song",
        "movie",
        "book",
        "team",
        "user",
        "screen",
        "nick",
        "display",
        "type",
        "id",
        "code",
        "status",
        "role",
        "uuid",
        "url",
        "org",
        "organisation",
        "organization",
        "institution",
        "department",
        "course",
        "region",
        "state",
        "county",
        "language",
        "currency",
        "category",
        "group",
        "clinic",
        "insurance",
        "insurer",
        "pharmacy",
        "bank",
        "bucket",
        "branch",
        "plan",
        "policy",
        "test",
        "lab",
        "pet",
        "dog",
        "cat",
        "horse",
        "animal",
        "character",
    ]
)
"""Words of a field's name that say that it holds no person's name ("file_name", "patient_id", "user_name")."""
_SIBLINGS = frozenset(("price", "sku", "version", "license", "size", "extension", "arguments", "parameters", "brand"))
"""Fields beside a `name` that say that it is a thing's."""
_WORDS = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-Z])")
_SEVERAL = re.compile(r"\s*[;|/\n]\s*|\s+(?:and|und|et|y|&)\s+")
_NAME = re.compile(rf"(?:{WORD}\.?)(?:[ .]+{WORD}\.?){{0,5}}")
_RECOGNIZER = BuiltInRecognizer()


@dataclass(frozen=True, slots=True)
class FieldUse:
    """A field whose values are personal data."""

    field: str
    """Its path: "patient.name", "visits[].doctor"."""
    type: str
    values: int
    """Different values that are used."""
    records: int
    """Records that have one."""


@dataclass(slots=True)
class Identifying:
    """Collects what the fields of a data set's records hold, record by record."""

    found: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict)
    """Path and kind ("name", "first", "last", or a type) → value → ids of the examples."""

    def add(self, example_id: str, fields: Fields) -> None:
        """One record that became this example."""
        for path, kind, value in _values(fields):
            self.found.setdefault((path, kind), {}).setdefault(value, []).append(example_id)

    def identifiers(self) -> list[Identifier]:
        """Each value of a field that holds personal data, once for each record; sorted."""
        found: set[Identifier] = set()
        for (path, kind), values in self.found.items():
            forms = {value: _forms(kind, value) for value in values}
            if kind in ("name", "role") and not _is_mostly_names(forms):
                continue
            for value, ids in values.items():
                found |= {Identifier(one, path, *key) for one in ids for key in forms[value]}
        return sorted(found, key=lambda item: (item.example_id, item.field, item.type, item.form))


def fields_used(identifiers: Iterable[Identifier]) -> list[FieldUse]:
    """The fields that they come from, by path and type."""
    forms, records = defaultdict[tuple[str, str], set[str]](set), defaultdict[tuple[str, str], set[str]](set)
    for item in identifiers:
        forms[item.field, item.type].add(item.form)
        records[item.field, item.type].add(item.example_id)
    return [FieldUse(*key, len(forms[key]), len(records[key])) for key in sorted(forms)]


def fields_sentence(uses: Iterable[FieldUse]) -> str:
    """One sentence for terminal and report; "" where no field is used."""
    listed = ", ".join(f"{use.field} ({use.type}, {use.values:,} different in {use.records:,} records)" for use in uses)
    return f"personal data is also known from the records' own fields: {listed}" if listed else ""


def _values(fields: Fields) -> Iterator[tuple[str, str, str]]:
    """Path, kind and value of whatever a field's name calls personal data; first and last name of one object as one, too."""
    for path, value in _objects(fields, ""):
        first, last = "", ""
        for key, inner in value.items():
            kind = kind_of_field(f"{path}.{key}" if path else key)
            if not kind or (kind == "name" and not _SIBLINGS.isdisjoint(map(str.casefold, value))):
                continue
            where = f"{path}.{key}" if path else key
            for text in _texts(inner):
                yield where, kind, text
                first, last = (text if kind == "first" else first), (text if kind == "last" else last)
        if first and last:
            yield f"{path}." * bool(path) + "first and last name", "both", f"{first} {last}"


def _objects(value: object, path: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The objects within a value, itself included, each with its path."""
    if isinstance(value, Mapping):
        yield path, value
        for key, inner in value.items():
            yield from _objects(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner, f"{path}[]")


def _texts(value: object) -> Iterator[str]:
    """A value as text; of a list each."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, (str, int)) and not isinstance(one, bool) and 2 < len(str(one)) <= MAX_VALUE_CHARS:
            yield str(one).strip()


@lru_cache(maxsize=4096)
def kind_of_field(path: str) -> str:
    """What the name of a field says of its values: "name", "role", "first", "last", a type, or "" for nothing.

    >>> [kind_of_field(name) for name in ("customer.name", "lastName", "attending_doctor", "E-Mail", "file_name", "date")]
    ['name', 'last', 'role', 'EMAIL', '', '']
    """
    *before, own = re.sub(r"\[\]", "", path).split(".")
    words = [word.casefold() for word in _WORDS.findall(_CAMEL.sub(" ", own))]
    joined = {*words, *("".join(words[at : at + 2]) for at in range(len(words))), "".join(words)}
    for kind, known in (("first", _FIRST), ("last", _LAST)):
        if joined & known:
            return kind
    for kind, names in _TYPES.items():
        if joined.intersection(names):
            return kind
    if joined & _FULL:
        return "role"
    outer = {word.casefold() for part in before[-1:] for word in _WORDS.findall(_CAMEL.sub(" ", part))}
    if not words or not _NO_PERSON.isdisjoint(words) or (_NAMES & joined and not _NO_PERSON.isdisjoint(outer)):
        return ""
    if not _ROLES.isdisjoint(words):
        return "role"
    if not _NAMES.isdisjoint(words):
        return "role" if not _ROLES.isdisjoint(outer) else "name"
    return {"first": "first", "last": "last"}.get(words[-1], "") if outer & {*_NAMES, *_ROLES} else ""


def _forms(kind: str, value: str) -> set[tuple[str, str]]:
    """Types and normal forms of a value; none where it does not look like what the field's name says."""
    if kind in ("name", "role", "first", "last", "both"):
        return {("NAME", form) for form in _name_forms(kind, value)}
    fitting = [item for item in _RECOGNIZER.find_possible(value) if item.type == kind]
    return {item.key for item in fitting if len(item.span) >= len(value.strip()) - 2}


def _name_forms(kind: str, value: str) -> Iterator[str]:
    for written in _written_names(value):
        words = [word.rstrip(".") for word in re.split(r"[ .]+", written) if word]
        kinds = [(word, kind_of(word)) for word in words]
        while kinds and kinds[0][1].is_title and not (kinds[0][1].is_given and len(kinds) > 1):
            kinds.pop(0)
        if _looks_like_name(kinds, is_said=kind != "name", is_part=kind in ("first", "last")):
            yield name_form(" ".join(word for word, _ in kinds))


def _written_names(value: str) -> Iterator[str]:
    """The names in a value, the given name first: "Roe, Jane; Dr John Doe, MD" has two."""
    for part in _SEVERAL.split(value):
        pieces = [piece.strip(" \"'()*") for piece in part.split(",")]
        pieces = [
            piece
            for piece in pieces
            if _NAME.fullmatch(piece) and not re.fullmatch(r"[A-Z.]{2,5}|Ph\.? ?D\.?|Jr\.?|Sr\.?", piece)
        ]
        if len(pieces) == 2 and len(pieces[0].split()) <= 2 and (" " not in pieces[0] or " " not in pieces[1]):
            pieces = [f"{pieces[1]} {pieces[0]}"]
        yield from pieces


def _looks_like_name(words: list[tuple[str, Kind]], *, is_said: bool, is_part: bool) -> bool:
    """Whether words are written as a person's name is.

    Args:
        words: without titles.
        is_said: the name of the field says that it is a person.
        is_part: it may be a given name or a surname alone.
    """
    own = [(word, kind) for word, kind in words if kind.word not in PARTICLE_WORDS and not kind.is_initial]
    if not own or any(kind.is_title and not (kind.is_given or kind.is_surname) for _, kind in own[1:]):
        return False
    has_capitals = all(word[0].isupper() for word, _ in own)
    is_known = any((kind.is_given or kind.is_surname) and not kind.is_ordinary for _, kind in own)
    if not has_capitals and not (is_known and is_said):
        return False
    if len(own) == 1 and len(words) == 1:
        kind = own[0][1]
        is_name = kind.is_given or kind.is_surname
        return is_name if is_part and kind.is_ordinary else not kind.is_ordinary and (is_said or is_name)
    fits = [not kind.is_ordinary or kind.is_given or kind.is_surname for _, kind in own]
    return all(fits) and (is_said or is_known or not any(kind.is_ordinary for _, kind in own))


def _is_mostly_names(forms: Mapping[str, set[tuple[str, str]]]) -> bool:
    worded = [value for value in forms if _WORDS.search(value)]
    return bool(worded) and sum(bool(forms[value]) for value in worded) >= LEAST_SHARE * len(worded)
