"""What the demo remembers: six weeks in which a school crew flies a rubber duck to the stratosphere.

Only data. All text is ASCII, so that it prints on any terminal.
"""

from app.demo.cast import ADAEZE, BRIEF, FORECAST, MIRA, PIP, TOMASZ, TRACKER, Session, Turn

KICK_OFF = Session(
    "Kick-off: a duck in the stratosphere",
    41,
    (
        Turn(
            BRIEF,
            "You are Pip. Keep track of what the Skyduck crew decides, prefers and orders.",
            ("kind:instruction",),
        ),
        Turn(
            MIRA,
            "The physics club voted: a weather balloon to 30 "
            "kilometres, with a camera and with Gerald, "
            "the rubber duck from my classroom sink, as the pilot.",
            ("kind:decision", "topic:mission", "confidence:0.9"),
        ),
        Turn(
            TOMASZ,
            "So Gerald outranks me. I want it in writing that I report to a bath toy.",
            ("kind:joke", "topic:gerald"),
        ),
        Turn(
            PIP,
            "In writing: Captain Gerald commands. Mira plans the "
            "flight, Tomasz builds the electronics, "
            "Adaeze handles permits and transport.",
            ("kind:fact", "topic:crew"),
        ),
        Turn(
            ADAEZE,
            "Before anyone plans a picnic: walnuts make my throat swell shut, so keep them out of the basket.",
            ("kind:health", "person:adaeze", "confidence:1.0"),
        ),
        Turn(
            MIRA,
            "We take off from the football pitch behind the school. It has a "
            "gate for the van, and the caretaker likes us.",
            ("kind:decision", "topic:site", "confidence:0.6"),
        ),
        Turn(
            TOMASZ,
            "I vote for hydrogen: half the price of helium, and it lifts more.",
            ("kind:proposal", "topic:gas", "confidence:0.4"),
        ),
        Turn(
            MIRA,
            "With forty teenagers watching, one of whom always has a sparkler? No hydrogen. Helium, and that is final.",
            ("kind:decision", "topic:gas", "confidence:0.95"),
        ),
        Turn(
            PIP,
            "Helium it is. A 1200 gram latex balloon under 1.1 kilograms of payload wants about 4.6 cubic metres.",
            ("kind:fact", "topic:gas", "confidence:0.8"),
        ),
        Turn(
            ADAEZE,
            "If it is urgent, phone me. I open the group chat once a day, and e-mail never.",
            ("kind:preference", "person:adaeze", "confidence:0.9"),
        ),
        Turn(
            MIRA,
            "Pencil in Saturday the 14th. If the weather says no, we wait a week.",
            ("kind:plan", "topic:date", "confidence:0.5"),
        ),
    ),
)

SHOPPING = Session(
    "Shopping list and paperwork",
    33,
    (
        Turn(
            ADAEZE,
            "Two T-size cylinders are booked at Corvin Gases, order HG-48813, "
            "collection on Thursday the 12th, deposit 180 euros.",
            ("kind:order", "topic:gas", "amount:180"),
        ),
        Turn(
            TOMASZ,
            "Tracker parts are on their way, order TK-20417-C: two LoRa boards "
            "and a GPS receiver, 143 euros, due in nine days.",
            ("kind:order", "topic:tracker", "amount:143"),
        ),
        Turn(
            MIRA,
            "The parents' association gives us 900 euros, not a cent more.",
            ("kind:fact", "topic:budget", "amount:900"),
        ),
        Turn(
            PIP,
            "Spent so far: 323 of 900. Balloon and parachute are still to come, so keep 350 aside.",
            ("kind:fact", "topic:budget"),
        ),
        Turn(
            TOMASZ,
            "A black parachute would look magnificent in the video.",
            ("kind:proposal", "topic:parachute", "confidence:0.5"),
        ),
        Turn(
            MIRA,
            "Nobody finds a black parachute in a ploughed field. Bright orange, 1.2 metres across.",
            ("kind:decision", "topic:parachute", "confidence:0.9"),
        ),
        Turn(
            ADAEZE,
            "The application is with the aviation office under AV-7731-26. They promise an answer within a fortnight.",
            ("kind:fact", "topic:permit", "confidence:0.8"),
        ),
        Turn(
            TOMASZ,
            "I put the camera in the deep-freeze over lunch. It gave up after 38 minutes at minus 20.",
            ("kind:measurement", "topic:camera", "confidence:0.9"),
        ),
        Turn(
            PIP,
            "Tape a chemical hand warmer to the battery and wrap both in foil. That should buy two hours.",
            ("kind:advice", "topic:camera", "confidence:0.7"),
        ),
        Turn(MIRA, "Gerald asks whether the captain's seat is heated too.", ("kind:joke", "topic:gerald")),
        Turn(
            MIRA,
            "Pip, a summary every Friday please, five lines at most. I read it on the tram.",
            ("kind:preference", "person:mira", "confidence:0.8"),
        ),
    ),
)

