"""The most frequent words of each language that the pipeline tells apart.

Khmer: the stop words of FineWeb-2 (Penedo et al. 2025, `configs/khm_Khmr.yml`). Pali and the
minority languages of Cambodia: function words of the sample texts in section 11 of the Khmer
Character Specification (Sok et al., SIL, 2021); for Pali, of any reader. English and the languages
in Latin letters that are most often beside it on Khmer sites: function words that no other of them
shares.
"""

from __future__ import annotations

KHMER = "khmer"
ENGLISH = "english"

#: List name -> words. All lists but `KHMER` and `ENGLISH` stand for `other`.
STOP_WORDS: dict[str, list[str]] = {
    KHMER: ["មាន", "បាន", "ដែល", "ជា", "និង", "នៅ", "របស់", "ក្នុង", "ថា", "នេះ", "នៃ", "ហើយ", "ទៅ", "ដោយ"],
    ENGLISH: ["the", "of", "and", "to", "is", "that", "for", "it", "with", "was", "be", "by", "not", "he", "his", "but", "at", "are", "this", "have", "from", "or", "had", "they", "which", "you", "were", "all", "her", "she", "there", "would", "their", "we", "him", "been", "has", "when", "who", "will", "if", "out", "so", "up", "what", "its", "about", "than", "into", "them", "can", "only", "other", "some", "could", "these", "then", "do", "any", "my", "now", "such", "our", "most", "after", "also", "did", "many", "how", "where", "your", "should", "may", "more", "must", "no", "on", "in", "as", "an"],
    "pali": ["ច", "ន", "វា", "ខោ", "បន", "ហិ", "តិ", "តំ", "សោ", "តេ", "តេន", "តស្ស", "ឯវំ", "ឯវ", "អថ", "យោ", "យេ", "យំ", "ហោតិ", "ភិក្ខវេ", "ភិក្ខុ", "ភិក្ខូ", "ភគវា", "ភគវតោ", "មេ", "ឥតិ", "តត្រ", "អហំ", "នាម", "សព្វេ", "ភវតុ"],
    "bunong": ["ពាង់", "ឞុត", "ឞារ", "គ៝ប់", "ក៝ន", "អោស", "ម៝ស", "ឞូ", "ជ៝ៈ", "ដ៝ង់", "ឞ៝ន់"],
    "tampuan": ["អាញ់", "កា", "ទី", "ណោះ", "អ៊ែ", "ឡាំ", "ប៉ាគ់", "រែ", "ឡឹង", "កេះណោះ", "លូ", "ឡៃង", "ណាំង", "ទឹល", "អន់"],
    "brao": ["ឡើ", "អ៊ែ", "ប្រយ", "ណគ", "ហឹ", "តៃ", "ម៉ើ", "នែ", "អ៊ឺម", "ង៉ាយ", "ប៉ាគ់", "ដើ", "តគ់", "មែ"],
    "jarai": ["ញូ", "បាវ", "អ៊ិះម៍", "ឡៃគ", "ពគ", "ណាវ", "យ៉ិត", "នុន", "មនូស"],
    "kuay": ["ណាវប៉ាយ", "កឹណាវ", "ប៉ាយ", "កួយ", "បឺន", "ប៉ៃណាក់", "ម៉ឹ", "ទ័ន", "អិង"],
    "french": ["le", "les", "des", "du", "est", "dans", "qui", "que", "pas", "avec", "une", "cette", "sont", "aux", "nous", "vous"],
    "spanish": ["el", "los", "las", "por", "una", "del", "con", "para", "como", "pero", "esta", "muy", "también"],
    "portuguese": ["não", "uma", "dos", "das", "com", "são", "mais", "seu", "você", "ao", "pela", "também"],
    "italian": ["il", "di", "che", "gli", "della", "per", "sono", "nel", "anche", "questo", "alla"],
    "german": ["der", "und", "das", "ist", "nicht", "ein", "zu", "den", "von", "mit", "sich", "auf", "für", "dem", "eine"],
    "dutch": ["het", "een", "van", "niet", "zijn", "voor", "dat", "aan", "ook", "naar", "wordt"],
    "malay": ["yang", "dan", "dengan", "untuk", "ini", "itu", "dari", "tidak", "pada", "adalah", "dalam", "akan"],
    "tagalog": ["ang", "ng", "mga", "sa", "ay", "na", "hindi", "ito", "siya", "kung"],
    "vietnamese": ["của", "và", "là", "không", "các", "một", "có", "cho", "được", "trong", "người", "với", "những"],
}

#: Lists of languages in Khmer script that write spaces between words: a Khmer syllable must not
#: be taken for one of their words.
SPACED_KHMER = ("pali", "tampuan", "brao", "jarai")
