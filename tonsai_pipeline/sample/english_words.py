"""nothing -> the English words every topic shares: names, towns, time, manner, links between clauses.

Invented: given and family names are combined at random and mean nobody; the towns do not exist.
"""

from __future__ import annotations

FEMALE_NAMES = (
    "Alma Bridget Clara Dina Esther Fiona Greta Hanna Irene Joan Kira Lena Mabel Nora Olive Petra Rosa Sylvia Tessa Wilma"
).split()
MALE_NAMES = (
    "Amos Basil Conrad Duncan Edgar Felix Gordon Hugo Ivan Jasper Kurt Leo Milton Nigel Oscar Percy Rufus Silas Tobias Victor"
).split()
FAMILY_NAMES = (
    "Abbot Barlow Carver Dunmore Ellery Fenwick Garland Hadley Ingram Jarvis Kendrick Lomax Marsden Norwood Oakes "
    "Pickard Quill Ramsey Selwyn Thorne Underhill Vickers Wexford Yardley"
).split()
TITLES_FEMALE = ("Ms", "Mrs", "Dr", "Professor")
TITLES_MALE = ("Mr", "Mr", "Dr", "Professor")

TOWN_HEADS = "Stone Elm Fox River Ash High Mill West Red Bram Cold Haw Long Raven Salt Thorn Wind Lark Oak Glen".split()
TOWN_TAILS = (
    "bridge field ford ham haven hill mere port ridge side stead ton vale wick wood worth".split()
)
COUNTIES = "Ardmoor Belshire Corvale Dunland Eastmarch Farrow Greyshire Holmland Ivermoor Kestrel Lowmark Marwick".split()

WINTER_MONTHS = "December January February".split()
SPRING_MONTHS = "March April May".split()
SUMMER_MONTHS = "June July August".split()
AUTUMN_MONTHS = "September October November".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

PAST_TIMES = (
    "yesterday",
    "last week",
    "last month",
    "this morning",
    "two days ago",
    "before the holiday",
    "a few years ago",
    "late last night",
    "before breakfast",
    "over the weekend",
)
HABITS = (
    "every morning",
    "each year",
    "on most evenings",
    "once a month",
    "in spare hours",
    "day after day",
    "every other week",
)
MANNERS = (
    "with great care",
    "little by little",
    "without any help",
    "in a hurry",
    "with the neighbours",
    "cheerfully",
    "in silence",
    "for the first time",
    "as best they could",
    "by hand",
    "in turns",
    "without complaint",
    "at their own expense",
    "under a bright lamp",
)
SPEECH = (
    "said",
    "explained",
    "added",
    "told us",
    "insisted",
    "believed",
    "hoped",
    "wrote",
    "admitted",
    "repeated",
)
LINKS = (
    "At the same time",
    "Moreover",
    "Even so",
    "As a result",
    "In fact",
    "On the other hand",
    "Later",
    "For example",
    "In general",
    "Sadly",
    "To everyone's surprise",
    "Meanwhile",
)
DEGREES = ("very", "rather", "quite", "surprisingly", "too", "increasingly", "hardly", "truly")
JUDGEMENTS = (
    "important",
    "useful",
    "popular",
    "valuable",
    "interesting",
    "necessary",
    "difficult",
    "suitable",
    "strange",
    "common",
    "promising",
)
SOURCES = (
    "a report",
    "the elders",
    "the newspaper",
    "a survey",
    "the neighbours",
    "an old letter",
    "the radio",
    "the records",
    "one witness",
    "the figures",
)
MODALS = (
    "must",
    "can",
    "should",
    "would like to",
    "will",
    "may",
    "try to",
    "began to",
    "used to",
    "dare to",
    "cannot",
    "plan to",
)
ROLES = (
    "the main income",
    "a constant worry",
    "the great hope",
    "the pride",
    "the daily work",
    "a real problem",
    "a hidden help",
    "the secret",
    "a memory",
)
FEELINGS = (
    "happy",
    "worried",
    "amazed",
    "grateful",
    "disappointed",
    "confident",
    "tired",
    "ashamed",
    "curious",
    "relieved",
)
QUANTIFIERS = ("most", "some", "a few", "all the", "many", "nearly all")
