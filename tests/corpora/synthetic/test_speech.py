import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from aista.corpora.synthetic.speech import SAMPLE_RATE, VOICES, Speaker, draw_delivery
from aista.errors import DataError

TEXT = "the old teacher gives his sister a red book"
# f2, f3 and f5 use espeak-ng's noise generator, which the clock would seed.
NOISY = "en-gb+f5"


@pytest.fixture(scope="module")
def speaker():
    with Speaker() as speaker:
        yield speaker


def test_speech_depends_on_its_arguments_alone(speaker: Speaker) -> None:
    for voice in (NOISY, "en-us+m1", "en-gb-x-rp+f4"):
        delivery = draw_delivery("1/a", (voice,))
        first = speaker.speak(TEXT, delivery).samples
        speaker.speak("something else entirely", draw_delivery("1/b"))
        np.testing.assert_array_equal(first, speaker.speak(TEXT, delivery).samples)


def test_speech_is_the_same_in_another_process(speaker: Speaker) -> None:
    program = (
        "import sys, hashlib\n"
        "from aista.corpora.synthetic.speech import Speaker, draw_delivery\n"
        "with Speaker() as s:\n"
        f"    wave = s.speak({TEXT!r}, draw_delivery('1/a', ({NOISY!r},))).samples\n"
        "sys.stdout.buffer.write(wave.tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    expected = speaker.speak(TEXT, draw_delivery("1/a", (NOISY,))).samples
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.int16), expected)


def test_every_voice_speaks_and_sounds_different(speaker: Speaker) -> None:
    base = draw_delivery("1/a")
    waves = [speaker.speak("a cat", replace(base, voice=voice)).samples for voice in VOICES]
    assert len({wave.tobytes() for wave in waves}) == len(VOICES) >= 20
    assert all(0.3 < len(wave) / SAMPLE_RATE < 3 for wave in waves)


def test_rate_gain_and_noise_are_obeyed(speaker: Speaker) -> None:
    base = replace(draw_delivery("1/a", ("en-us+m1",)), rate=150, gain=0.5, snr=60)
    wave = speaker.speak(TEXT, base).samples
    assert len(speaker.speak(TEXT, replace(base, rate=300)).samples) < 0.7 * len(wave)
    assert np.abs(wave.astype(np.int32)).max() == pytest.approx(0.5 * 32767, rel=0.02)
    noisy = speaker.speak(TEXT, replace(base, snr=20)).samples.astype(float) - wave
    ratio = np.mean(np.square(wave.astype(float))) / np.mean(np.square(noisy))
    assert 10 * np.log10(ratio) == pytest.approx(20, abs=0.5)


def test_words_begin_where_they_are_heard(speaker: Speaker) -> None:
    """A pause before "dog" ends where its time begins, at any rate of speech."""
    base = replace(draw_delivery("1/a", ("en-us+m1",)), snr=60)
    for rate in (120, 240):
        samples, times = speaker.speak("the red cat, dog", replace(base, rate=rate))
        assert len(times) == 4
        start = int(times[3][0] * SAMPLE_RATE)
        before, after = (samples[slice(*part)].astype(float) for part in ((start - 800, start), (start, start + 1600)))
        assert np.sqrt(np.mean(before**2)) < 0.1 * np.sqrt(np.mean(after**2))
        assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(times))
        assert times[3][1] <= len(samples) / SAMPLE_RATE


def test_words_spoken_as_one_share_their_time(speaker: Speaker) -> None:
    for text in ("he did not wait", "they no longer wait"):
        times = speaker.speak(text, draw_delivery("1/a", ("en-us+m1",))).word_times
        assert len(times) == 4
        assert times[1] == times[2]
        assert (times[0][1], times[2][1]) == (times[1][0], times[3][0])


def test_another_seed_is_another_delivery() -> None:
    assert draw_delivery("1/a") == draw_delivery("1/a")
    assert draw_delivery("1/a") != draw_delivery("2/a")


@pytest.mark.parametrize("voice", ["en-us+nosuch", "xx-yy", "../../etc+f1"])
def test_unknown_voice_is_reported(speaker: Speaker, voice: str) -> None:
    with pytest.raises(DataError, match=r"no voice .*use a language and variant"):
        speaker.speak(TEXT, replace(draw_delivery("1/a"), voice=voice))


def test_text_without_words_is_reported(speaker: Speaker) -> None:
    with pytest.raises(DataError, match="spoke nothing for ''"):
        speaker.speak("", draw_delivery("1/a"))
