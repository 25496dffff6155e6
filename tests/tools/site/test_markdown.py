import markdown
import pytest

from aista.describe import OptionText
from tools.site.markdown import escaped, option_lines

TEXTS = ["[llm] of <P, C>", "{speech} and `a_b|c`, |x|", "2 * S * T, x_1 and y_1", r"back\slash"]


@pytest.mark.parametrize("text", TEXTS)
def test_escaped_texts_read_as_written(text):
    html = markdown.markdown(escaped(text))
    for tag, plain in (
        ("<p>", ""),
        ("</p>", ""),
        ("<code>", "`"),
        ("</code>", "`"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#124;", "|"),
    ):
        html = html.replace(tag, plain)
    assert html == text


def test_options_within_options_are_indented():
    inner = OptionText("depth", "int = 2", "How deep.")
    outer = OptionText("cost", "cost component", "The cost.", kind="cost", beside=(inner,), within=(inner,))
    html = markdown.markdown(
        "\n".join(option_lines([outer], {"cost": "[cosine](cost.md#cosine)"})), extensions=["def_list"]
    )
    assert html.count("<dt>") == 3
    assert html.count("<dl>") == 2
    assert 'The cost. One of: <a href="cost.md#cosine">cosine</a>.' in html