BENCH = Session(
    "Bench tests",
    24,
    (
        Turn(
            TRACKER,
            "boot ok, firmware 2.3.1, battery 4.12 V, first fix after 41 s",
            ("kind:log", "topic:tracker"),
        ),
        Turn(
            TRACKER,
            "ERR-GPS-0417: altitude above 18000 m rejected, receiver is in pedestrian mode",
            ("kind:log", "topic:tracker", "severity:3"),
        ),
        Turn(
            TOMASZ,
            "It thinks we are going for a walk. Who sat on the antenna?",
            ("kind:question", "topic:tracker"),
        ),
        Turn(MIRA, "Gerald was nowhere near it. He has an alibi and a towel.", ("kind:joke", "topic:gerald")),
        Turn(
            PIP,
            "The receiver has to be told that it flies: send UBX-CFG-NAV5 with dynamic model 6 at start-up.",
            ("kind:advice", "topic:tracker", "confidence:0.85"),
        ),
        Turn(
            TOMASZ,
            "ERR-GPS-0417 is solved: airborne mode is now written to flash, "
            "so it survives a power cut. Firmware 2.3.2.",
            ("kind:fix", "topic:tracker", "confidence:0.95"),
        ),
        Turn(
            ADAEZE,
            "My cousin lends us his van, seven seats. It has to be back, swept, by eight in the evening.",
            ("kind:fact", "topic:transport", "confidence:0.9"),
        ),
        Turn(
            TOMASZ,
            "I solder best after midnight. Please never give me a job before ten in the morning.",
            ("kind:preference", "person:tomasz", "confidence:0.9"),
        ),
        Turn(MIRA, "The captain rises at six. Just saying.", ("kind:joke", "topic:gerald")),
        Turn(
            PIP,
            "Open danger: a strong jet stream could carry us past the coast, and then the sea keeps the camera.",
            ("kind:risk", "topic:landing", "confidence:0.7"),
        ),
        Turn(
            PIP,
            "Also open: the lines may tangle when the balloon bursts, and then the parachute is a ribbon.",
            ("kind:risk", "topic:parachute", "confidence:0.6"),
        ),
        Turn(
            PIP,
            "Lesser danger: we could come down on the railway line, where nobody may walk.",
            ("kind:risk", "topic:landing", "confidence:0.2"),
        ),
    ),
)

PERMIT = Session(
    "The permit, and a change of plan",
    15,
    (
        Turn(
            ADAEZE,
            "The aviation office says no to the school: it lies under the approach of the airfield.",
            ("kind:fact", "topic:permit", "confidence:1.0"),
        ),
        Turn(
            MIRA,
            "Then I see two options: Halloran's sheep pasture or the old quarry.",
            ("kind:proposal", "topic:site", "confidence:0.5"),
        ),
        Turn(
            TOMASZ,
            "The quarry keeps the wind off while we fill, but one sharp stone and the latex is gone.",
            ("kind:opinion", "topic:site"),
        ),
        Turn(
            ADAEZE,
            "Farmer Halloran agrees if we shut the gate behind us. His ram takes anything round for a rival.",
            ("kind:fact", "topic:site", "confidence:0.9"),
        ),
        Turn(
            MIRA,
            "Decided: we take off from Halloran's pasture at Dunmere. Forget the football pitch.",
            ("kind:decision", "topic:site", "confidence:0.95"),
        ),
        Turn(
            PIP,
            "I moved the site in the plan and filed the amendment, reference "
            "AV-7802-26. The 14th is too tight now; the 21st fits.",
            ("kind:fact", "topic:permit", "confidence:0.8"),
        ),
        Turn(MIRA, "The 21st then. I'll tell the parents.", ("kind:decision", "topic:date", "confidence:0.9")),
        Turn(
            ADAEZE,
            "The insurer wanted the pilot's occupation. I wrote 'duck'.",
            ("kind:joke", "topic:gerald"),
        ),
        Turn(
            ADAEZE,
            "It worked: policy POL-5590-DX, liability up to one million, premium 64 euros.",
            ("kind:order", "topic:insurance", "amount:64"),
        ),
        Turn(
            TOMASZ,
            "Sixty-four euros, and the only one covered is the one who floats.",
            ("kind:joke", "topic:gerald"),
        ),
    ),
)

