"""Splits recordings into pieces that a model translates at a time: whole files, or segments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aista.data.audio import one_thread
from aista.data.audio_file import TooLongAudioError
from aista.data.data_config import DataConfig
from aista.data.examples import Example
from aista.data.features.base import Feature
from aista.data.manifest import MANIFEST_SAMPLE_RATE, Row
from aista.data.recorded import Recorded, read_recorded, stream_recorded
from aista.data.row_checks import Limit, RowChecks, duration_findings
from aista.data.segmenters.base import CountedBlocks, Segment, Segmenter
from aista.errors import DataError

__all__ = ["Piece", "PieceReader", "clock"]

log = logging.getLogger("aista.translate")

_NOTHING = Segment(0.0, 0.0)


@dataclass(frozen=True)
class Piece:
    """A part of a recording, ready to be decoded.

    Attributes:
        file: The recording: its path as it was given, or the name of what is in memory.
        segment: The part of it; of no length where the recording could not be read.
        example: Input to decode; None where there is a problem, and for digital silence, whose translation is empty.
        problem: Why it cannot be decoded, with its place; empty where it can.
        share: Of the recording, what ends with this piece: 1 for the last one, and less for the others.
    """

    file: str
    segment: Segment = _NOTHING
    example: Example | None = None
    problem: str = ""
    share: float = 1.0


@dataclass(frozen=True)
class PieceReader:
    """Reads the pieces of recordings and checks each by the rules for rows of a manifest.

    Attributes:
        config: Bounds on durations.
        feature: Turns waveforms into the model's input.
        limits: Bounds that the model sets.
        segmenter: Cuts recordings; None takes each as one piece.
        report: Called with the seconds of a recording that the segmenter has seen.
        transcript: Its transcript, where the model needs that, too.
    """

    config: DataConfig
    feature: Feature
    limits: Sequence[Limit]
    segmenter: Segmenter | None = None
    report: Callable[[float], None] | None = None
    transcript: str = ""

    def pieces(self, recorded: Recorded) -> Iterator[Piece]:
        """The pieces of one recording, in order, at least one. The audio of one piece is in memory at a time."""
        file = str(recorded)
        if self.segmenter is None:
            yield self._whole(recorded)
            return
        try:
            segments, seconds = self._segments(recorded, self.segmenter)
            _say_what_is_kept(file, segments, seconds)
            if not segments:
                yield Piece(file, problem=_no_speech(file, seconds))
            for segment, wave_W in self._cut(recorded, segments):
                share = 1.0 if segment is segments[-1] else min(segment.end / seconds, 0.999)
                yield self._piece(file, segment, wave_W, share)
        except DataError as error:
            yield Piece(file, problem=str(error))

    def _segments(self, recorded: Recorded, segmenter: Segmenter) -> tuple[list[Segment], float]:
        """The segments of a recording, all of which was decoded, and its duration."""
        rate, report = segmenter.sample_rate, self.report
        count = None if report is None else lambda samples: report(samples / rate)
        with one_thread():
            blocks = CountedBlocks(stream_recorded(recorded, rate), count)
            segments = segmenter.segments(blocks, self.config.max_seconds)
        return segments, blocks.samples / rate

    def _whole(self, recorded: Recorded) -> Piece:
        file = str(recorded)
        try:
            with one_thread():
                wave_W = read_recorded(recorded, self.feature.sample_rate, max_seconds=self.config.max_seconds)
        except TooLongAudioError as error:
            return Piece(file, problem=f"{error}, or have it cut by --segment vad")
        except DataError as error:
            return Piece(file, problem=str(error))
        return self._piece(file, Segment(0.0, len(wave_W) / self.feature.sample_rate), wave_W)

    def _cut(self, recorded: Recorded, segments: Sequence[Segment]) -> Iterator[tuple[Segment, Tensor]]:
        """Decode the recording again, a block at a time; the waveform of each segment."""
        rate = self.feature.sample_rate
        blocks = stream_recorded(recorded, rate)
        held_W, start = torch.zeros(0), 0  # samples from `start` on
        for segment in segments:
            first = round(segment.start * rate)
            behind = min(round(segment.end * rate), first + int(self.config.max_seconds * rate))
            while start + len(held_W) < behind:
                with one_thread():
                    block_W = next(blocks, None)
                if block_W is None:
                    break
                passed = min(len(held_W), max(0, first - start))
                held_W, start = torch.cat([held_W[passed:], block_W]), start + passed
            wave_W = held_W[first - start : behind - start].clone()
            if len(wave_W) < behind - first - 1:  # one for rounding
                raise DataError(f"{recorded}: has become shorter while it was read; translate it again")
            yield segment, wave_W

    def _piece(self, file: str, segment: Segment, wave_W: Tensor, share: float = 1.0) -> Piece:
        place = file if self.segmenter is None else f"{file} from {clock(segment.start)} to {clock(segment.end)}"
        seconds = len(wave_W) / self.feature.sample_rate
        row = Row(file, file, round(seconds * MANIFEST_SAMPLE_RATE), "", src_text=self.transcript)
        findings = duration_findings(seconds, self.config)
        findings += RowChecks(self.config, limits=tuple(self.limits)).of_limits(row, seconds)
        if findings:
            return Piece(file, segment, problem=f"{place}: {findings[0][1]}", share=share)
        if not wave_W.any():
            return Piece(file, segment, share=share)
        try:
            with one_thread():
                features = self.feature(wave_W)
        except ValueError as error:
            return Piece(file, segment, problem=f"{place}: {error}", share=share)
        return Piece(file, segment, Example(place, features, [], [], "", ""), share=share)


def clock(seconds: float, point: str = ".") -> str:
    """Seconds as ``HH:MM:SS.mmm``, with another decimal ``point`` where a format has one."""
    whole, milliseconds = divmod(round(1000 * seconds), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"


def _say_what_is_kept(file: str, segments: Sequence[Segment], seconds: float) -> None:
    kept = sum(segment.seconds for segment in segments)
    log.info("%s: %d segments, which hold %s of its %s", file, len(segments), clock(kept), clock(seconds))


def _no_speech(file: str, seconds: float) -> str:
    return (
        f"{file}: no speech was found in its {seconds:.1f} s; lower the segmenter's threshold, or translate all "
        "of it with --segment fixed"
    )
