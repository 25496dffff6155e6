"""The words of the embedded corpus: English and French forms, gender, and what goes with what.

Tables are plain text, one word per line, so that they can be proof-read. A word's ``kinds`` say
what it may combine with: a verb lists the kinds of object it takes, an adjective those it describes.
Words whose English form leaves the French open (``read``: present or past?) are left out on purpose.
"""

from __future__ import annotations

from dataclasses import replace

from aista.corpora.synthetic.word import Adjective, Adverb, Modal, Name, Noun, Preposition, Tense, Time, Verb

__all__ = [
    "ADJECTIVES",
    "ADVERBS",
    "ASPIRATED",
    "INTRANSITIVES",
    "MODALS",
    "MOTIONS",
    "NAMES",
    "NOUNS",
    "PREPOSITIONS",
    "TIMES",
    "TRANSITIVES",
]

# english[/plural]; french[/plural]; gender; kinds
_NOUNS = """
boy; garçon; m; person
girl; fille; f; person
man/men; homme; m; person
woman/women; femme; f; person
child/children; enfant; m; person
teacher; professeur; m; person
doctor; médecin; m; person
friend; ami; m; person
neighbor; voisin; m; person
brother; frère; m; person
sister; sœur; f; person
mother; mère; f; person unique
father; père; m; person unique
baker; boulanger; m; person
farmer; fermier; m; person
singer; chanteuse; f; person
nurse; infirmière; f; person
king; roi; m; person
queen; reine; f; person
dog; chien; m; animal
cat; chat; m; animal
horse; cheval/chevaux; m; animal
bird; oiseau/oiseaux; m; animal
cow; vache; f; animal
mouse/mice; souris/souris; f; animal
rabbit; lapin; m; animal
bear; ours/ours; m; animal
elephant; éléphant; m; animal
apple; pomme; f; food
pear; poire; f; food
egg; œuf; m; food
tomato/tomatoes; tomate; f; food
bean; haricot; m; food
bread; pain; m; food mass
cheese; fromage; m; food mass
soup; soupe; f; food mass
meat; viande; f; food mass
water; eau; f; drink
milk; lait; m; drink
coffee; café; m; drink
tea; thé; m; drink
book; livre; m; thing text
letter; lettre; f; thing text
newspaper; journal/journaux; m; thing text
story/stories; histoire; f; text
poem; poème; m; text
car; voiture; f; thing
door; porte; f; thing closable breakable
window; fenêtre; f; thing closable breakable
key; clé; f; thing small
table; table; f; thing breakable
chair; chaise; f; thing breakable
hat; chapeau/chapeaux; m; thing clothes
dress/dresses; robe; f; thing clothes
coat; manteau/manteaux; m; thing clothes
shoe; chaussure; f; thing clothes
ball; balle; f; thing small
box/boxes; boîte; f; thing closable container breakable
bag; sac; m; thing closable container
knife/knives; couteau/couteaux; m; thing small
bottle; bouteille; f; thing closable container breakable
bicycle; vélo; m; thing breakable
boat; bateau/bateaux; m; thing
picture; image; f; thing
clock; horloge; f; thing breakable
flower; fleur; f; thing small
tree; arbre; m; plant
umbrella; parapluie; m; thing closable breakable
ring; bague; f; thing small
house; maison; f; place inside
garden; jardin; m; place inside
kitchen; cuisine; f; place inside
school; école; f; place inside
church/churches; église; f; place inside
park; parc; m; place inside
forest; forêt; f; place inside
hospital; hôpital/hôpitaux; m; place inside
hotel; hôtel; m; place inside
shop; magasin; m; place inside
market; marché; m; place goal
station; gare; f; place inside
bridge; pont; m; place surface
beach/beaches; plage; f; place surface
island; île; f; place surface
river; rivière; f; place water
"""

