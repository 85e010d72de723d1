"""Sentences with names of persons planted in them, and sentences with capitals and no person: made up, with the truth."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

NAMES: dict[str, tuple[str, ...]] = {
    "English": (
        "Oliver Hartwell",
        "Charlotte Pemberton",
        "J. R. Ackroyd",
        "Harriet Lane-Fox",
        "Will Tanner",
        "Grace Holloway",
    ),
    "Irish and Scots": (
        "Siobhán O'Rourke",
        "Cormac McAllister",
        "Fergus MacDonald",
        "Niamh Gallagher",
        "Hamish Buchanan",
    ),
    "Spanish and Portuguese": (
        "José García Márquez",
        "María del Carmen Ruiz",
        "João Pereira da Silva",
        "Lucía Fernández-Soto",
    ),
    "French": ("Amélie Lefèvre", "Jean-Baptiste Moreau", "Élodie de La Tour", "Thierry Blanchard"),
    "German and Dutch": (
        "Jürgen Großmann",
        "Anneliese von Bergen",
        "Pieter van der Meer",
        "Sanne de Vries",
        "Heike Schäfer",
    ),
    "Nordic": ("Søren Kjærgaard", "Ingrid Lindqvist", "Björn Þórsson", "Aino Korhonen", "Ragnhild Haugen"),
    "Slavic": (
        "Agnieszka Wójcik",
        "Dmitri Sokolov",
        "Zdeněk Novotný",
        "Oksana Kovalenko",
        "Иван Петров",
        "Milica Jovanović",
    ),
    "Arabic and Persian": ("Fatima al-Rashid", "Yusuf ibn Tariq", "Omid Farahani", "Khalid Bin Saeed", "Shirin Moradi"),
    "Turkish": ("Ayşe Yılmaz", "Emre Öztürk", "Çiğdem Aydın"),
    "South Asian": (
        "Priya Raghunathan",
        "Arjun Mehta",
        "Lakshmi Venkatesan",
        "Tharindu Jayawardena",
        "Nusrat Chowdhury",
    ),
    "East Asian": ("Haruki Yamashita", "Wei Zhang", "Zhang Wei", "Min-jun Park", "Nguyễn Thị Hoa", "Siti Nurhaliza"),
    "African": ("Chukwuemeka Obiora", "Thandiwe Mkhize", "Kwame Boateng", "Wanjiku Kariuki", "Tewodros Bekele"),
    "Hebrew, Greek, Armenian": ("Yael Mizrahi", "Eleni Papadopoulou", "Hayk Sargsyan", "Γιώργος Νικολάου"),
    "Pacific": ("Sione Taufahema", "Leilani Kahananui", "Wiremu Parata"),
}
"""Full names by culture; whoever bears one does so by chance."""
TEMPLATES = (
    "{} came in on Tuesday with a cough.",
    "Yesterday {} rang about the results.",
    "We wrote to {} twice and got no answer.",
    "The form was signed by {}, and nobody saw it.",
    "Please book {} for the early slot.",
    "Patient: {}, 54",
    "Name: {}",
    "My name is {} and I would like to cancel.",
    "It was {}'s third visit.",
    "Dear {},\nthank you for your letter.",
    "Best regards,\n{}",
    "{} (born 3 May 1961) lives alone.",
    "Is this {}? Speaking.",
    "In the end, according to {}, it rained.",
    "<b>{}</b>",
    '{{"patient": "{}", "ward": 4}}',
    "Mr {} has not paid.",
    "The neighbours — {} among them — complained.",
)
"""Where a name stands: at the beginning of a sentence, within it, after words that say so, with a genitive's s."""
WRITTEN = {"as it is": str, "in capitals": str.upper}
NOBODY = (
    "Yesterday Rain Fell Over The Hills.",
    "Will you come on Monday? May I bring the Atlas?",
    "Mark my words: Rose bushes need pruning in April.",
    "The United Nations Security Council met in Geneva.",
    "General Hospital, Accident and Emergency Department",
    "Blood Pressure 120/80, Heart Rate 72, Respiratory Rate 16.",
    "Chief Complaint: Shortness of breath. History of Present Illness:",
    "He drove along Sunset Boulevard to Santa Monica Pier.",
    "The Battle of Hastings changed English history.",
    "Hope is all we have. Grace under pressure, Faith in numbers.",
    "Patient: Sunday was fine, Doctor. Doctor: Good.",
    "Take Vitamin D Daily and Drink Water.",
    "Parkinson's disease and Crohn's disease are treated here.",
    "Harvard Medical School and Stanford University published it.",
    "On Christmas Eve the Red Cross handed out Blankets.",
    "Question: What is the capital of New South Wales?",
    "Deutsche Bank and Goldman Sachs Group shares fell on Wall Street.",
    "Art Fair opens in Basel. Summer Sale ends Friday.",
    "I Think Therefore I Am",
    "The New York Times reported that North Korea agreed.",
    "Dear Sir or Madam, Dear Customer, Dear Hiring Manager,",
    "Virginia Beach, Jordan River, Florence Cathedral and Paris Opera are places.",
    "In German: Die Katze sitzt auf dem Tisch, und der Hund schläft im Garten.",
    "SUMMARY OF FINDINGS: NO ACUTE DISEASE. RECOMMEND FOLLOW UP.",
    "Supreme Court Upholds Clean Air Act in Landmark Ruling",
    "Thank You Very Much. Best Regards, The Support Team",
    "Windows Update and Google Chrome were installed on the Laptop.",
    "It was then. Then it was. Never again! Always so? Maybe.",
    "The Milky Way, Alpha Centauri and the Great Barrier Reef",
    "Monday Morning, January Sale, Easter Sunday, Palm Sunday",
)
"""Words with capitals, none of them a person's name."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A text with a name of a person at a known place."""

    text: str
    start: int
    name: str
    culture: str
    template: str
    written: str


def planted_names(seed: int = 0) -> Iterator[Planted]:
    """Every name in every template, a quarter of them in capitals; the sentence before it is drawn by seed."""
    rng = random.Random(seed)
    for culture, names in NAMES.items():
        for name in names:
            for template in TEMPLATES:
                written = "in capitals" if rng.random() < 0.25 else "as it is"
                shown = WRITTEN[written](name)
                before = rng.choice(("", "The weather was fine. ", "Nothing new here.\n"))
                text = before + template.format(shown)
                yield Planted(text, text.index(shown), shown, culture, template, written)
