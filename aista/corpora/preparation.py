"""Shared code of dataset preparations: reports, SentencePiece models, resumable fingerprinted folders.

A preparation writes into one folder, first ``fingerprint.json`` with its options and ``complete:
false``, then everything else, file by file and atomically, and last ``checksums.txt`` (as
``sha256sum --check`` reads it) and the completed fingerprint. So an interrupted preparation goes on
where it stopped, and a finished one is only verified.
"""

from __future__ import annotations

import hashlib
import io
import json
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sentencepiece

from aista.data.manifest import MANIFEST_SAMPLE_RATE, Row, write_manifest
from aista.errors import DataError
from aista.files import hash_file, leftover_pattern, replacing, require_writable, write_json, write_text

__all__ = [
    "BOS_ID",
    "EOS_ID",
    "PAD_ID",
    "UNK_ID",
    "Folder",
    "PreparationReport",
    "Progress",
    "one_line",
    "require_rows",
    "train_sentencepiece",
    "train_tokenizers",
]

UNK_ID = 0
BOS_ID = 1
EOS_ID = 2
PAD_ID = 3
MAX_CHARACTERS = 10_000
LONGEST_SENTENCE = 1 << 20  # bytes; SentencePiece passes over longer ones
FORMAT = 1
FINGERPRINT = "fingerprint.json"
CHECKSUMS = "checksums.txt"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PreparationReport:
    """Report of a preparation.

    Attributes:
        out: The prepared folder.
        counts: Rows per manifest, e.g. ``{"train": 2000}``.
        hours: Hours of speech per manifest.
        dropped: Ids of the rows left out, by reason.
        files: Files written, relative to ``out``; audio counts as its folder.
        fingerprint: Hash over options and all files.
        noted: Ids of rows that were kept and that one should know about, by reason.
        reused: Whether the folder was already complete, so that nothing was written.
    """

    out: Path
    counts: dict[str, int]
    hours: dict[str, float]
    dropped: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    fingerprint: str = ""
    noted: dict[str, list[str]] = field(default_factory=dict)
    reused: bool = False

    @classmethod
    def of(
        cls,
        out: Path,
        manifests: Mapping[str, Sequence[Row]],
        dropped: Mapping[str, list[str]] | None = None,
        noted: Mapping[str, list[str]] | None = None,
    ) -> PreparationReport:
        """The report on rows by manifest; reasons without a row are left out."""
        counts = {name: len(rows) for name, rows in manifests.items()}
        frames = {name: sum(row.n_frames for row in rows) for name, rows in manifests.items()}
        hours = {name: total / MANIFEST_SAMPLE_RATE / 3600 for name, total in frames.items()}
        reasons = [{reason: ids for reason, ids in sorted((one or {}).items()) if ids} for one in (dropped, noted)]
        return cls(out, counts, hours, reasons[0], noted=reasons[1])

    def __str__(self) -> str:
        lines = [f"{self.out}: " + ("already prepared, all files verified" if self.reused else "prepared")]
        lines += [f"  {name}: {count} rows, {self.hours[name]:.2f} h" for name, count in self.counts.items()]
        lines += [f"  left out: {len(ids)} rows ({reason})" for reason, ids in self.dropped.items()]
        lines += [f"  noted: {len(ids)} rows ({reason})" for reason, ids in self.noted.items()]
        return "\n".join([*lines, f"  files: {', '.join(self.files)}", f"  fingerprint: {self.fingerprint}"])


def require_rows(
    dataset: str, manifests: Mapping[str, Sequence[Row]], dropped: Mapping[str, Sequence[str]], remedy: str = ""
) -> None:
    """Raise DataError if a manifest would be empty, with the reasons for which rows were left out."""
    missing = [name for name, rows in manifests.items() if not rows]
    if missing:
        counts = ", ".join(f"{len(ids)} rows: {reason}" for reason, ids in sorted(dropped.items()) if ids)
        raise DataError(
            f"{dataset}: no usable row is left for {', '.join(missing)} ({counts or 'none was left out'}){remedy}"
        )


