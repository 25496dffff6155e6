import pytest

from aista.modules.prompt import parse_template


def test_splits_at_the_placeholder_and_keeps_white_space():
    assert parse_template("Translate: {speech} \nFrench:") == ("Translate: ", " \nFrench:")
    assert parse_template("{speech}") == ("", "")


@pytest.mark.parametrize(
    ("template", "found"), [("Translate this", "has none"), ("{speech} and {speech}", "has it 2 times")]
)
def test_wrong_templates_say_what_is_wrong(template, found):
    with pytest.raises(ValueError, match=f"exactly one {{speech}}.*{found}"):
        parse_template(template)
