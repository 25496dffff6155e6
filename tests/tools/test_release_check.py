"""What is said of a release in several files agrees."""

from tools.release_check import ROOT, changelog_versions, faults

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n- x\n\n## [0.1.0] - 2026-01-01\n"


def test_dated_sections_are_versions():
    assert changelog_versions(CHANGELOG) == ["0.2.0", "0.1.0"]


def test_a_version_is_said_alike():
    assert faults("0.2.0", CHANGELOG, "version: 0.2.0") == []
    first, second = faults("0.1.0", CHANGELOG, "version: 0.2.0")
    assert first.startswith("CHANGELOG.md: its first dated section must be '## [0.1.0] - YYYY-MM-DD'")
    assert second == "CITATION.cff: version must be 0.1.0, aista.__version__, got 0.2.0"


def test_the_citation_names_the_version_of_the_package():
    import aista

    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    released = f"## [{aista.__version__}] - 2026-12-01"
    assert faults(aista.__version__, released, citation) == []
