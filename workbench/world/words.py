"""The words of names, addresses and posts."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


STRESS = _words("""
broke debt owe owing loan loans borrow borrowed repay repayment arrears overdue unpaid bills rent evicted
landlord collector lender interest penalty fine pawn pawned empty wallet struggling desperate shortfall
bankrupt default deadline reminder disconnected blackout salary delayed unemployed layoff fired hustling
""")
TOPICS = (
    _words("""
match goal league team striker keeper coach derby whistle referee stadium fans final cup score halftime
transfer captain midfield tackle offside champions jersey training win draw lost kickoff
"""),
    _words("""
mum dad sister brother baby cousin wedding birthday grandma uncle aunt kids family reunion anniversary
nephew niece twins daughter son parents engaged bride party gift cake hug blessing
"""),
    _words("""
rice beans stew chapati fried fish chicken mango avocado breakfast lunch dinner kitchen recipe spicy
cooking oven soup tea coffee bread market fresh onions tomato pepper plate delicious
"""),
    _words("""
song album concert dance playlist beats guitar drums singer studio chorus lyrics radio band stage remix
festival tickets melody vinyl rapper choir bass video rehearsal tune loud trumpet
"""),
    _words("""
bus traffic matatu road trip beach flight airport village mountain lake hotel journey luggage train
border city weekend sunset safari camp map passport ferry taxi hills view driver
"""),
    _words("""
exam lecture class teacher homework library campus degree notes semester school results graduation
thesis study group chemistry maths essay tutor project pencil revision students scholarship lab book
"""),
    _words("""
rain farm harvest maize cows planting seeds season soil goats milk fertiliser drought garden tractor
weeds irrigation crop potatoes hens eggs barn sunshine clouds wind field river storm
"""),
)
GENERAL = _words("""
today tomorrow tonight really very good great nice happy finally again still always never people friends
thing time day week month year morning evening home work phone new old big small long short please thanks
hello everyone someone just about after before with without from into over under more less much many some
every think know feel want need hope love see look come going back here there what when where why how
because maybe soon
""")

FIRST_NAMES = _words("""
Amina Baraka Chen Daniel Esther Farida George Halima Isaac Joyce Kamau Leila Moses Naomi Omar Pendo Rashid
Sarah Tendai Ulrich Violet Wanjiru Yusuf Zainab Abel Beatrice Caleb Deborah Elijah Faith Gideon Hope
Ibrahim Janet Kofi Lydia Martin Neema Oscar Priya Quentin Rose Samuel Teresa Uma Victor Winnie Ximena
Yolanda Zachary
""")
LAST_NAMES = _words("""
Abdi Banda Chirwa Dube Eze Fernandes Gathoni Hassan Iyer Juma Kariuki Lungu Mwangi Ndlovu Okafor Phiri
Quaye Rono Sithole Tembo Uche Vilakazi Waweru Xaba Yeboah Zulu Achieng Botha Cheruiyot Diallo Ekwueme
Fofana Gupta Hamisi Imani Jallow Kiprop Lema Mensah Nyambura Otieno Patel Qureshi Rahman Sesay Traore
Usman Verma Wambui Yadav
""")
STREETS = _words(
    "Acacia Baobab Cedar Dhow Ebony Fig Guava Harbour Island Jacaranda Kapok Lagoon Mango Neem Orchid Palm"
)
REGIONS = _words("Coast Lakeside Highlands Capital Valley Plains Border Delta")

VOCABULARY = (*STRESS, *(word for topic in TOPICS for word in topic), *GENERAL)
# The first word of each list in VOCABULARY, money stress first and general words last, and the end.
STARTS = tuple(
    sum(len(words) for words in (STRESS, *TOPICS, GENERAL)[:place]) for place in range(len(TOPICS) + 3)
)