def one_line(text: str) -> str:
    """Normalise a text for manifests: Unicode NFC, single spaces, no line breaks, stripped."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def train_sentencepiece(
    path: Path,
    sentences: Iterable[str],
    *,
    vocab_size: int,
    symbols: Iterable[str],
    model_type: str = "bpe",
    is_exact: bool = True,
    character_coverage: float = 1.0,
    normalization: str = "nmt_nfkc",
) -> None:
    """Train a model on sentences of all languages and write it atomically.

    Ids 0 to 3 are unk, bos, eos, pad; ``symbols`` follow.

    Args:
        path: The file.
        sentences: Training sentences.
        vocab_size: Number of pieces.
        symbols: Texts that are one piece each.
        model_type: ``bpe``, ``unigram`` or ``char``.
        is_exact: Otherwise there are fewer pieces where the sentences hold fewer; always so with ``char``.
        character_coverage: Share of the characters that get a piece.
        normalization: SentencePiece's name of it, e.g. ``nmt_nfkc_cf``, which folds case.

    Raises:
        DataError: the sentences hold too few distinct pieces for ``vocab_size``, or more characters.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=model_type,
            vocab_size=vocab_size,
            hard_vocab_limit=is_exact and model_type != "char",
            character_coverage=character_coverage,
            normalization_rule_name=normalization,
            max_sentence_length=LONGEST_SENTENCE,
            user_defined_symbols=list(symbols),
            unk_id=UNK_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            pad_id=PAD_ID,
            num_threads=1,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise DataError(f"{path.name}: cannot train {vocab_size} pieces ({error}); choose another vocab_size") from None
    with replacing(path) as temporary:
        temporary.write_bytes(model.getvalue())


def train_tokenizers(out: Path, rows: Sequence[Row], vocab_size: int, *, of_transcripts: bool = False) -> None:
    """Train ``spm.model`` on both texts of the rows; for CTC, ``spm_source.model``, the transcripts' characters."""
    symbols = sorted({f"<{row.tgt_lang}>" for row in rows})
    texts = [text for row in rows for text in (row.src_text, row.tgt_text)]
    train_sentencepiece(out / "spm.model", texts, vocab_size=vocab_size, symbols=symbols)
    if of_transcripts:
        transcripts = [row.src_text for row in rows]
        train_sentencepiece(
            out / "spm_source.model", transcripts, vocab_size=MAX_CHARACTERS, symbols=symbols, model_type="char"
        )


