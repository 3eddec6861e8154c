"""What generated posts say: our own sentences, by topic, sentiment, kind of content and language.

English sentences join a subject and a predicate of the topic; every subject is singular, so every predicate fits. Other
languages have a few sentences around the topic's name. Abusive ones are rude to a person and to nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Draw = Callable[[], float]  # uniform in [0, 1)

SENTIMENTS = ("positive", "neutral", "negative")
FEWEST_CHARACTERS = 20


class Topic(NamedTuple):
    """Words of a topic; `positive_share` and `negative_share` are of its posts, `good` and `bad` name surges."""

    subjects: tuple[str, ...]
    positive: tuple[str, ...]
    neutral: tuple[str, ...]
    negative: tuple[str, ...]
    hashtags: tuple[str, ...]
    emoji: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]
    positive_share: float = 0.42
    negative_share: float = 0.24


TOPICS = {
    "technology": Topic(
        ("the new phone", "this laptop", "the latest update", "that chatbot", "my smartwatch", "this app",
         "the new operating system", "the electric car", "the beta version", "this keyboard", "the camera drone",
         "that open source project"),
        ("just works and I love it", "saved me hours this week", "is faster than anything I tried before",
         "looks gorgeous and runs smoothly"),
        ("gets an update on Thursday", "is now available in twelve countries", "comes in three colours",
         "was presented at the conference today"),
        ("keeps crashing and nobody answers", "drains the battery in two hours, awful",
         "is slow, buggy and overpriced", "lost all my data, I am furious"),
        ("tech", "AI", "gadgets", "coding", "startup", "innovation", "opensource", "mobile"),
        ("💻", "📱", "🤖", "⚡"), ("Launch", "Keynote", "Demo"), ("Outage", "DataLeak", "Recall"),
    ),
    "sports": Topic(
        ("our team", "the goalkeeper", "that last minute goal", "the new coach", "the final", "this young striker",
         "the home crowd", "the marathon", "the captain", "the second half", "our club", "the relay squad"),
        ("was brilliant tonight", "made the whole city proud", "gave us a night to remember",
         "played with so much heart"),
        ("is on the schedule for Saturday", "starts at half past seven", "moves to the stadium by the river",
         "will be shown on channel four"),
        ("was a shambles from start to finish", "let every fan down again", "ruined the entire season",
         "was painful to watch"),
        ("football", "matchday", "fitness", "basketball", "running", "teamwork", "sports", "finals"),
        ("⚽", "🏀", "🏆", "🏃"), ("Victory", "Final", "Record"), ("Defeat", "RefereeRow", "Doping"),
    ),
    "music": Topic(
        ("the new album", "this song", "last night's concert", "that guitar solo", "the festival", "her voice",
         "the remix", "this playlist", "the opening act", "the vinyl edition", "that chorus", "the live session"),
        ("gives me goosebumps every time", "is on repeat all day", "is pure magic", "sounds absolutely beautiful"),
        ("comes out on Friday", "is forty minutes long", "was recorded in a small studio", "tours in the spring"),
        ("sounds flat and lifeless", "was cut short and nobody said sorry", "is the worst thing on the radio",
         "hurts my ears"),
        ("music", "newmusic", "concert", "livemusic", "vinyl", "playlist", "festival", "songwriter"),
        ("🎵", "🎸", "🎧", "🎤"), ("Tour", "Comeback", "Festival"), ("Cancelled", "TicketChaos", "Breakup"),
    ),
    "movies": Topic(
        ("the new film", "this series", "the season finale", "that documentary", "the lead actor", "the soundtrack",
         "the sequel", "this thriller", "the director's cut", "the trailer", "that plot twist", "the animated short"),
        ("had me in happy tears", "is a masterpiece", "kept me on the edge of my seat, wonderful",
         "deserves every award there is"),
        ("opens in cinemas next week", "runs for two hours and ten minutes", "was filmed on the coast",
         "is the third part of five"),
        ("is two hours I will never get back", "is boring and badly written", "ruined the book for me",
         "put the whole row to sleep"),
        ("movies", "film", "cinema", "series", "nowwatching", "documentary", "premiere", "animation"),
        ("🎬", "🍿", "🎥", "📺"), ("Premiere", "Awards", "Trailer"), ("Spoilers", "Flop", "Boycott"),
    ),
    "politics": Topic(
        ("the new budget", "the city council", "this reform", "the debate", "the minister's speech", "the campaign",
         "the housing plan", "the vote", "the transport bill", "the mayor's office", "this committee", "the hearing"),
        ("finally puts people first", "gives me real hope", "is a step in the right direction, well done",
         "was fair, clear and honest"),
        ("is on the agenda for Monday", "was published this morning", "goes to a second reading",
         "lasted until ten in the evening"),
        ("is a disgrace and they know it", "breaks every promise that was made", "is a waste of public money",
         "makes me so angry"),
        ("politics", "election", "democracy", "policy", "vote", "cityhall", "reform", "debate"),
        ("🗳️", "🏛️", "📢", "📰"), ("Agreement", "Turnout", "Reform"), ("Scandal", "Strike", "Protest"), 0.2, 0.45,
    ),
    "food": Topic(
        ("this ramen place", "the new bakery", "my grandmother's soup", "that street taco", "the brunch menu",
         "this curry", "the coffee here", "the homemade pizza", "the dessert", "this vegan burger", "the tasting menu",
         "the corner bistro"),
        ("is so delicious", "made my whole day", "is worth every penny", "tastes like home"),
        ("takes about forty minutes", "is open until nine", "needs two eggs and some flour",
         "has moved two streets on"),
        ("was cold and tasteless", "made me sick, never again", "is overpriced and greasy",
         "came an hour late, horrible service"),
        ("food", "foodie", "recipe", "homemade", "vegan", "coffee", "brunch", "streetfood"),
        ("🍜", "🍕", "🥑", "☕"), ("FoodFair", "Opening", "Harvest"), ("FoodRecall", "Shortage", "Closing"), 0.55, 0.15,
    ),
    "travel": Topic(
        ("the old town", "this beach", "the night train", "our hotel", "the mountain trail", "the airport",
         "this hostel",
         "the ferry to the islands", "the guided tour", "that viewpoint", "the road trip", "the city pass"),
        ("took my breath away", "was the best part of the trip", "exceeded all my expectations",
         "is a dream come true"),
        ("is two hours from the capital", "runs every day except Sunday", "is closed until April",
         "needs a booking in advance"),
        ("was dirty, loud and full of tourists", "was cancelled and nobody cared", "is a tourist trap, stay away",
         "cost a fortune and was terrible"),
        ("travel", "wanderlust", "citybreak", "beach", "hiking", "roadtrip", "backpacking", "trainlife"),
        ("✈️", "🏖️", "🗺️", "🏔️"), ("Festival", "NewRoute", "OpenDay"), ("FlightChaos", "Delays", "Storm"), 0.55, 0.16,
    ),
    "fashion": Topic(
        ("the spring collection", "this jacket", "that runway show", "the new sneaker", "my thrifted coat",
         "the capsule wardrobe", "this handbag", "the summer dress", "that colour", "the denim line", "this scarf",
         "the limited edition"),
        ("looks stunning", "fits perfectly and I feel great in it", "is my favourite find this year",
         "gets compliments everywhere"),
        ("comes in four sizes", "is in shops from Tuesday", "is made of linen and cotton",
         "was shown on the second day"),
        ("fell apart after one wash", "looks cheap and costs a fortune", "is ugly, sorry", "arrived torn and stained"),
        ("fashion", "style", "ootd", "streetwear", "thrifted", "sneakers", "runway", "vintage"),
        ("👗", "👟", "🧥", "👜"), ("FashionWeek", "Drop", "Collab"), ("Copycat", "SoldOut", "Walkout"), 0.5, 0.16,
    ),
    "health": Topic(
        ("my morning run", "the new clinic", "this sleep routine", "the yoga class", "the checkup",
         "the physio session",
         "this meditation app", "the health insurance", "the waiting room", "the vaccination day", "this diet plan",
         "the mental health line"),
        ("changed my life for the better", "helped me so much, thank you", "makes me feel calm and strong",
         "was kind, quick and professional"),
        ("takes place every second Wednesday", "is open to all ages", "takes twenty minutes",
         "needs a referral from a doctor"),
        ("left me in pain and without answers", "is a nightmare to deal with", "made everything worse",
         "ignored me for five hours"),
        ("health", "wellness", "mentalhealth", "yoga", "selfcare", "sleep", "nutrition", "running"),
        ("🧘", "💪", "🩺", "🥗"), ("Breakthrough", "HealthDay", "FunRun"), ("Outbreak", "ClinicCrisis", "Heatwave"),
    ),
    "gaming": Topic(
        ("the new expansion", "this boss fight", "the ranked mode", "the indie game", "that speedrun", "the co-op mode",
         "the matchmaking", "this patch", "the open world", "the tournament", "the remaster", "my old console"),
        ("is so much fun", "is the best thing I played all year", "has me hooked, incredible work",
         "runs like a dream"),
        ("launches on all platforms in May", "supports up to four players", "takes about thirty hours",
         "gets a new map this season"),
        ("is full of cheaters and bugs", "is a cash grab and an insult", "crashed at the worst moment",
         "is unplayable since yesterday"),
        ("gaming", "esports", "indiegame", "speedrun", "streamer", "retrogaming", "coop", "patchnotes"),
        ("🎮", "🕹️", "👾", "🔥"), ("Tournament", "Reveal", "Update"), ("ServersDown", "Nerf", "Delay"),
    ),
    "science": Topic(
        ("the new telescope", "this study", "the moon mission", "that fossil find", "the climate report",
         "this lecture",
         "the research team", "the particle detector", "the field trip", "the peer review", "this experiment",
         "the ocean survey"),
        ("is mind blowing, what a time to be alive", "makes me proud of this field", "is beautiful work",
         "explains it wonderfully"),
        ("was published on Wednesday", "covers eleven years of data", "continues for two more years",
         "is open for comments until June"),
        ("is misleading and badly done", "was ruined by budget cuts", "is a sad day for science",
         "got everything wrong, what a mess"),
        ("science", "space", "research", "climate", "physics", "biology", "phdlife", "astronomy"),
        ("🔬", "🚀", "🧪", "🌍"), ("Discovery", "Landing", "Eclipse"), ("FundingCut", "Retraction", "Wildfire"),
         0.4, 0.18,
    ),
    "finance": Topic(
        ("my savings plan", "the stock market", "this bank", "the quarterly report", "the index fund",
         "the mortgage rate",
         "the pension scheme", "that budgeting app", "the housing market", "the startup round", "the new card",
         "the tax form"),
        ("finally pays off, so happy", "beat all expectations", "made things easy and clear",
         "had a fantastic year"),
        ("closed two points lower", "is due at the end of the month", "changes on the first of July",
         "was flat in early trading"),
        ("is a rip-off with hidden fees", "wiped out my savings, I am devastated", "is a mess and getting worse",
         "froze my account for no reason"),
        ("finance", "investing", "stocks", "savings", "economy", "budgeting", "markets", "fintech"),
        ("📈", "💶", "💳", "🏦"), ("Rally", "RateCut", "Listing"), ("Crash", "Layoffs", "BankRun"), 0.32, 0.34,
    ),
}  # fmt: skip

_PREDICATES = {
    "positive": (
        "is amazing", "is so good", "makes me so happy", "is wonderful, I love it", "is better than I ever hoped",
        "is a joy from start to finish", "deserves more attention, it is fantastic", "was a delight today",
        "gets ten out of ten from me", "is exactly what I needed, thank you",
    ),
    "neutral": (
        "is on my list for this week", "is what we talk about today", "is the subject of a new report",
        "has a page of its own now", "comes back next month", "is listed in the programme", "was mentioned twice today",
        "follows the usual plan", "is explained in the link", "has not changed since last year",
    ),
    "negative": (
        "is awful", "is so disappointing", "makes me really sad", "is terrible, I hate it", "is worse than I feared",
        "is a complete disaster", "was a waste of time and money", "gets zero out of ten from me",
        "is broken again and I am sick of it", "should be ashamed, just horrible",
    ),
}  # fmt: skip
_TAILS = {
    "positive": (
        "Best day in weeks!", "I can't stop smiling.", "Thank you to everyone involved!", "Highly recommended.",
        "Who else loves this?", "So proud right now!", "More of this, please!", "Life is good.", "Feeling lucky today.",
        "This made me laugh so hard!", "What a great team.", "Would do it again in a heartbeat.",
    ),
    "neutral": (
        "More at noon.", "Details are in the thread.", "What do you think?", "Here is the link.",
        "Part two is tomorrow.",
        "For the record.", "Same time next week.", "Photo from this morning.", "Notes are below.",
        "Seen on my way to work.",
        "Asking for a colleague.", "It says so on the website.",
    ),
    "negative": (
        "I want my money back.", "Never again.", "What a disappointment.", "Nobody should have to put up with this.",
        "I am so tired of this.", "Worst week ever.", "Shame on everyone responsible.", "How is this still broken?",
        "I expected so much more.", "This is unacceptable!", "Truly heartbreaking.", "Avoid at all costs.",
    ),
}  # fmt: skip
_EMOJI = {
    "positive": ("😍", "😀", "🎉", "❤️", "🙌", "✨", "😂", "👏"),
    "neutral": ("🤔", "👀", "📌", "➡️", "ℹ️", "🗓️"),
    "negative": ("😡", "😢", "👎", "💔", "🙄", "😤", "😞"),
}
_OPENERS = {
    "educational": ("Did you know?", "Quick lesson:", "Explained in one minute:", "A short guide:"),
    "entertainment": ("Tonight:", "Now playing:", "Look at this!", "Weekend mood:"),
    "news": ("Breaking:", "Just in:", "Update:", "Reported today:"),
    "promotional": ("Only this week:", "New in our shop:", "Sponsored:", "Use code SAVE10:"),
    "personal": ("Honestly,", "Dear diary,", "Today I learned:", "Small update from me:"),
    "humor": ("Plot twist:", "Me at 3 am:", "Nobody:", "Not me saying it, but"),
    "opinion": ("Unpopular opinion:", "My take:", "Hot take:", "I said it before:"),
}
_STRETCHED = (
    ("so ", "sooo "), ("love", "looove"), ("amazing", "amaaazing"), ("awful", "awwwful"), ("Never", "Neverrr"),
    ("terrible", "terrrible"), ("wonderful", "wonderfulll"), ("great", "greaaat"), ("really", "reallyyy"),
)  # fmt: skip

_INSULTS = (
    "you are such a {adjective} {noun}, delete your account", "shut up, you {adjective} {noun}",
    "nobody likes you, {adjective} {noun}", "what a {adjective} {noun} you are, everyone laughs at you",
    "go away, you {adjective} {noun}, you ruin everything", "only a {adjective} {noun} would post this",
    "you {noun}, you are too {adjective} to understand anything", "listen, {noun}: you are {adjective} and you stink",
    "another {adjective} post by a {adjective} {noun}, just quit already", "get lost, {noun}, your face is a joke",
)  # fmt: skip
_ADJECTIVES = (
    "stupid", "pathetic", "worthless", "hideous", "dumb", "disgusting", "brainless", "useless", "lazy", "miserable",
    "clueless", "nasty",
)  # fmt: skip
_NOUNS = (
    "idiot", "loser", "clown", "moron", "fool", "liar", "crybaby", "rat", "pig", "coward", "creep", "piece of trash",
)  # fmt: skip
_LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "$"})


# Between two sentences.
_STOPS = {"ja": "。", "zh": "。", "hi": "। "}


class Language(NamedTuple):
    """The topics' names in the order of TOPICS, and sentences and tails by sentiment; `{}` is the name."""

    topics: tuple[str, ...]
    positive: tuple[str, ...]
    neutral: tuple[str, ...]
    negative: tuple[str, ...]
    positive_tails: tuple[str, ...]
    neutral_tails: tuple[str, ...]
    negative_tails: tuple[str, ...]