# english; comparative (- if there is none); masculine[/before a vowel]; feminine; position; kinds[; masculine plural]
_ADJECTIVES = """
big; bigger; grand; grande; before; animal thing place plant
small; smaller; petit; petite; before; person animal food thing place plant
beautiful; more beautiful; beau/bel; belle; before; person animal thing place plant text; beaux
old; older; vieux/vieil; vieille; before; person animal thing place plant; vieux
new; -; nouveau/nouvel; nouvelle; before; thing text inside goal; nouveaux
young; younger; jeune; jeune; before; person animal
pretty; prettier; joli; jolie; before; thing place animal
good; -; bon; bonne; before; food drink text
long; longer; long; longue; before; text water
red; -; rouge; rouge; after; thing
blue; -; bleu; bleue; after; thing
green; -; vert; verte; after; thing
white; -; blanc; blanche; after; thing animal
black; -; noir; noire; after; thing animal
yellow; -; jaune; jaune; after; thing
heavy; heavier; lourd; lourde; after; thing
expensive; more expensive; cher; chère; after; thing food drink
dirty; dirtier; sale; sale; after; thing animal place
broken; -; cassé; cassée; after; breakable
empty; -; vide; vide; after; container inside
open; -; ouvert; ouverte; after; closable
strong; stronger; fort; forte; after; person animal
tired; more tired; fatigué; fatiguée; after; person animal
happy; happier; heureux; heureuse; after; person animal; heureux
sad; sadder; triste; triste; after; person text
intelligent; more intelligent; intelligent; intelligente; after; person animal
brave; braver; courageux; courageuse; after; person; courageux
sick; sicker; malade; malade; after; person animal
hot; hotter; chaud; chaude; after; food drink
cold; colder; froid; froide; after; food drink water
fresh; fresher; frais; fraîche; after; food drink; frais
dangerous; more dangerous; dangereux; dangereuse; after; animal place; dangereux
interesting; more interesting; intéressant; intéressante; after; text place person
italian; -; italien; italienne; after; person food thing text
french; -; français; française; after; person food text; français
"""

_GIFTS = "text clothes small"
# english third past; french infinitive; present je tu il nous ils ("-er": regular); future stem; participle; objects
_TRANSITIVES = f"""
see sees saw; voir; vois vois voit voyons voient; verr; vu; person animal thing place
eat eats ate; manger; mange manges mange mangeons mangent; manger; mangé; food
drink drinks drank; boire; bois bois boit buvons boivent; boir; bu; drink
buy buys bought; acheter; achète achètes achète achetons achètent; achèter; acheté; thing food drink animal
sell sells sold; vendre; vends vends vend vendons vendent; vendr; vendu; thing food drink animal
write writes wrote; écrire; écris écris écrit écrivons écrivent; écrir; écrit; text
open opens opened; ouvrir; ouvre ouvres ouvre ouvrons ouvrent; ouvrir; ouvert; closable
close closes closed; fermer; -er; fermer; fermé; closable
find finds found; trouver; -er; trouver; trouvé; thing animal person text
lose loses lost; perdre; perds perds perd perdons perdent; perdr; perdu; small clothes
carry carries carried; porter; -er; porter; porté; small container
wash washes washed; laver; -er; laver; lavé; clothes animal
look_for looks_for looked_for; chercher; -er; chercher; cherché; person animal thing
wait_for waits_for waited_for; attendre; attends attends attend attendons attendent; attendr; attendu; person
watch watches watched; regarder; -er; regarder; regardé; animal person
hear hears heard; entendre; entends entends entend entendons entendent; entendr; entendu; animal person
break breaks broke; casser; -er; casser; cassé; breakable
cook cooks cooked; préparer; -er; préparer; préparé; food
follow follows followed; suivre; suis suis suit suivons suivent; suivr; suivi; person animal
help helps helped; aider; -er; aider; aidé; person
call calls called; appeler; appelle appelles appelle appelons appellent; appeller; appelé; person animal
choose chooses chose; choisir; choisis choisis choisit choisissons choisissent; choisir; choisi; clothes small text
draw draws drew; dessiner; -er; dessiner; dessiné; plant animal person
visit visits visited; visiter; -er; visiter; visité; inside goal
give gives gave; donner; -er; donner; donné; {_GIFTS} food drink
show shows showed; montrer; -er; montrer; montré; {_GIFTS} animal
send sends sent; envoyer; envoie envoies envoie envoyons envoient; enverr; envoyé; {_GIFTS}
bring brings brought; apporter; -er; apporter; apporté; {_GIFTS} food drink
lend lends lent; prêter; -er; prêter; prêté; {_GIFTS}
"""
_DATIVES = frozenset(["give", "show", "send", "bring", "lend"])

_INTRANSITIVES = """
sleep sleeps slept; dormir; dors dors dort dormons dorment; dormir; dormi
work works worked; travailler; -er; travailler; travaillé
sing sings sang; chanter; -er; chanter; chanté
play plays played; jouer; -er; jouer; joué
run runs ran; courir; cours cours court courons courent; courr; couru
dance dances danced; danser; -er; danser; dansé
smile smiles smiled; sourire; souris souris sourit sourions sourient; sourir; souri
swim swims swam; nager; nage nages nage nageons nagent; nager; nagé
"""
# ... ; participle; english preposition; french preposition
_MOTIONS = """
go goes went; aller; vais vas va allons vont; ir; allé; to; à
come comes came; venir; viens viens vient venons viennent; viendr; venu; from; de
return returns returned; retourner; -er; retourner; retourné; to; à
arrive arrives arrived; arriver; -er; arriver; arrivé; at; à
"""