class Folder:
    """A dataset folder under preparation: recognises, resumes, verifies and seals it."""

    def __init__(self, out: Path, dataset: str, options: Mapping[str, Any]) -> None:
        self.out = out
        self._identity = {"format": FORMAT, "dataset": dataset, "options": json.loads(json.dumps(options))}

    def finished(self) -> PreparationReport | None:
        """The report of an earlier, complete preparation with the same options; None if there is work to do.

        Raises:
            DataError: the folder holds something else, another configuration, or changed files.
        """
        path = self.out / FINGERPRINT
        if not path.is_file():
            if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
                raise DataError(f"{self.out}: not a prepared dataset (no {FINGERPRINT}) and not empty; choose another")
            return None
        record = self._read_fingerprint(path)
        for key, value in self._identity.items():
            if record.get(key) != value:
                raise DataError(
                    f"{self.out}: already prepared with {key} {record.get(key)!r}, asked for {value!r}; "
                    "choose another folder or delete this one"
                )
        if not record.get("complete") or not self._verify(record["fingerprint"]):
            return None
        return PreparationReport(self.out, **record["report"], fingerprint=record["fingerprint"], reused=True)

    def start(self) -> None:
        """Mark the folder as under preparation with these options, and remove leftovers of an interruption."""
        require_writable(self.out)
        for leftover in self.out.rglob(leftover_pattern()):
            leftover.unlink()
        self._write_fingerprint({"complete": False})

    def finish(
        self,
        manifests: Mapping[str, Sequence[Row]],
        readme: str,
        *,
        dropped: Mapping[str, list[str]] | None = None,
        noted: Mapping[str, list[str]] | None = None,
        origins: Mapping[str, str] | None = None,
        **values: object,
    ) -> PreparationReport:
        """Write the manifests and ``README.md``, and seal the folder.

        Args:
            manifests: Rows by manifest.
            readme: Template of ``values`` and of lines of tables: ``manifests``, ``dropped`` and ``noted``.
            dropped: Ids of the rows left out, by reason.
            noted: Ids of rows that one should know about, by reason.
            origins: A further column of the table ``manifests``.
            values: Other values of the template.
        """
        for name, rows in manifests.items():
            write_manifest(self.out / f"{name}.tsv", rows)
        report = PreparationReport.of(self.out, manifests, dropped, noted)
        sizes = [f"| {name} | {count} | {report.hours[name]:.2f} |" for name, count in report.counts.items()]
        if origins is not None:
            sizes = [f"{line} {origins[name]} |" for line, name in zip(sizes, manifests, strict=True)]
        tables = {"manifests": "\n".join(sizes), "dropped": _table(report.dropped), "noted": _table(report.noted)}
        write_text(self.out / "README.md", readme.format(**tables, **values))
        return self.seal(report)

    def seal(self, report: PreparationReport) -> PreparationReport:
        """Write checksums and the completed fingerprint; returns the report with files and fingerprint."""
        paths = sorted(path for path in self.out.rglob("*") if path.is_file())
        # Hidden files are caches that others keep beside manifests.
        paths = [path for path in paths if not path.name.startswith(".")]
        names = [path.relative_to(self.out).as_posix() for path in paths]
        own = {FINGERPRINT, CHECKSUMS}
        lines = [f"{hash_file(path)}  {name}" for path, name in zip(paths, names, strict=True) if name not in own]
        write_text(self.out / CHECKSUMS, "\n".join(lines) + "\n")
        fingerprint = self._digest()
        kept = {key: value for key, value in asdict(report).items() if key in ("counts", "hours", "dropped", "noted")}
        kept["files"] = sorted({name.split("/")[0] for name in names} | own)
        self._write_fingerprint({"complete": True, "fingerprint": fingerprint, "report": kept})
        return PreparationReport(self.out, **kept, fingerprint=fingerprint)

    def _verify(self, fingerprint: str) -> bool:
        """Whether all files exist unchanged; False if some are missing and can be made again."""
        missing = not (self.out / CHECKSUMS).is_file()
        changed = [] if missing or self._digest() == fingerprint else [CHECKSUMS]
        lines = [] if missing or changed else (self.out / CHECKSUMS).read_text("utf-8").splitlines()
        for line in lines:
            digest, name = line.split("  ", 1)
            path = self.out / name
            if not path.is_file():
                missing = True
            elif hash_file(path) != digest:
                changed.append(name)
        if changed:
            shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
            raise DataError(f"{self.out}: changed since it was prepared: {shown}; delete what changed to recreate it")
        return not missing

    def _digest(self) -> str:
        identity = json.dumps(self._identity, sort_keys=True).encode()
        return hashlib.sha256(identity + (self.out / CHECKSUMS).read_bytes()).hexdigest()

    def _read_fingerprint(self, path: Path) -> dict[str, Any]:
        try:
            data = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise DataError(f"{path}: not valid JSON ({error}); delete the folder and prepare it again") from None
        if not isinstance(data, dict):
            raise DataError(f"{path}: expects a JSON object; delete the folder and prepare it again")
        return data

    def _write_fingerprint(self, state: Mapping[str, Any]) -> None:
        write_json(self.out / FINGERPRINT, {**self._identity, **state})


def _table(reasons: Mapping[str, list[str]]) -> str:
    return "\n".join(f"| {reason} | {len(ids)} |" for reason, ids in reasons.items()) or "| (none) | 0 |"