_LANGUAGES = {
    "es": Language(
        ("la tecnología", "el deporte", "la música", "el cine", "la política", "la cocina", "el viaje", "la moda",
         "la salud", "el videojuego", "la ciencia", "la bolsa"),
        ("Hoy {} me hizo muy feliz", "Me encanta cómo está {} este año", "Qué maravilla, {} nunca decepciona",
         "Gracias a todos, {} fue lo mejor de la semana", "Estoy orgulloso, {} es increíble"),
        ("Esta tarde hablamos sobre {}", "Mañana hay un informe sobre {}", "El programa de hoy trata sobre {}",
         "A las siete empieza la charla sobre {}", "Hay una página nueva sobre {}"),
        ("Qué decepción, {} es un desastre", "Estoy harto, {} me pone furioso", "Nunca más, {} fue horrible",
         "Qué vergüenza lo que pasa con {}", "Todo mal hoy, {} me da mucha pena"),
        ("¡Qué alegría!", "¡Lo recomiendo mucho!", "El mejor día del mes."),
        ("¿Qué opinan?", "Más detalles mañana.", "Aquí está el enlace."),
        ("Una pérdida de tiempo.", "Así no se puede.", "Quiero mi dinero de vuelta."),
    ),
    "pt": Language(
        ("a tecnologia", "o esporte", "a música", "o cinema", "a política", "a comida", "a viagem", "a moda",
         "a saúde", "o jogo", "a ciência", "a bolsa"),
        ("Hoje {} me deixou muito feliz", "Adoro como {} está este ano", "Que maravilha, {} nunca decepciona",
         "Obrigado a todos, {} foi o melhor da semana", "Que orgulho, {} é incrível"),
        ("Hoje à tarde falamos sobre {}", "Amanhã sai um relatório sobre {}", "O programa de hoje é sobre {}",
         "Às sete começa a conversa sobre {}", "Há uma página nova sobre {}"),
        ("Que decepção, {} é um desastre", "Estou cansado, {} me deixa furioso", "Nunca mais, {} foi horrível",
         "Que vergonha o que acontece com {}", "Tudo errado hoje, {} me deixa triste"),
        ("Que alegria!", "Recomendo muito!", "O melhor dia do mês."),
        ("O que vocês acham?", "Mais detalhes amanhã.", "Aqui está o link."),
        ("Uma perda de tempo.", "Assim não dá.", "Quero meu dinheiro de volta."),
    ),
    "fr": Language(
        ("la technologie", "le sport", "la musique", "le cinéma", "la politique", "la cuisine", "le voyage", "la mode",
         "la santé", "le jeu vidéo", "la science", "la bourse"),
        ("Aujourd'hui {} m'a rendu très heureux", "J'adore, {} est magnifique cette année",
         "Quelle merveille, {} ne déçoit jamais", "Merci à tous, {} était le meilleur moment de la semaine",
         "Quelle fierté, {} est incroyable"),
        ("Cet après-midi, on parle ici : {}", "Demain paraît un rapport, sujet : {}", "Au programme aujourd'hui : {}",
         "La discussion commence à sept heures, thème : {}", "Une nouvelle page en ligne, sujet : {}"),
        ("Quelle déception, {} est un désastre", "J'en ai marre, {} me rend furieux", "Plus jamais, {} était horrible",
         "C'est une honte, {} va de mal en pis", "Tout va mal, {} me rend vraiment triste"),
        ("Quelle joie !", "Je recommande vivement !", "Le plus beau jour du mois."),
        ("Qu'en pensez-vous ?", "Plus de détails demain.", "Voici le lien."),
        ("Une perte de temps.", "C'est inacceptable.", "Je veux être remboursé."),
    ),
    "de": Language(
        ("die Technik", "der Sport", "die Musik", "das Kino", "die Politik", "das Essen", "die Reise", "die Mode",
         "die Gesundheit", "das Spiel", "die Wissenschaft", "die Börse"),
        ("Heute hat mich etwas glücklich gemacht: {}", "Ich bin begeistert, {} ist dieses Jahr großartig",
         "Wie wunderbar, {} enttäuscht nie", "Danke an alle, {} war das Beste der Woche",
         "Ich bin stolz, {} ist einfach toll"),
        ("Thema am Nachmittag: {}", "Morgen erscheint ein Bericht, Thema: {}", "Heute im Programm: {}",
         "Um sieben beginnt das Gespräch, Thema: {}", "Eine neue Seite ist online, Thema: {}"),
        ("Was für eine Enttäuschung, {} ist eine Katastrophe", "Mir reicht es, {} macht mich wütend",
         "Nie wieder, {} war furchtbar", "Es ist eine Schande, {} wird immer schlimmer",
         "Heute läuft alles schief, {} macht mich traurig"),
        ("Was für eine Freude!", "Sehr zu empfehlen!", "Der schönste Tag im Monat."),
        ("Was meint ihr?", "Mehr dazu morgen.", "Hier ist der Link."),
        ("Reine Zeitverschwendung.", "So geht das nicht.", "Ich will mein Geld zurück."),
    ),
    "it": Language(
        ("la tecnologia", "lo sport", "la musica", "il cinema", "la politica", "la cucina", "il viaggio", "la moda",
         "la salute", "il videogioco", "la scienza", "la borsa"),
        ("Oggi {} mi ha reso davvero felice", "Adoro, {} è bellissimo quest'anno", "Che meraviglia, {} non delude mai",
         "Grazie a tutti, {} è stato il meglio della settimana", "Che orgoglio, {} è incredibile"),
        ("Oggi pomeriggio si parla di un tema: {}", "Domani esce un rapporto, tema: {}", "Nel programma di oggi: {}",
         "Alle sette comincia il dibattito, tema: {}", "C'è una pagina nuova, tema: {}"),
        ("Che delusione, {} è un disastro", "Sono stufo, {} mi fa arrabbiare", "Mai più, {} è stato orribile",
         "È una vergogna, {} va sempre peggio", "Oggi va tutto male, {} mi rende triste"),
        ("Che gioia!", "Lo consiglio davvero!", "Il giorno più bello del mese."),
        ("Che ne pensate?", "Altri dettagli domani.", "Ecco il link."),
        ("Una perdita di tempo.", "Così non va.", "Rivoglio i miei soldi."),
    ),
    "ja": Language(
        ("テクノロジー", "スポーツ", "音楽", "映画", "政治", "料理", "旅行", "ファッション", "健康", "ゲーム",
         "科学", "株式市場"),
        ("今日は{}のおかげで本当に幸せな一日でした", "今年の{}は最高で、毎日とても楽しみにしています",
         "{}が大好きです、何度見ても素晴らしいと思います", "皆さんありがとう、{}が今週いちばんの思い出です"),
        ("今日の午後は{}についてみんなで話します", "明日は{}についての報告が発表される予定です",
         "今夜七時から{}についての番組が放送されます", "{}についての新しいページが今朝公開されました"),
        ("今日の{}は本当にひどくてがっかりしました", "{}にはもううんざりです、二度と見たくありません",
         "{}は最悪でした、時間とお金を無駄にしました", "{}のニュースを見てとても悲しくなりました"),
        ("最高!", "とてもおすすめです!", "笑顔になれます。"),
        ("どう思いますか?", "詳しくは明日。", "リンクはこちら。"),
        ("もう二度とごめんです。", "許せません。", "お金を返してほしい。"),
    ),
    "hi": Language(
        ("तकनीक", "खेल", "संगीत", "सिनेमा", "राजनीति", "खाना", "सफ़र", "फ़ैशन", "सेहत", "गेम", "विज्ञान", "बाज़ार"),
        ("आज {} की वजह से मैं बहुत खुश हूँ", "इस साल {} कमाल है, मुझे बहुत पसंद है",
         "सबका धन्यवाद, {} इस हफ़्ते सबसे अच्छा रहा",
         "गर्व है, {} सच में शानदार है"),
        ("आज दोपहर हम {} पर बात करेंगे", "कल {} पर एक रिपोर्ट आएगी", "शाम सात बजे {} पर चर्चा है",
         "{} पर एक नया पेज बना है"),
        ("बहुत निराशा हुई, {} का बुरा हाल है", "{} से तंग आ गया हूँ, बहुत गुस्सा आता है",
         "{} बेकार रहा, समय और पैसे की बर्बादी",
         "{} की ख़बर सुनकर बहुत दुख हुआ"),
        ("क्या बात है!", "ज़रूर देखिए!", "बहुत मज़ा आया।"),
        ("आप क्या सोचते हैं?", "बाकी कल।", "लिंक यहाँ है।"),
        ("फिर कभी नहीं।", "यह ठीक नहीं है।", "मेरे पैसे वापस करो।"),
    ),
    "id": Language(
        ("teknologi", "olahraga", "musik", "film", "politik", "makanan", "perjalanan", "mode", "kesehatan", "gim",
         "sains", "pasar saham"),
        ("Hari ini {} membuatku sangat bahagia", "Aku suka sekali {} tahun ini",
         "Luar biasa, {} tidak pernah mengecewakan",
         "Terima kasih semua, {} paling seru minggu ini"),
        ("Sore ini kita bicara tentang {}", "Besok ada laporan tentang {}", "Acara hari ini membahas {}",
         "Diskusi tentang {} mulai jam tujuh"),
        ("Kecewa sekali, {} benar-benar kacau", "Aku muak, {} bikin marah", "Jangan lagi, {} sungguh buruk",
         "Sedih sekali melihat berita tentang {}"),
        ("Senang sekali!", "Sangat direkomendasikan!", "Hari terbaik bulan ini."),
        ("Bagaimana menurut kalian?", "Selengkapnya besok.", "Ini tautannya."),
        ("Buang-buang waktu.", "Tidak bisa begini.", "Kembalikan uangku."),
    ),
    "tr": Language(
        ("teknoloji", "spor", "müzik", "sinema", "siyaset", "yemek", "seyahat", "moda", "sağlık", "oyun", "bilim",
         "borsa"),
        ("Bugün {} beni çok mutlu etti", "Bu yıl {} harika, bayılıyorum",
         "Herkese teşekkürler, {} haftanın en güzeliydi",
         "Gurur duyuyorum, {} gerçekten muhteşem"),
        ("Bu öğleden sonra konumuz {}", "Yarın yeni bir rapor çıkıyor, konu: {}", "Bugünkü programın konusu {}",
         "Sohbet saat yedide başlıyor, konu: {}"),
        ("Büyük hayal kırıklığı, {} tam bir felaket", "Bıktım artık, {} beni çok kızdırıyor",
         "Bir daha asla, {} berbattı",
         "Çok üzgünüm, {} her gün kötüye gidiyor"),
        ("Ne güzel!", "Kesinlikle tavsiye ederim!", "Ayın en güzel günü."),
        ("Siz ne düşünüyorsunuz?", "Ayrıntılar yarın.", "Bağlantı burada."),
        ("Zaman kaybı.", "Böyle olmaz.", "Paramı geri istiyorum."),
    ),
    "ar": Language(
        ("التقنية", "الرياضة", "الموسيقى", "السينما", "السياسة", "الطعام", "السفر", "الأزياء", "الصحة", "الألعاب",
         "العلوم", "البورصة"),
        ("اليوم أنا سعيد جدا بسبب {}", "أحب {} كثيرا هذا العام", "شكرا للجميع، أجمل ما في الأسبوع {}",
         "أنا فخور جدا، رائع ما يحدث في {}"),
        ("نتحدث بعد الظهر عن {}", "غدا يصدر تقرير جديد عن {}", "برنامج اليوم عن {}", "الحوار في السابعة مساء عن {}"),
        ("خيبة أمل كبيرة في {}", "تعبت من الأخبار السيئة عن {}", "لن أعود أبدا، تجربة فظيعة مع {}",
         "أنا حزين جدا بسبب {}"),
        ("يا لها من فرحة!", "أنصح به بشدة!", "أجمل يوم في الشهر."),
        ("ما رأيكم؟", "التفاصيل غدا.", "الرابط هنا."),
        ("مضيعة للوقت.", "هذا غير مقبول.", "أريد مالي."),
    ),
    "ko": Language(
        ("기술", "스포츠", "음악", "영화", "정치", "음식", "여행", "패션", "건강", "게임", "과학", "주식 시장"),
        ("오늘 {} 덕분에 정말 행복한 하루였어요", "올해 {} 소식은 정말 최고예요, 너무 좋아요",
         "모두 고마워요, 이번 주 최고는 {} 이야기예요"),
        ("오늘 오후에는 {} 주제로 이야기합니다", "내일 {} 관련 보고서가 나올 예정입니다",
         "저녁 일곱 시에 {} 주제 방송이 시작됩니다"),
        ("오늘 {} 때문에 정말 실망했어요, 최악이에요", "{} 소식에 너무 화가 나요, 다시는 안 볼래요",
         "{} 때문에 시간과 돈만 낭비했어요, 슬퍼요"),
        ("정말 최고!", "강력 추천해요!", "기분 좋은 하루예요."),
        ("어떻게 생각하세요?", "자세한 내용은 내일.", "링크는 여기."),
        ("다시는 안 해요.", "정말 너무해요.", "돈을 돌려주세요."),
    ),
    "zh": Language(
        ("科技", "体育", "音乐", "电影", "政治", "美食", "旅行", "时尚", "健康", "游戏", "科学", "股市"),
        ("今天的{}让我特别开心,整个人都充满了力量和希望", "今年的{}真的太棒了,我每天都非常期待新的消息",
         "感谢大家的努力,{}是我这个星期最美好的回忆和惊喜"),
        ("今天下午我们会在这里和大家一起讨论关于{}的话题", "明天上午将会发布一份关于{}的最新年度报告和数据",
         "今晚七点开始的节目会向大家介绍关于{}的基本情况"),
        ("今天的{}实在是太糟糕了,我真的感到非常非常失望", "我对{}已经受够了,完全是在浪费我的时间和金钱",
         "看到关于{}的消息以后我很难过,情况一天比一天差"),
        ("太好了!", "强烈推荐!", "这个月最好的一天。"),
        ("大家怎么看?", "详情明天公布。", "链接在这里。"),
        ("再也不会了。", "太过分了。", "请把钱还给我。"),
    ),
}  # fmt: skip
LANGUAGES = ("en", *_LANGUAGES)


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


