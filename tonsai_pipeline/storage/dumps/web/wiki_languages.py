"""The link prefixes that lead to the same page in another language's wiki: a closed list.

`[[en:Phnom Penh]]` is an entry of the sidebar, `[[UN: a history]]` is a link in the text. Only the list tells.

Source: the language editions of Wikipedia and the aliases of their prefixes, as of 2026.
"""

from __future__ import annotations

LANGUAGE_PREFIXES = frozenset(
    """
    aa ab abs ace ady af ak als alt am ami an ang ann anp ar arc ary arz as ast atj av avk awa ay az azb ba ban
    bar bat-smg bbc bcl bdr be be-tarask be-x-old bew bg bh bi bjn blk bm bn bo bol bpy br brh bs btm bug bxr ca
    cbk-zam cdo ce ceb ch cho chr chy ckb cmn co cr crh cs csb cu cv cy cz da dag de dga din diq dk dsb dtp dty dv
    dz ee egl el eml en eo epo es et eu ext fa fat ff fi fiu-vro fj fo fon fr frp frr fur fy ga gag gan gcr gd gl
    glk gn gom gor got gpe gsw gu guc gur guw gv ha hak haw he hi hif ho hr hsb ht hu hy hyw hz ia iba id ie ig
    igl ii ik ilo inh io is isv it iu ja jam jbo jp jv ka kaa kab kaj kbd kbp kcg kg kge ki kj kk kl km kn knc ko
    koi kr krc ks ksh ku kus kv kw ky la lad lb lbe lez lfn lg li lij lld lmo ln lo lrc lt ltg lv lzh mad mai
    map-bms mdf mg mh mhr mi min minnan mk ml mn mni mnw mo mos mr mrj ms mt mui mus mwl my myv mzn na nah nan nap
    nb nds nds-nl ne new ng nia nl nn no nod nov nqo nr nrm nso nup nv ny nyn oc olo om or os pa pag pam pap pcd
    pcm pdc pdt pfl pi pih pl pms pnb pnt ppl ps pt pwn qu rki rm rmy rn ro roa-rup roa-tara rsk ru rue rup rw sa
    sah sat sc scn sco sd se sg sgs sh shi shn shy si simple sk skr sl sm smn sn so sq sr srn ss st stq su sv sw
    syl szl szy ta tay tcy tdd te tet tg th ti tig tk tl tly tn to tok tpi tr trv ts tt tum tw ty tyv udm ug uk ur
    uz ve vec vep vi vls vo vro wa war wo wuu xal xh xmf yi yo yue za zea zgh zh zh-cfr zh-classical zh-cn
    zh-min-nan zh-tw zh-yue zu
    """.split()  # noqa: SIM905 (a list would take a line a code)
)
