"""The rules of the house, each on a small package that breaks it and on aista itself."""

import pytest

from tools.structure import circles, long_functions, main, private_imports, read_package, same_names


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "house"

    def write(**files):
        for name, source in {"__init__": "", **files}.items():
            file = folder.joinpath(*name.split("__", 1)) if "__" in name.strip("_") else folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.with_suffix(".py").write_text(source)
        return read_package(folder)

    return write


def test_a_circle_is_found_around_corners_and_in_lazy_imports(package):
    modules = package(
        a="from house.b import x",
        b="def f():\n    from house import c",
        c="import house.a",
        d="from house.a import y",
    )
    assert circles(modules) == [["house.a", "house.b", "house.c"]]


def test_a_chain_is_no_circle(package):
    assert circles(package(a="import house.b\nimport house.c", b="import house.c", c="x = 1")) == []


def test_private_names_and_modules_of_neighbours(package):
    modules = package(
        a="from house import _b\nfrom house.c import _x, y\nfrom house import __version__",
        _b="",
        c="_x = y = 1",
    )
    assert private_imports(modules) == ["house.a imports house._b", "house.a imports house.c._x"]


def test_two_files_of_one_name(package):
    component = "@register('k', 'n')\ndef f(): ..."
    modules = package(
        a__probe="",
        b__probe="",
        a__base="",
        b__base="",
        a__linear=component,
        b__linear=component,
        cli__train="",
        b__train="",
    )
    assert same_names(modules) == [["house.a.probe", "house.b.probe"]]


def test_a_component_beside_a_plain_file_of_its_name_is_named(package):
    assert same_names(package(a__ctc="@register('k', 'ctc')\ndef f(): ...", b__ctc="")) == [
        ["house.a.ctc", "house.b.ctc"]
    ]


def test_long_functions_are_measured_without_their_docstring(package):
    body = "\n".join(f"    x{i} = 1" for i in range(9))
    modules = package(a=f'def f():\n    """One.\n\n    Two.\n    """\n{body}', b=f"def g():\n{body}")
    assert long_functions(modules, 9) == [(10, "house.b.g"), (10, "house.a.f")]
    assert long_functions(modules, 10) == []


def test_the_command_prints_rooms_and_rules(package, monkeypatch, capsys, tmp_path):
    package(a__x="from house.b import y", b__y="z = 1\n")
    monkeypatch.setattr("sys.argv", ["structure", str(tmp_path / "house")])
    main()
    out = capsys.readouterr().out
    assert "all" in out
    assert "Circles of files: 0" in out