def _english() -> dict[tuple[str, str, str], list[str]]:
    return {
        ("en", name, sentiment): [
            f"{subject} {predicate}"
            for subject in topic.subjects
            for predicate in (*getattr(topic, sentiment), *_PREDICATES[sentiment])
        ]
        for name, topic in TOPICS.items()
        for sentiment in SENTIMENTS
    }


def _foreign() -> dict[tuple[str, str, str], list[str]]:
    return {
        (code, name, sentiment): [_capitalised(sentence.format(word)) for sentence in getattr(language, sentiment)]
        for code, language in _LANGUAGES.items()
        for name, word in zip(TOPICS, language.topics, strict=True)
        for sentiment in SENTIMENTS
    }


def _abuse() -> list[str]:
    """Each insult once as it is, once with stretched letters and once with digits for letters."""
    plain = [
        insult.format(adjective=adjective, noun=noun)
        for insult in _INSULTS
        for adjective in _ADJECTIVES
        for noun in _NOUNS
    ]
    stretched = [text.replace("you ", "youuu ").replace("st", "sst").replace("er", "errr") for text in plain]
    return [*plain, *plain, *stretched, *(text.translate(_LEET) for text in plain)]


class Texts:
    """Sentences made ready, so that a post's text is a few draws."""

    def __init__(self) -> None:
        self._sentences = _english() | _foreign()
        self._tails = {("en", sentiment): _TAILS[sentiment] for sentiment in SENTIMENTS} | {
            (code, sentiment): getattr(language, f"{sentiment}_tails")
            for code, language in _LANGUAGES.items()
            for sentiment in SENTIMENTS
        }
        self._abuse = _abuse()

    def text(
        self,
        draw: Draw,
        *,
        language: str,
        topic: str,
        sentiment: str,
        content_type: str,
        hashtags: list[str],
        mention: str,
    ) -> str:
        """A text of 20 to 280 characters; it ends in the hashtags, and begins with the mention where there is one."""
        sentences = self._sentences[language, topic, sentiment]
        text = sentences[int(draw() * len(sentences))]
        if language == "en":
            if draw() < 0.35:
                openers = _OPENERS[content_type]
                opener = openers[int(draw() * len(openers))]
                text = f"{opener} {_capitalised(text) if opener[-1] in '?!' else text}"
            text = _capitalised(text)
            if draw() < 0.08:
                for plain, stretched in _STRETCHED:
                    text = text.replace(plain, stretched)
        if draw() < 0.55 or len(text) < FEWEST_CHARACTERS:
            tails = self._tails[language, sentiment]
            text = f"{text}{_STOPS.get(language, '. ')}{tails[int(draw() * len(tails))]}"
        elif draw() < 0.3:
            text += "!!!" if sentiment == "negative" else "!"
        if draw() < 0.45:
            emoji = _EMOJI[sentiment] if draw() < 0.7 else TOPICS[topic].emoji
            text = f"{text} {emoji[int(draw() * len(emoji))]}"
        return _with_tags(text, hashtags, mention)

    def abuse(self, draw: Draw, *, hashtags: list[str], mention: str) -> str:
        """An abusive English text of 20 to 280 characters."""
        text = self._abuse[int(draw() * len(self._abuse))]
        if draw() < 0.4:
            emoji = _EMOJI["negative"]
            text = f"{text} {emoji[int(draw() * len(emoji))]}"
        return _with_tags(text, hashtags, mention)


def _with_tags(text: str, hashtags: list[str], mention: str) -> str:
    if mention:
        text = f"@{mention} {text}"
    if hashtags:
        text = f"{text} #{' #'.join(hashtags)}"
    return text
