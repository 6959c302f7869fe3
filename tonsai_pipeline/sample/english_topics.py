"""nothing -> the English topics the sample grammar speaks about, each with its own words.

Every word was written for this file. The keys are those of the Khmer topics, so a mixed-language page can stay on one
subject. People are plural nouns, things plural or mass nouns, actions ``base past gerund``.
"""

from __future__ import annotations

from tonsai_pipeline.sample.topic import Measure, Topic


def _topic(key: str, fields: str, measures: tuple[Measure, ...]) -> Topic:
    """Build a topic from seven lines (people to aims) of words separated by commas."""
    rows = [tuple(word.strip() for word in row.split(",")) for row in fields.strip().splitlines()]
    people, things, actions, places, qualities, causes, aims = rows
    return Topic(key, key, people, things, actions, places, qualities, causes, aims, measures)


ENGLISH_TOPICS: tuple[Topic, ...] = (
    _topic(
        "farming",
        """
        farmers, growers, farm hands, orchard owners, seed sellers, field officers, smallholders
        rice, maize, cassava, vegetables, mangoes, pepper vines, beans, seedlings, sugar cane, compost, melons
        plant planted planting, harvest harvested harvesting, water watered watering, sell sold selling, store stored storing, dry dried drying, weed weeded weeding, choose chose choosing, carry carried carrying
        the lower field, the seed store, the river bank, an old orchard, the threshing floor, the test farm
        fragrant, organic, drought-proof, early, late, healthy, local, hardy
        the flood, a long drought, the leaf beetles, poor soil, the price of fertilizer, a broken pump
        raise the yield, feed the family, save the topsoil, find a buyer, cut the costs
        """,
        (
            Measure("rice yield", "tonnes", 2, 900),
            Measure("planted area", "hectares", 3, 4000),
            Measure("farm income", "dollars", 40, 9000),
        ),
    ),
    _topic(
        "fishing",
        """
        fishermen, boat owners, net makers, fish traders, river wardens, lake families, divers
        carp, prawns, crabs, squid, eels, nets, boats, fish traps, young fish, dried fish, catfish
        catch caught catching, sell sold selling, mend mended mending, weigh weighed weighing, smoke smoked smoking, count counted counting, protect protected protecting, unload unloaded unloading, raise raised raising
        the landing stage, the floating village, the great lake, the harbour wall, a muddy creek, the sea front
        heavy, freshwater, salted, rare, seasonal, undersized, prized, torn
        the falling water, illegal gear, a strong wind, the loss of flooded forest, the cost of fuel, a sudden current
        protect the young fish, supply the market, keep the lake alive, pay for school, fill the drying racks
        """,
        (
            Measure("daily catch", "kilograms", 15, 8000),
            Measure("river level", "metres", 2, 14),
            Measure("fishing fleet", "boats", 10, 700),
        ),
    ),
    _topic(
        "school",
        """
        teachers, pupils, head teachers, parents, students, librarians, trainees
        lessons, textbooks, dictionaries, exercises, poems, equations, folk tales, spelling lists, maps, essays, science projects
        teach taught teaching, read read reading, write wrote writing, explain explained explaining, correct corrected correcting, memorize memorized memorizing, print printed printing, discuss discussed discussing, translate translated translating
        the library, a crowded classroom, the primary school, the science room, the school yard, the university
        difficult, short, illustrated, bilingual, handwritten, advanced, useful, new
        the shortage of teachers, the long walk to school, the coming examination, a leaking roof, the lack of books, growing classes
        pass the examination, win a scholarship, enjoy reading, train the memory, prepare for work
        """,
        (
            Measure("enrolment", "pupils", 60, 3000),
            Measure("pass rate", "percent", 35, 99),
            Measure("library stock", "books", 80, 12_000),
        ),
    ),
    _topic(
        "health",
        """
        doctors, nurses, midwives, patients, pharmacists, volunteers, health workers
        vaccines, medicines, mosquito nets, blood samples, wounds, clean water, vitamins, dental care, fevers, bandages
        examine examined examining, treat treated treating, supply supplied supplying, measure measured measuring, prevent prevented preventing, report reported reporting, study studied studying, record recorded recording, offer offered offering
        the district hospital, the health centre, the waiting room, a mobile clinic, the pharmacy, the maternity ward
        seasonal, free, serious, routine, imported, essential, mild, repeated
        the dirty water, the spread of dengue, the hot season, missing information, a poor diet, heavy smoking
        protect infants, lower the risk, save lives, improve hygiene, shorten the queue
        """,
        (
            Measure("number of patients", "people", 12, 2500),
            Measure("vaccination rate", "percent", 40, 99),
            Measure("clinic budget", "dollars", 900, 70_000),
        ),
    ),
    _topic(
        "market",
        """
        traders, shopkeepers, customers, wholesalers, importers, street vendors, tailors
        goods, clothes, jewellery, furniture, milled rice, pork, fruit, cooking oil, shoes, palm sugar, lamps
        sell sold selling, buy bought buying, import imported importing, display displayed displaying, wrap wrapped wrapping, deliver delivered delivering, discount discounted discounting, count counted counting, advertise advertised advertising
        the night market, the warehouse, a corner stall, the border gate, the shopping street, the covered market
        cheap, costly, foreign, second-hand, fashionable, homemade, bulk, popular
        inflation, the coming holiday, rising demand, slow transport, the import tax, fierce competition
        attract customers, repay a loan, widen the business, keep prices steady, clear the shelves
        """,
        (
            Measure("price of rice", "riel a kilogram", 1800, 5200),
            Measure("monthly profit", "dollars", 90, 7000),
            Measure("number of stalls", "stalls", 15, 900),
        ),
    ),
    _topic(
        "weather",
        """
        forecasters, scientists, rescue teams, observers, ferry pilots, local officials, residents
        storms, rainfall, water levels, monsoon winds, temperatures, floods, lightning, fog, clouds, heat waves
        track tracked tracking, forecast forecast forecasting, measure measured measuring, record recorded recording, announce announced announcing, study studied studying, photograph photographed photographing, compare compared comparing, explain explained explaining
        the weather station, the coastal strip, the highlands, the lowland plain, the radar tower, the river mouth
        severe, unusual, brief, nightly, dry-season, sudden, regional, record-breaking
        climate change, a pressure drop, the sea breeze, cleared forests, the late monsoon, a warm ocean
        warn the villages, move families uphill, plan the harvest, avoid accidents, keep boats ashore
        """,
        (
            Measure("temperature", "degrees", 19, 42),
            Measure("rainfall", "millimetres", 4, 320),
            Measure("wind speed", "kilometres an hour", 8, 130),
        ),
    ),
    _topic(
        "festival",
        """
        dancers, musicians, elders, rowers, monks, singers, drummers
        racing boats, songs, dances, rice cakes, candles, lanterns, shadow plays, lotus flowers, costumes, offerings
        prepare prepared preparing, perform performed performing, decorate decorated decorating, rehearse rehearsed rehearsing, display displayed displaying, share shared sharing, carry carried carrying, film filmed filming, watch watched watching
        the pagoda, the parade ground, the waterfront, the village hall, the palace square, a garden
        traditional, ancient, colourful, famous, handmade, noisy, beautiful, ancestral
        the water festival, the new year, the crowd of visitors, a sudden shower, the long holiday, the full moon
        keep the tradition, honour the ancestors, cheer the crew, teach the children, welcome the guests
        """,
        (
            Measure("number of visitors", "people", 150, 90_000),
            Measure("number of boats", "boats", 6, 400),
            Measure("festival spending", "dollars", 200, 40_000),
        ),
    ),
    _topic(
        "sport",
        """
        players, runners, coaches, supporters, referees, boxers, swimmers
        matches, volleyball games, boxing bouts, trophies, medals, records, relay races, training plans, penalties, marathons
        win won winning, lose lost losing, organize organized organizing, analyse analysed analysing, broadcast broadcast broadcasting, prepare prepared preparing, follow followed following, judge judged judging, enjoy enjoyed enjoying
        the stadium, the swimming pool, the training ground, the boxing ring, the running track, the sports club
        national, friendly, final, youth, international, regional, exciting, opening
        a knee injury, too little training, a strong opponent, the loud supporters, the heat, a weak defence
        reach the final, find young talent, beat the champions, build strength, please the supporters
        """,
        (
            Measure("attendance", "people", 120, 50_000),
            Measure("total score", "points", 3, 95),
            Measure("race distance", "kilometres", 5, 42),
        ),
    ),
    _topic(
        "roads",
        """
        engineers, builders, drivers, traffic officers, contractors, travellers, surveyors
        roads, bridges, culverts, buses, traffic lights, motorbikes, railway lines, bulldozers, pavements, tunnels
        repair repaired repairing, build built building, widen widened widening, inspect inspected inspecting, design designed designing, close closed closing, measure measured measuring, open opened opening, clean cleaned cleaning
        the national road, the roundabout, a building site, the bus stop, the crossroads, the airport
        concrete, damaged, modern, urban, narrow, flooded, temporary, steep
        heavy traffic, a road accident, fast erosion, the limited budget, a growing population, reckless driving
        ease the journey, reduce accidents, connect remote villages, help the economy, save time
        """,
        (
            Measure("road length", "kilometres", 2, 380),
            Measure("traffic count", "vehicles", 40, 22_000),
            Measure("building cost", "dollars", 20_000, 900_000),
        ),
    ),
    _topic(
        "technology",
        """
        programmers, users, designers, inventors, experts, start-ups, operators
        apps, phones, databases, websites, fonts, robots, networks, laptops, videos, passwords
        create created creating, use used using, install installed installing, test tested testing, improve improved improving, protect protected protecting, connect connected connecting, update updated updating, share shared sharing
        the computer room, the data centre, a repair shop, the open office, the innovation hub, the training centre
        clever, open-source, secure, fast, outdated, wireless, portable, reliable
        a slow connection, market demand, a computer virus, the lack of staff, a power cut, the new standard
        solve the problem, reach more people, keep data safe, study from home, simplify the work
        """,
        (
            Measure("number of users", "people", 90, 800_000),
            Measure("download speed", "megabits", 4, 900),
            Measure("phone price", "dollars", 45, 1200),
        ),
    ),
    _topic(
        "forest",
        """
        rangers, biologists, honey collectors, forest families, guides, patrols, botanists
        elephants, tigers, birds, rosewood trees, bees, gibbons, orchids, nests, mushrooms, pangolins
        protect protected protecting, follow followed following, release released releasing, count counted counting, plant planted planting, rescue rescued rescuing, photograph photographed photographing, study studied studying, find found finding
        the sanctuary, the national park, the mountain range, a waterfall, the community forest, the salt lick
        rare, wild, endangered, young, nocturnal, injured, giant, ancient
        illegal hunting, a forest fire, logging, the breeding season, the clearing of land, hidden snares
        keep the forest whole, stop the poachers, welcome hikers, save the species, guard the springs
        """,
        (
            Measure("forest cover", "hectares", 40, 90_000),
            Measure("animal count", "animals", 3, 600),
            Measure("number of snares", "snares", 20, 9000),
        ),
    ),
    _topic(
        "heritage",
        """
        archaeologists, stone masons, tour guides, visitors, historians, guards, curators
        temples, inscriptions, carvings, statues, walls, ponds, bricks, palm-leaf books, pots, gates
        restore restored restoring, excavate excavated excavating, register registered registering, decipher deciphered deciphering, guard guarded guarding, describe described describing, visit visited visiting, measure measured measuring, copy copied copying
        the museum, the eastern wall, the exhibition hall, a gate tower, the old pagoda, the causeway
        sandstone, bronze, broken, medieval, mossy, elegant, sacred, forgotten
        the war, large roots, seeping rain, the rising number of tourists, the theft of antiquities, old age
        preserve the site, understand the past, draw tourists, train young masons, date the building
        """,
        (
            Measure("number of tickets", "tickets", 300, 700_000),
            Measure("tower height", "metres", 4, 65),
            Measure("number of stones", "blocks", 25, 9500),
        ),
    ),
    _topic(
        "cooking",
        """
        cooks, bakers, waiters, restaurant owners, cake sellers, tasters, grandmothers
        fish curry, soups, noodles, rice porridge, spices, pickles, lemongrass, fish sauce, grilled beef, pancakes
        cook cooked cooking, mix mixed mixing, grind ground grinding, taste tasted tasting, boil boiled boiling, serve served serving, grill grilled grilling, sell sold selling, season seasoned seasoning
        the kitchen, the night stall, a small restaurant, the cooking school, the bakery, the riverside cafe
        spicy, sour, sweet, smoky, homemade, hot, crisp, plain
        expensive spices, hungry guests, the fruit season, a fire too hot, the lack of fresh fish, changing habits
        welcome the guests, keep the old taste, feed the family, sell out by noon, surprise the judges
        """,
        (
            Measure("daily sales", "bowls", 15, 900),
            Measure("price of a bowl", "riel", 2500, 45_000),
            Measure("cooking time", "minutes", 8, 240),
        ),
    ),
    _topic(
        "crafts",
        """
        weavers, carvers, potters, silversmiths, apprentices, dyers, basket makers
        silk, scarves, mats, baskets, water jars, silver bowls, wooden screens, brocade, bracelets, drums
        weave wove weaving, dye dyed dyeing, carve carved carving, sell sold selling, design designed designing, exhibit exhibited exhibiting, polish polished polishing, sew sewed sewing, repair repaired repairing
        the weaving shed, the workshop, the craft centre, the potters' village, a gallery, the shade of the house
        handmade, patterned, natural, fine, ceremonial, custom, delicate, glossy
        the shortage of thread, cheap factory goods, migration, curious tourists, a silkworm disease, the wedding season
        earn a living, pass on the skill, supply the gift shops, keep the old patterns, join the fair
        """,
        (
            Measure("number of looms", "looms", 3, 260),
            Measure("price of a scarf", "dollars", 4, 90),
            Measure("weaving time", "days", 2, 95),
        ),
    ),
    _topic(
        "council",
        """
        village chiefs, council members, district governors, clerks, citizens, officials, delegates
        plans, budgets, certificates, complaints, land titles, meetings, decisions, identity cards, laws, petitions
        approve approved approving, discuss discussed discussing, issue issued issuing, explain explained explaining, settle settled settling, prepare prepared preparing, request requested requesting, check checked checking, publish published publishing
        the commune hall, the district office, the ministry, the court, the meeting house, the service desk
        annual, official, delayed, public, revised, joint, urgent, draft
        a land dispute, a request from citizens, the coming election, missing papers, the new law, a gap in the budget
        serve the people, ensure fairness, end the quarrel, speed up the work, support equality
        """,
        (
            Measure("commune budget", "dollars", 3000, 240_000),
            Measure("voter turnout", "people", 400, 60_000),
            Measure("number of complaints", "cases", 4, 480),
        ),
    ),
    _topic(
        "savings",
        """
        savers, group members, bankers, borrowers, accountants, account holders, investors
        savings, loans, interest payments, accounts, gold, shares, cash, ledgers, deposits, debts
        save saved saving, borrow borrowed borrowing, calculate calculated calculating, transfer transferred transferring, withdraw withdrew withdrawing, invest invested investing, record recorded recording, repay repaid repaying, manage managed managing
        the bank, the treasurer's house, a cash machine, the stock exchange, the branch office, the cooperative
        long-term, monthly, shared, small, low-interest, spare, joint, careful
        high interest, an irregular income, mutual trust, a strong dollar, hospital bills, the economic crisis
        open a shop, send a child to school, clear an old debt, prepare for old age, buy land
        """,
        (
            Measure("total savings", "dollars", 90, 80_000),
            Measure("interest rate", "percent", 1, 18),
            Measure("membership", "members", 8, 950),
        ),
    ),
)
