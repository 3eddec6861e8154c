"""English words by what they do in a phrase: what `udfs.key_phrases` and `models.language` know of the language."""

from __future__ import annotations

# Words that end a phrase wherever they stand.
FUNCTION_WORDS = """
a about above across actually after afterwards again against ago ah ahead aint all almost along already alright also
although always am among amongst amp an and another any anybody anyone anything anyway anywhere apart are arent around
as aside at aw away back because before behind below beneath beside besides between beyond both btw but by c'mon can
cannot cant congrats could couldnt damn despite did didnt do does doesnt doing done dont down due during each eg eight
either else elsewhere enough et etc even ever every everybody everyone everything everywhere except few first five for
forth four fourth from further furthermore gonna gotta gt had hadnt haha hahaha has hasnt have havent having he hello
hence her here hers herself hey hi him himself his how however http https i ibid idk ie if im in indeed instead into is
isnt it its itself ive just kinda last later least less lest let lets like likewise lmao lol lt many may maybe me
meanwhile might mine more moreover most much must my myself nah namely near neither never nevertheless next nine no
nobody none nope nor not nothing notwithstanding now nowhere of off often oh ok okay omg on once one ones only onto or
other others otherwise our ours ourselves out over own per perhaps please pls plz pm ppl quite quot rather regarding
respectively rt same second seven several shall she should shouldnt since six smh so some somebody somehow someone
something sometimes somewhat somewhere soon still such tbh ten than thank thanks that thats the their theirs them
themselves then there thereby therefore therefrom these they theyre third this tho those though three through throughout
thus thx till to today together tomorrow tonight too toward towards twice two u ugh um under unless unlike until up upon
ur us versus very via vs wanna was wasnt we welcome were werent what whatever whats when whenever where whereas whereby
wherein wherever whether which whichever while who whoever whole whom whose why will with within without wont would
wouldnt wow xx xxx y'all ya yall yay yea yeah yep yes yesterday yet you your youre yours yourself yourselves zero
"""
# Verbs: each stands for its regular forms too. Left out are those that are as often part of a name (design, state).
VERBS = """
accept accomplish achieve acquire adapt add admit adopt affect agree aim allow analyse analyze announce annoy apologize
appear apply approach argue arise ask assess assign assist assume attempt attend avoid be beat become begin believe bet
blame boast bother bring buy calculate call care carry catch cause celebrate change characterize choose claim click
close come compare complete compose comprise compute concern conclude conduct confirm confuse congratulate consider
consist constitute construct contact contain continue contribute correspond cover create cry deal decide define deliver
demonstrate denote depend derive describe deserve detail detect determine develop devise die differ disagree discover
discuss dislike doubt draw drink drop eat elaborate eliminate emerge employ enable encourage enhance enjoy ensure
establish estimate evaluate examine exceed exhibit exist expect explain exploit explore express extend extract
facilitate fall feel find focus follow forget form formulate fuck generate get give go grab guarantee guess hang happen
hate hear help hit hold hope hug hurt identify ignore illustrate imagine implement imply improve include incorporate
increase indicate influence inform integrate introduce investigate involve join keep kill kiss know lack laugh lead
leave lie like listen live look lose love maintain make manage mean meet mention minimize miss modify motivate move need
note obtain occur offer open outline outperform overcome pay perform permit pick play possess predict prefer prepare
present prevent proceed produce promise propose prove provide pull push put quit raise reach realize receive recommend
reduce refer reflect relate rely remain remember remind remove replace represent require resolve result retain reveal
ruin run satisfy say see seek seem select sell send serve shall show simplify sing sit skip sleep smile solve speak
specify spend stand start stay steal stop subscribe suck suffer suggest summarize swear take talk teach tell tend think
throw treat try turn understand use utilize validate vary verify wait want watch wear win wish wonder work worry yield
"""
IRREGULAR_VERBS = """
admitted applied applies arisen arose ate became been began beginning begun being betting bought brought came carried
caught chose chosen cried cries dealt dies drank drawn drew dropped dropping drunk dying eaten fallen fell felt
forgetting forgot forgotten found gave getting given goes gone got gotten grabbed heard held hitting hugging hung kept
knew known led left lied lies lost lying made meant met paid quitting ran relied running said sang sat saw seen sent
shown sitting skipped slept sold sought spent spoke spoken stole stolen stood sung taken taught thought threw thrown
told took tried tries undergone understood went won worried worries written wrote
"""
NOUNS_LIKE_VERBS = "computing hearing running"
# Words that a phrase neither begins nor ends with; mostly adjectives that praise or compare.
WEAK_WORDS = """
able acceptable accurate actual additional adequate advanced advantageous alternative amazing applicable appropriate
associated available awesome bad based basic beautiful beneficial best better big bigger biggest bloody brief busy
capable careful certain clear common comparable complete complicated comprehensive considerable consistent contemporary
convenient conventional cool correct corresponding crazy crucial current cute dead desirable desired detailed different
difficult disparate diverse earlier early easier easy effective efficient entire equal essential excellent existing
expensive experimental extensive extra fair far fast faster favorite favourable favourite feasible fewer final fine
fucking full fundamental funny future general glad good grateful great greater greatest growing happy hard high higher
highest huge important independent inherent intended interesting key large larger largest late lately latest likely
limited little long longer low lower lowest lucky mad main major measured mere minor modern necessary new newer nice
novel observed obvious old older original overall particular past perfect positive possible potential practical
preliminary pretty previous primary prior proper prospective proud quick rapid ready really reasonable recent related
relevant remarkable representative right sad safe satisfactory serious severe short sick significant similar simple
simpler single slight small smaller smallest so-called sophisticated sorry special specific straightforward strong
stupid subsequent substantial successful successive sufficient suitable super superior sure tested theoretical total
traditional true typical unable underlying unique unknown useful usual valuable various vast viable vital weird well
well-known wide wider widespread worse worst worth wrong young
"""
# Nouns that are no topic alone and rarely end one.
GENERIC_NOUNS = """
ability account addition advantage advent amount area article aspect assumption attention author basis benefit bit bunch
calculation capability case challenge class combination comparison conclusion consequence consideration construction
context contrast contribution course criteria criterion day decade degree detail determination difference difficulty
direction disadvantage discussion effect effectiveness effort end example existence experience extension extent fact
feature finding goal guy hand hour idea impact implication importance improvement insight instance interaction interest
introduction issue kind level list literature lot majority manner means methodology minute month morning nature night
notion number objective opportunity order paper paradigm part participant people person perspective phenomenon place
point possibility practice prediction presence problem process progress prototype purpose question range reason
recommendation regard relation respect result role scope section sense set setting shift situation sort source step
structure study stuff substance success task term thing time topic trend type usage use value variation variety version
view way week work world year
"""
# Nouns whose ending looks like that of an adverb, a participle or an adjective.
OTHER_NOUNS = """
accent accident ahmed ally animal anniversary anomaly archive arrival assembly assistant athletic atlantic beijing belly
billy boundary breed building bully business cable capital carnival cathedral ceiling ceramic cereal client clinic
clothing coefficient comic component constant consultant content continent criminal critic crystal detective diary
dictionary documentary drive elephant emily evening fabric families family february feed festival funeral giant glossary
gradient grant holly hospital hundred incident infant ingredient initiative integral interval italy january jelly
journal july kelly library lily logic magic manual material mechanic medal merchant metal metric military mineral
mohammed molly monopoly motive mural music narrative olive olympic pacific panic parent patient pedal picnic plant
plastic polly portal president princess professional proposal public pudding rally reply representative republic
resident restaurant ritual rival salary sally scandal secretary seed signal speed spring statistic string student
summary supply survival table talent tenant terminal timetable topic traffic trial tutorial united variable variant
vegetable vocabulary wedding weed wireless
"""


def forms(verb: str) -> tuple[str, str, str, str]:
    """The regular forms of a verb: offer -> offer, offers, offered, offering."""
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb, verb[:-1] + "ies", verb[:-1] + "ied", verb + "ing"
    if verb.endswith(("s", "x", "ch", "sh")):
        return verb, verb + "es", verb + "ed", verb + "ing"
    if verb.endswith("e"):
        return verb, verb + "s", verb + "d", (verb if verb.endswith("ee") else verb[:-1]) + "ing"
    return verb, verb + "s", verb + "ed", verb + "ing"


def plural(noun: str) -> str:
    return forms(noun)[1]


def words() -> frozenset[str]:
    """All of these words, of nouns and verbs all regular forms."""
    found = set((FUNCTION_WORDS + IRREGULAR_VERBS + NOUNS_LIKE_VERBS + WEAK_WORDS + OTHER_NOUNS).split())
    for verb in VERBS.split():
        found.update(forms(verb))
    for noun in (GENERIC_NOUNS + OTHER_NOUNS).split():
        found.add(noun)
        found.add(plural(noun))
    return frozenset(found)
