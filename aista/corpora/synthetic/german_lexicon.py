"""The German words of the embedded corpus, by the English words of ``lexicon.py``.

Tables are plain text, one word per line, so that they can be proof-read.
"""

from __future__ import annotations

from aista.corpora.synthetic.word import GermanAdjective, GermanNoun, GermanVerb

__all__ = [
    "ADJECTIVES",
    "ADVERBS",
    "ENCLOSING",
    "MODALS",
    "NEGATED_MODALS",
    "NOUNS",
    "ON",
    "PREPOSITIONS",
    "TIMES",
    "VERBS",
]


# english; singular; gender; plural; genitive singular
_NOUNS = """
boy; junge; m; jungen; jungen
girl; mädchen; n; mädchen; mädchens
man; mann; m; männer; mannes
woman; frau; f; frauen; frau
child; kind; n; kinder; kindes
teacher; lehrer; m; lehrer; lehrers
doctor; arzt; m; ärzte; arztes
friend; freund; m; freunde; freundes
neighbor; nachbar; m; nachbarn; nachbarn
brother; bruder; m; brüder; bruders
sister; schwester; f; schwestern; schwester
mother; mutter; f; mütter; mutter
father; vater; m; väter; vaters
baker; bäcker; m; bäcker; bäckers
farmer; bauer; m; bauern; bauern
singer; sängerin; f; sängerinnen; sängerin
nurse; krankenschwester; f; krankenschwestern; krankenschwester
king; könig; m; könige; königs
queen; königin; f; königinnen; königin
dog; hund; m; hunde; hundes
cat; katze; f; katzen; katze
horse; pferd; n; pferde; pferdes
bird; vogel; m; vögel; vogels
cow; kuh; f; kühe; kuh
mouse; maus; f; mäuse; maus
rabbit; kaninchen; n; kaninchen; kaninchens
bear; bär; m; bären; bären
elephant; elefant; m; elefanten; elefanten
apple; apfel; m; äpfel; apfels
pear; birne; f; birnen; birne
egg; ei; n; eier; eis
tomato; tomate; f; tomaten; tomate
bean; bohne; f; bohnen; bohne
bread; brot; n; -; brotes
cheese; käse; m; -; käses
soup; suppe; f; -; suppe
meat; fleisch; n; -; fleisches
water; wasser; n; -; wassers
milk; milch; f; -; milch
coffee; kaffee; m; -; kaffees
tea; tee; m; -; tees
book; buch; n; bücher; buches
letter; brief; m; briefe; briefes
newspaper; zeitung; f; zeitungen; zeitung
story; geschichte; f; geschichten; geschichte
poem; gedicht; n; gedichte; gedichts
car; auto; n; autos; autos
door; tür; f; türen; tür
window; fenster; n; fenster; fensters
key; schlüssel; m; schlüssel; schlüssels
table; tisch; m; tische; tisches
chair; stuhl; m; stühle; stuhls
hat; hut; m; hüte; hutes
dress; kleid; n; kleider; kleides
coat; mantel; m; mäntel; mantels
shoe; schuh; m; schuhe; schuhs
ball; ball; m; bälle; balls
box; kiste; f; kisten; kiste
bag; tasche; f; taschen; tasche
knife; messer; n; messer; messers
bottle; flasche; f; flaschen; flasche
bicycle; fahrrad; n; fahrräder; fahrrads
boat; boot; n; boote; boots
picture; bild; n; bilder; bildes
clock; uhr; f; uhren; uhr
flower; blume; f; blumen; blume
tree; baum; m; bäume; baums
umbrella; regenschirm; m; regenschirme; regenschirms
ring; ring; m; ringe; rings
house; haus; n; häuser; hauses
garden; garten; m; gärten; gartens
kitchen; küche; f; küchen; küche
school; schule; f; schulen; schule
church; kirche; f; kirchen; kirche
park; park; m; parks; parks
forest; wald; m; wälder; waldes
hospital; krankenhaus; n; krankenhäuser; krankenhauses
hotel; hotel; n; hotels; hotels
shop; geschäft; n; geschäfte; geschäfts
market; markt; m; märkte; marktes
station; bahnhof; m; bahnhöfe; bahnhofs
bridge; brücke; f; brücken; brücke
beach; strand; m; strände; strands
island; insel; f; inseln; insel
river; fluss; m; flüsse; flusses
"""

# english; base[/stem before endings]; comparative
_ADJECTIVES = """
big; groß; größer
small; klein; kleiner
beautiful; schön; schöner
old; alt; älter
new; neu; -
young; jung; jünger
pretty; hübsch; hübscher
good; gut; -
long; lang; länger
red; rot; -
blue; blau; -
green; grün; -
white; weiß; -
black; schwarz; -
yellow; gelb; -
heavy; schwer; schwerer
expensive; teuer/teur; teurer
dirty; schmutzig; schmutziger
broken; kaputt; -
empty; leer; -
open; offen; -
strong; stark; stärker
tired; müde/müd; müder
happy; glücklich; glücklicher
sad; traurig; trauriger
intelligent; intelligent; intelligenter
brave; mutig; mutiger
sick; krank; kränker
hot; heiß; heißer
cold; kalt; kälter
fresh; frisch; frischer
dangerous; gefährlich; gefährlicher
interesting; interessant; interessanter
italian; italienisch; -
french; französisch; -
"""