_TIMES = """
today; aujourd'hui; present; last
now; maintenant; present; first
every morning; chaque matin; present; last
in the evening; le soir; present; first
on sundays; le dimanche; present; first
every week; chaque semaine; present; last
yesterday; hier; past; last
last week; la semaine dernière; past; last
this morning; ce matin; past; first
two days ago; il y a deux jours; past; first
last year; l'année dernière; past; first
tomorrow; demain; future; last
tonight; ce soir; future; first
next week; la semaine prochaine; future; last
next year; l'année prochaine; future; first
in three days; dans trois jours; future; last
"""


def _kinds(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split(";")] for line in table.strip().splitlines()]


def _noun(en: str, fr: str, gender: str, kinds: str) -> Noun:
    en, _, en_plural = en.partition("/")
    fr, _, fr_plural = fr.partition("/")
    return Noun(en, en_plural or f"{en}s", fr, fr_plural or f"{fr}s", gender, _kinds(kinds))


def _adjective(en: str, more: str, fr: str, feminine: str, place: str, kinds: str, plural: str = "") -> Adjective:
    fr, _, vowel = fr.partition("/")
    forms = (fr, vowel or fr, feminine, plural or f"{fr}s", f"{feminine}s")
    return Adjective(en, more, *forms, precedes=place == "before", kinds=_kinds(kinds))


def _verb(en: str, infinitive: str, present: str, future: str, participle: str, objects: str = "") -> Verb:
    base, third, past = (form.replace("_", " ") for form in en.split())
    stem = infinitive.removesuffix("er")
    forms = [f"{stem}{ending}" for ending in ("e", "es", "e", "ons", "ent")] if present == "-er" else present.split()
    return Verb(
        base, third, past, infinitive, tuple(forms), future, participle, _kinds(objects), dative=base in _DATIVES
    )


def _motion(*cells: str) -> Verb:
    return replace(_verb(*cells[:5]), etre=True, en_preposition=cells[5], fr_preposition=cells[6])


_TENSES: dict[str, Tense] = {"present": "present", "past": "past", "future": "future"}
NOUNS = tuple(_noun(*row) for row in _rows(_NOUNS))
ADJECTIVES = tuple(_adjective(*row) for row in _rows(_ADJECTIVES))
TRANSITIVES = tuple(_verb(*row) for row in _rows(_TRANSITIVES))
INTRANSITIVES = tuple(_verb(*row) for row in _rows(_INTRANSITIVES))
MOTIONS = tuple(_motion(*row) for row in _rows(_MOTIONS))
TIMES = tuple(Time(en, fr, _TENSES[tense], place == "first") for en, fr, tense, place in _rows(_TIMES))
NAMES = (
    Name("anna", "f"),
    Name("paul", "m"),
    Name("julie", "f"),
    Name("oscar", "m"),
    Name("emma", "f"),
    Name("david", "m"),
    Name("sarah", "f"),
    Name("victor", "m"),
)
MODALS = (
    Modal("want to", "wants to", "do not want to", "does not want to", ("veux", "veux", "veut", "voulons", "veulent")),
    Modal("can", "can", "cannot", "cannot", ("peux", "peux", "peut", "pouvons", "peuvent")),
    Modal("must", "must", "must not", "must not", ("dois", "dois", "doit", "devons", "doivent")),
)
ADVERBS = (
    Adverb("often", "souvent", True),
    Adverb("always", "toujours", True),
    Adverb("sometimes", "parfois", True),
    Adverb("slowly", "lentement", False),
    Adverb("quickly", "rapidement", False),
    Adverb("quietly", "calmement", False),
    Adverb("carefully", "prudemment", False),
)
PREPOSITIONS = (
    Preposition("in", "dans", "inside"),
    Preposition("on", "sur", "surface"),
    Preposition("under", "sous", "plant"),
    Preposition("behind", "derrière", "inside"),
    Preposition("in front of", "devant", "inside"),
    Preposition("near", "près de", "place"),
    Preposition("next to", "à côté de", "inside"),
)
ASPIRATED = frozenset({"haricot", "haricots", "huit"})
