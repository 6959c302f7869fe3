"""The most frequent words of each language that the pipeline tells apart.

Khmer: the stop words of FineWeb-2 (`khm_Khmr.yml`, Penedo et al. 2025), which quality scoring uses
too. Minority languages and Pali: function words seen in the sample texts of the Khmer Character
Specification (Sok et al., 2021, section 11); Pali also from any grammar. English and the languages
mistaken for it: their commonest function words, less those that two of them share.
"""

from __future__ import annotations

KHMER = tuple("មាន បាន ដែល ជា និង នៅ របស់ ក្នុង ថា នេះ នៃ ហើយ ទៅ ដោយ".split())