# english; [particle|]infinitive; ich du er; imperative; participle[; case or preposition of the object; sein]
_VERBS = """
see; sehen; sehe siehst sieht; sieh; gesehen
eat; essen; esse isst isst; iss; gegessen
drink; trinken; trinke trinkst trinkt; trink; getrunken
buy; kaufen; kaufe kaufst kauft; kauf; gekauft
sell; verkaufen; verkaufe verkaufst verkauft; verkauf; verkauft
write; schreiben; schreibe schreibst schreibt; schreib; geschrieben
open; auf|machen; mache machst macht; mach; aufgemacht
close; zu|machen; mache machst macht; mach; zugemacht
find; finden; finde findest findet; finde; gefunden
lose; verlieren; verliere verlierst verliert; verlier; verloren
carry; tragen; trage trägst trägt; trag; getragen
wash; waschen; wasche wäschst wäscht; wasch; gewaschen
look for; suchen; suche suchst sucht; such; gesucht
wait for; warten; warte wartest wartet; warte; gewartet; auf
watch; beobachten; beobachte beobachtest beobachtet; beobachte; beobachtet
hear; hören; höre hörst hört; hör; gehört
break; kaputt|machen; mache machst macht; mach; kaputtgemacht
cook; zu|bereiten; bereite bereitest bereitet; bereite; zubereitet
follow; folgen; folge folgst folgt; folge; gefolgt; dat; sein
help; helfen; helfe hilfst hilft; hilf; geholfen; dat
call; rufen; rufe rufst ruft; ruf; gerufen
choose; aus|wählen; wähle wählst wählt; wähle; ausgewählt
draw; zeichnen; zeichne zeichnest zeichnet; zeichne; gezeichnet
visit; besuchen; besuche besuchst besucht; besuche; besucht
give; geben; gebe gibst gibt; gib; gegeben
show; zeigen; zeige zeigst zeigt; zeig; gezeigt
send; schicken; schicke schickst schickt; schick; geschickt
bring; bringen; bringe bringst bringt; bring; gebracht
lend; leihen; leihe leihst leiht; leih; geliehen
sleep; schlafen; schlafe schläfst schläft; schlaf; geschlafen
work; arbeiten; arbeite arbeitest arbeitet; arbeite; gearbeitet
sing; singen; singe singst singt; sing; gesungen
play; spielen; spiele spielst spielt; spiel; gespielt
run; rennen; renne rennst rennt; renn; gerannt; acc; sein
dance; tanzen; tanze tanzt tanzt; tanz; getanzt
smile; lächeln; lächle lächelst lächelt; lächle; gelächelt
swim; schwimmen; schwimme schwimmst schwimmt; schwimm; geschwommen; acc; sein
go; gehen; gehe gehst geht; geh; gegangen; acc; sein
come; kommen; komme kommst kommt; komm; gekommen; acc; sein
return; zurück|kehren; kehre kehrst kehrt; kehr; zurückgekehrt; acc; sein
arrive; an|kommen; komme kommst kommt; komm; angekommen; acc; sein
"""

_TIMES = """
today; heute
now; jetzt
every morning; jeden morgen
in the evening; am abend
on sundays; am sonntag
every week; jede woche
yesterday; gestern
last week; letzte woche
this morning; heute morgen
two days ago; vor zwei tagen
last year; letztes jahr
tomorrow; morgen
tonight; heute abend
next week; nächste woche
next year; nächstes jahr
in three days; in drei tagen
"""


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split(";")] for line in table.strip().splitlines()]


def _adjective(forms: str, comparative: str) -> GermanAdjective:
    base, _, stem = forms.partition("/")
    return GermanAdjective(base, stem or base, comparative)


def _verb(infinitive: str, present: str, imperative: str, participle: str, *more: str) -> GermanVerb:
    particle, _, stem = infinitive.rpartition("|")
    governs = more[0] if more else "acc"
    return GermanVerb(
        particle + stem,
        (*present.split(), stem, stem),
        imperative,
        participle,
        particle,
        case="dat" if governs == "dat" else "acc",
        preposition="" if governs in ("acc", "dat") else governs,
        sein="sein" in more,
    )


NOUNS = {en: GermanNoun(*forms) for en, *forms in _rows(_NOUNS)}
ADJECTIVES = {en: _adjective(*forms) for en, *forms in _rows(_ADJECTIVES)}
VERBS = {en: _verb(*cells) for en, *cells in _rows(_VERBS)}
TIMES = dict(_rows(_TIMES))
ADVERBS = {
    "often": "oft",
    "always": "immer",
    "sometimes": "manchmal",
    "slowly": "langsam",
    "quickly": "schnell",
    "quietly": "leise",
    "carefully": "vorsichtig",
}
MODALS = {
    "want to": ("will", "willst", "will", "wollen", "wollen"),
    "can": ("kann", "kannst", "kann", "können", "können"),
    "must": ("muss", "musst", "muss", "müssen", "müssen"),
}
# *must not* forbids; *muss nicht* would be *need not*.
NEGATED_MODALS = {**MODALS, "must": ("darf", "darfst", "darf", "dürfen", "dürfen")}
PREPOSITIONS = {
    "in": "in",
    "on": "auf",
    "under": "unter",
    "behind": "hinter",
    "in front of": "vor",
    "near": "bei",
    "next to": "neben",
}
ON = {"beach": "an"}
"""What *on* is before some nouns."""
ENCLOSING = frozenset({"house", "garden", "kitchen", "park", "forest"})
"""Places that one goes into (*in den garten*); one goes to the others (*zur schule*)."""
