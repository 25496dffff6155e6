import pytest

from aista.modules.name_patterns import matching

NAMES = ("llm.layers.0.q_proj.weight", "llm.layers.10.q_proj.weight", "llm_head.weight", "encoder.mix.weights")


@pytest.mark.parametrize(
    ("pattern", "whole", "expected"),
    [
        ("llm", False, NAMES[:3]),
        ("llm", True, NAMES[:2]),
        (r"llm\.layers\.1", False, NAMES[1:2]),
        (r"llm\.layers\.1", True, ()),
        (r".*\.weight", True, NAMES[:3]),
        ("lm", False, ()),
        (r"(?!llm\.).*", True, NAMES[2:]),
        (r"(l)\1.*", True, NAMES[:3]),
        ("llm_head|encoder", True, NAMES[2:]),
        ("", False, NAMES),
        ("\ud800", True, ()),
    ],
)
def test_names_that_a_pattern_matches(pattern, whole, expected):
    assert matching(pattern, NAMES, whole=whole) == set(expected)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("llm[", r"'llm\[' is not a regular expression: unterminated character set at position 3"),
        ("(" * 5000 + ")" * 5000, "is not a regular expression: maximum recursion depth exceeded"),
        ("a{99999999999}", "is not a regular expression: the repetition number is too large"),
        ("(?u)(?a)x", "is not a regular expression: "),
        ("[" + "x" * 1000, r"x\.\.\. \(1,003 characters\) is not a regular expression: unterminated character set"),
        ("(?:(?:.?){5000}){5000}", "takes more than 1 s or 512 MiB to match"),
        (r"((\w|\.)+)+!", "takes more than 1 s or 512 MiB to match; write it without nested or repeated"),
        (".*" * 20 + "!", "takes more than 1 s or 512 MiB to match"),
    ],
)
@pytest.mark.parametrize("whole", [False, True])
def test_patterns_that_are_none_or_never_end(pattern, problem, whole):
    with pytest.raises(ValueError, match=problem):
        matching(pattern, ("llm.model.model.layers.31.self_attn.q_proj.weight",), whole=whole)