REHEARSAL = Session(
    "Dress rehearsal",
    6,
    (
        Turn(
            TOMASZ,
            "Cylinder two hisses at the valve: 11 bar gone overnight.",
            ("kind:problem", "topic:gas", "severity:4"),
        ),
        Turn(
            ADAEZE,
            "Corvin swaps it on Friday, return slip RS-1192. They blamed the washer.",
            ("kind:order", "topic:gas"),
        ),
        Turn(MIRA, "I blame Gerald. He was alone with it.", ("kind:joke", "topic:gerald")),
        Turn(
            PIP,
            "Timetable: gates at 06:00, filling at 06:30, release at 07:45. Chase car leaves at 07:50.",
            ("kind:plan", "topic:date", "confidence:0.8"),
        ),
        Turn(TOMASZ, "Six? I distinctly remember asking for something.", ("kind:joke", "person:tomasz")),
        Turn(
            MIRA,
            "You may nap in the van. I want you awake for the antenna check, nothing else.",
            ("kind:decision", "topic:crew", "confidence:0.7"),
        ),
        Turn(
            TOMASZ,
            "We talk on 433.650 MHz, channel 8 as a spare.",
            ("kind:fact", "topic:radio", "confidence:0.9"),
        ),
        Turn(
            FORECAST,
            "model run 00Z: landing expected 64 km east of Dunmere near Tarrow Mill, spread 9 km",
            ("kind:forecast", "topic:landing", "confidence:0.75"),
        ),
        Turn(
            ADAEZE,
            "Picnic is cheese rolls and plum cake. I read every label twice.",
            ("kind:plan", "topic:food"),
        ),
        Turn(
            TOMASZ,
            "Tea for me, black. Coffee makes my hands shake.",
            ("kind:preference", "person:tomasz", "confidence:0.6"),
        ),
        Turn(
            MIRA,
            "We drop the live video. The link ate a third of the battery, and the parents can wait until supper.",
            ("kind:decision", "topic:camera", "confidence:0.85"),
        ),
    ),
)

FLIGHT = Session(
    "Flight day",
    0,
    (
        Turn(
            MIRA,
            "Released at 07:52. The ram watched the whole time and lost.",
            ("kind:event", "topic:mission"),
        ),
        Turn(TRACKER, "alt 12040 m, climb 5.1 m/s, outside -51 C, 8 satellites", ("kind:log", "topic:tracker")),
        Turn(
            TRACKER,
            "alt 31240 m, highest point, balloon burst, descent 38 m/s, parachute opening",
            ("kind:log", "topic:tracker"),
        ),
        Turn(
            PIP,
            "That beats the plan by 1.2 kilometres. The sky in the last frame is black.",
            ("kind:fact", "topic:mission"),
        ),
        Turn(
            TOMASZ,
            "The antenna fell off when I opened the box. For once it was nobody's fault.",
            ("kind:problem", "topic:tracker", "severity:1"),
        ),
        Turn(
            ADAEZE,
            "Signal again, two kilometres short of Tarrow Mill. The mill has a pond. You know what is coming.",
            ("kind:event", "topic:landing"),
        ),
        Turn(
            TOMASZ,
            "Found our pilot: bobbing among eleven mallards, who follow him everywhere.",
            ("kind:event", "topic:gerald"),
        ),
        Turn(MIRA, "Promoted to Admiral, on the spot.", ("kind:joke", "topic:gerald")),
        Turn(
            PIP,
            "Final bill: 861 of 900 euros. The remaining 39 would cover a very small rocket.",
            ("kind:fact", "topic:budget", "amount:861"),
        ),
        Turn(
            MIRA,
            "Gerald requests the Moon. Next meeting in September, after the holidays.",
            ("kind:plan", "topic:mission", "confidence:0.5"),
        ),
    ),
)

SESSIONS = (KICK_OFF, SHOPPING, BENCH, PERMIT, REHEARSAL, FLIGHT)

SECRET = Turn(
    MIRA,
    "The trophy cupboard opens with QUACK-7-NINE. Don't tell the second years.",
    ("kind:secret", "topic:gerald"),
)
