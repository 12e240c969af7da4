"""The embedded corpus: reproducible, disjoint across splits, consistent within an utterance."""

import collections
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

RECIPE = Path(__file__).parents[2] / "egs" / "mini_aio"
sys.path.insert(0, str(RECIPE / "local"))

import event_classes  # noqa: E402
import events  # noqa: E402
import lexicon  # noqa: E402
import make_corpus  # noqa: E402
import mixtures  # noqa: E402
import noises  # noqa: E402
import sentences  # noqa: E402
import songs  # noqa: E402
import voices  # noqa: E402

from aio_toolkit.config import load_config  # noqa: E402
from aio_toolkit.data.datadir import Utterance, read_data_dir  # noqa: E402
from aio_toolkit.data.validate import validate_data_dir  # noqa: E402
from aio_toolkit.errors import AioError  # noqa: E402
from aio_toolkit.tasks import load_tasks  # noqa: E402

TASKS_CONFIG = RECIPE / "conf" / "tasks.yaml"
TASKS = load_tasks(TASKS_CONFIG)
SPLITS = ("train", "dev", "test")
SCALE = 0.005  # a few utterances of each task


def _config() -> make_corpus.CorpusConfig:
    return load_config(make_corpus.CorpusConfig, RECIPE / "conf" / "corpus.yaml")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A small corpus made by two processes: `corpus` and `data` below the path."""
    root = tmp_path_factory.mktemp("mini_aio")
    options = {
        "config": RECIPE / "conf" / "corpus.yaml",
        "tasks_config": TASKS_CONFIG,
        "corpus": root / "corpus",
        "data": root / "data",
        "scale": SCALE,
        "nj": 2,
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, RECIPE / "local" / "make_corpus.py", *arguments]
    path = os.pathsep.join([str(RECIPE.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment)
    return root


def _make(config: make_corpus.CorpusConfig, root: Path, **run) -> None:
    corpus, data = root / "corpus", root / "data"
    make_corpus.make_corpus(config, corpus, data, TASKS, make_corpus.Run(**run))


def _samples(spec: str) -> np.ndarray:
    wave, rate = soundfile.read(spec, dtype="int16")
    assert rate == 16_000
    return wave.astype(int)


def _utterances(made: Path, *tasks: str) -> list[Utterance]:
    found = [u for split in SPLITS for u in read_data_dir(made / "data" / split, TASKS)]
    return [u for u in found if u.task.name in tasks]


def _targets(utterance: Utterance) -> dict[str, str]:
    """The target waves by name."""
    waves = utterance.waves.values()
    return {name: spec for name, spec in utterance.answers.items() if spec in waves}


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_processes(made, tmp_path):
    _make(_config(), tmp_path, nj=1, scale=SCALE)
    manifests = [(root / "corpus" / "manifest.tsv").read_text() for root in (made, tmp_path)]
    assert manifests[0] == manifests[1]


def test_another_seed_gives_other_audio():
    levels = mixtures.Levels()
    for task in TASKS.values():
        job = mixtures.Job("train", task, 0)
        drafts = [mixtures.draft(job, levels, seed) for seed in (0, 0, 1)]
        first, again, other = (draft.render().input for draft in drafts)
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


ALL_VOICES = [voice for split in SPLITS for voice in voices.voices(split)]


@pytest.mark.parametrize("voice", ALL_VOICES[::4])
def test_speech_does_not_depend_on_what_was_spoken_before(voice):
    speech = voices.Speech("the queen sees a blue bird", voice, 190, 50, 50)
    first = voices.speak(speech)
    assert np.abs(first).max() == pytest.approx(1.0)
    tweaky = voices.Voice("Tweaky", "gb")
    voices.speak(voices.Speech("they wash three old cars", tweaky, 170, 80, 90))
    assert np.array_equal(voices.speak(speech), first)
    assert 0.9 < len(first) / 16_000 < 2.6


@pytest.mark.slow
def test_data_dirs_are_valid(made):
    texts = {"asr": {"text"}, "st": {"text", "text.fr"}}
    for split in SPLITS:
        validate_data_dir(made / "data" / split, TASKS, 16_000)
        utterances = read_data_dir(made / "data" / split, TASKS)
        assert {u.task.name for u in utterances} == set(TASKS)
        for u in utterances:
            assert u.answers.keys() - _targets(u).keys() == texts.get(u.task.name, set())


@pytest.mark.slow
def test_mixture_is_the_sum_of_its_targets(made):
    for u in _utterances(made, "sep", "sound", "music"):
        targets = _targets(u)
        assert len(targets) >= 2
        total = sum(_samples(spec) for spec in targets.values())
        assert np.abs(total - _samples(u.wav)).max() <= len(targets), u.id


@pytest.mark.slow
def test_enhancement_target_is_in_time_with_the_mixture(made):
    for u in _utterances(made, "enh"):
        target, mixture = _samples(u.answers["speech"]), _samples(u.wav)
        correlation = np.correlate(mixture, target, mode="full")
        assert abs(int(np.argmax(correlation)) - (len(target) - 1)) <= 1, u.id
        assert len(target) == len(mixture)


@pytest.mark.slow
def test_audio_is_loud_enough_and_not_clipped(made):
    for u in _utterances(made, *TASKS):
        waves = [_samples(spec) for spec in u.waves.values()]
        assert 0.45 < max(np.abs(wave).max() for wave in waves) / 32768 < 0.92, u.id
        assert all(np.sqrt(np.mean(wave**2.0)) > 30 for wave in waves), u.id
        assert 0.8 < u.num_samples / 16_000 < 2.8, u.id


@pytest.mark.slow
def test_every_stem_sounds_most_of_the_time(made):
    for u in _utterances(made, "music"):
        for name, spec in _targets(u).items():
            frames = _samples(spec)[:40_000].reshape(-1, 800)
            energy = np.mean(frames**2.0, axis=1)
            assert np.mean(energy > 1e-4 * energy.max()) > 0.5, (u.id, name)


def test_voices_recipes_and_sentences_of_the_splits_are_disjoint():
    levels = mixtures.Levels()
    of_kind = {"speaker": ("asr", "sep", "enh", "sound", "music"), "sentence": ("asr", "st")}
    for kind, tasks in of_kind.items():
        seen: dict[str, set[str]] = collections.defaultdict(set)
        for split, task, index in itertools.product(SPLITS, tasks, range(150)):
            job = mixtures.Job(split, TASKS[task], index)
            draft = mixtures.draft(job, levels, seed=0)
            speakers = set(draft.speaker.split("_"))
            seen[split] |= speakers if kind == "speaker" else {draft.texts["text"]}
        for one, other in itertools.combinations(SPLITS, 2):
            assert not seen[one] & seen[other], kind
    variants = [{voice.variant for voice in voices.voices(split)} for split in SPLITS]
    assert sum(map(len, variants)) == len(set.union(*variants))


def test_training_sentences_hold_every_word_of_the_test():
    words = {}
    for split, count in (("train", 3000), ("test", 300)):
        rng = np.random.default_rng(3)
        pairs = [sentences.draw_sentence(rng, split) for _ in range(count)]
        assert all(3 <= len(english.split()) <= 6 for english, _ in pairs)
        words[split] = [{word for pair in pairs for word in pair[i].split()} for i in (0, 1)]
    assert all(test <= train for train, test in zip(words["train"], words["test"], strict=True))
    assert 80 <= len(words["train"][0]) <= 100


_NOUNS = {noun.word: noun for noun in lexicon.ANIMALS + lexicon.PEOPLE + lexicon.THINGS}
_ADJECTIVES = {adjective.word: adjective for adjective in lexicon.ADJECTIVES}
_ALL_VERBS = lexicon.VERBS_OF_ANYTHING + lexicon.VERBS_OF_THINGS + lexicon.VERBS_OF_PLACES
_VERBS = {verb.base: verb for verb in _ALL_VERBS}
PRESENT, PAST = sentences.Tense.present, sentences.Tense.past


@pytest.mark.parametrize(
    ("determiner", "adjective", "noun", "english", "french"),
    [
        ("the", None, "bird", "the bird", "l'oiseau"),
        ("the", "old", "bird", "the old bird", "le vieil oiseau"),
        ("a", "new", "tree", "a new tree", "un nouvel arbre"),
        ("a", "old", "horse", "an old horse", "un vieux cheval"),
        ("a", "old", "house", "an old house", "une vieille maison"),
        ("a", None, "apple", "an apple", "une pomme"),
        ("a", "red", "apple", "a red apple", "une pomme rouge"),
        ("a", None, "umbrella", "an umbrella", "un parapluie"),
        ("my", None, "star", "my star", "mon étoile"),
        ("my", "big", "star", "my big star", "ma grande étoile"),
        ("my", "white", "star", "my white star", "mon étoile blanche"),
        ("the", "green", "star", "the green star", "l'étoile verte"),
        ("two", "old", "bird", "two old birds", "deux vieux oiseaux"),
        ("three", "new", "horse", "three new horses", "trois nouveaux chevaux"),
        ("two", "white", "key", "two white keys", "deux clés blanches"),
        ("three", "small", "girl", "three small girls", "trois petites filles"),
        ("two", "blue", "book", "two blue books", "deux livres bleus"),
    ],
)
def test_noun_phrases_agree(determiner, adjective, noun, english, french):
    phrase = sentences.noun_phrase(_NOUNS[noun], determiner, _ADJECTIVES.get(adjective))
    assert (phrase.english, phrase.french) == (english, french)


@pytest.mark.parametrize(
    ("verb", "tense", "place", "english", "french"),
    [
        ("sleep", PRESENT, "garden", "i sleep in the garden", "je dors dans le jardin"),
        ("sing", PRESENT, "school", "she sings at the school", "elle chante à l'école"),
        ("play", PAST, "market", "he played at the market", "il a joué au marché"),
        ("play", PRESENT, "park", "we play near the park", "nous jouons près du parc"),
        ("sleep", PAST, "school", "they slept near the school", "ils ont dormi près de l'école"),
        ("sing", PRESENT, "river", "they sing near the river", "ils chantent près de la rivière"),
        ("sing", PAST, "kitchen", "i sang in the kitchen", "j'ai chanté dans la cuisine"),
    ],
)
def test_sentences_with_a_place(verb, tense, place, english, french):
    pronoun, _, preposition, *_ = english.split()
    subject = next(phrase for phrase in lexicon.PRONOUNS if phrase.english == pronoun)
    noun = next(noun for noun in lexicon.PLACES if noun.word == place)
    rest = sentences.place_phrase(preposition, noun)
    assert sentences.clause(subject, _VERBS[verb], tense, rest) == (english, french)


@pytest.mark.parametrize(
    ("verb", "english", "french"),
    [
        ("like", "i like the cat", "j'aime le chat"),
        ("buy", "i buy the cat", "j'achète le chat"),
        ("see", "i see the cat", "je vois le chat"),
    ],
)
def test_first_person_elides_before_a_vowel(verb, english, french):
    cat = sentences.noun_phrase(_NOUNS["cat"], "the", None)
    i = lexicon.PRONOUNS[0]
    assert sentences.clause(i, _VERBS[verb], PRESENT, cat) == (english, french)


def test_every_noun_phrase_agrees_in_gender_and_number():
    for noun, adjective in itertools.product(_NOUNS.values(), _ADJECTIVES.values()):
        for determiner in ("the", "a", "my", "two", "three"):
            if determiner in ("two", "three") and not noun.plural:
                continue
            phrase = sentences.noun_phrase(noun, determiner, adjective)
            words = phrase.french.replace("'", " ").split()
            plural = determiner in ("two", "three")
            form = words[1] if adjective.before else words[2]
            assert len(words) == 3
            assert (form in {adjective.feminine, adjective.feminine + "s"}) >= noun.feminine
            assert (form[-1] in "sx") >= plural
            if not plural and form not in ("vieux",):
                assert form[-1] != "s"


def test_french_never_leaves_a_vowel_without_elision():
    rng = np.random.default_rng(0)
    elided = {"le", "la", "je", "ma", "de", "vieux", "nouveau"}
    for _ in range(500):
        _, french = sentences.draw_sentence(rng, "train")
        for word, following in itertools.pairwise(french.split()):
            clash = word in elided and following[0] in "aeiouéèê"
            assert not (clash and following != "oiseaux"), french


def test_event_classes_sound_different():
    profiles = {}
    for kind in event_classes.KINDS:
        profiles[kind] = []
        for point in (600, 1800):
            rng = np.random.default_rng(point)
            wave = events.render(events.Recipe(kind, point), rng, 24_000)
            assert np.isfinite(wave).all() and np.abs(wave).max() <= 1.0001
            power = np.abs(np.fft.rfft(wave.reshape(-1, 400), axis=1)) ** 2
            spectrum, envelope = power.mean(0), power.mean(1)
            profiles[kind].append(np.log(np.concatenate([spectrum, envelope]) + 1e-6))
    for one, other in itertools.combinations(profiles, 2):
        pairs = itertools.product(profiles[one], profiles[other])
        assert min(np.abs(a - b).mean() for a, b in pairs) > 0.3, (one, other)


def test_noises_differ_in_colour():
    centroid = {}
    for kind in noises.KINDS:
        wave = noises.render(kind, np.random.default_rng(0), 32_000)
        power = np.abs(np.fft.rfft(wave)) ** 2
        centroid[kind] = np.sum(power * np.fft.rfftfreq(32_000, 1 / 16_000)) / np.sum(power)
        assert np.sqrt(np.mean(wave**2)) == pytest.approx(1.0)
    dark_to_bright = [centroid[kind] for kind in ("wind", "pink", "white")]
    assert dark_to_bright == sorted(dark_to_bright)
    assert centroid["brown"] < centroid["wind"] * 1.5


def test_rooms_decay_by_sixty_decibels():
    rir = noises.draw_rir(np.random.default_rng(0), 0.3, 0.3)
    assert np.argmax(np.abs(rir)) == 0
    late, early = np.sum(rir[-480:] ** 2), np.sum(rir[480:960] ** 2)
    assert -66 < 10 * np.log10(late / early) < -30


def test_songs_differ():
    drawn = {songs.draw_song(np.random.default_rng(seed)) for seed in range(50)}
    assert len(drawn) == 50


def test_rerun_makes_only_what_is_missing_or_damaged(tmp_path):
    corpus = tmp_path / "corpus"
    config = make_corpus.CorpusConfig(*(make_corpus.Counts(sound=2) for _ in SPLITS))
    _make(config, tmp_path)
    before = (corpus / "manifest.tsv").read_bytes()
    # Kept: of another utterance.
    missing, damaged, zeroed, *_, kept = sorted(corpus.rglob("sound-*.wav"))
    missing.unlink()
    damaged.write_bytes(damaged.read_bytes()[:100])
    whole = zeroed.read_bytes()
    zeroed.write_bytes(whole[:2000] + bytes(100) + whole[2100:])
    stamp = kept.stat().st_mtime_ns
    _make(config, tmp_path)
    assert kept.stat().st_mtime_ns == stamp
    assert (corpus / "manifest.tsv").read_bytes() == before
    assert damaged.stat().st_size > 100 and zeroed.read_bytes() == whole
    config.train.sound = 3
    _make(config, tmp_path)
    assert kept.stat().st_mtime_ns != stamp
    assert len(read_data_dir(tmp_path / "data" / "train", TASKS)) == 3


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_damaged_manifest_is_made_again(tmp_path, keep):
    config = make_corpus.CorpusConfig(*(make_corpus.Counts(sound=2) for _ in SPLITS))
    _make(config, tmp_path)
    manifest = tmp_path / "corpus" / "manifest.tsv"
    before = manifest.read_bytes()
    manifest.write_bytes(before[: keep if keep > 1 else int(keep * len(before))])
    _make(config, tmp_path)
    assert manifest.read_bytes() == before


def test_finished_corpus_is_left_alone(tmp_path):
    config = make_corpus.CorpusConfig(*(make_corpus.Counts(music=2) for _ in SPLITS))
    _make(config, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    manifest = (tmp_path / "corpus" / "manifest.tsv").stat().st_mtime_ns
    _make(config, tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    assert manifest == (tmp_path / "corpus" / "manifest.tsv").stat().st_mtime_ns


def test_foreign_folder_is_not_touched(tmp_path):
    corpus = tmp_path / "corpus"
    (corpus / "train").mkdir(parents=True)
    with pytest.raises(AioError, match="stamp"):
        _make(_config(), tmp_path)
    assert (corpus / "train").is_dir()
