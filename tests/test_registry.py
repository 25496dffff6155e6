import functools
import importlib
import inspect
import sys
from dataclasses import dataclass, fields
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

import aista
from aista import plugins, registry
from aista.errors import ConfigError, PluginError, RegistryError
from aista.files import hash_file
from aista.kinds import KINDS
from aista.schema import Component, Options, component, option, required, resolve


@pytest.fixture(autouse=True)
def _fruit(define_kind):
    define_kind("fruit", dependencies=("size",))


@dataclass(frozen=True, kw_only=True)
class AppleConfig:
    sweetness: float = option(0.5, "How sweet.", minimum=0)


def register_apple():
    @registry.register("fruit", "apple", config=AppleConfig)
    def apple(config, *, size=1):
        if size < 0:
            raise ValueError(f"size must not be negative, got {size}")
        return ("apple", config.sweetness, size)

    return apple


def test_build_passes_options_and_dependencies():
    register_apple()
    assert registry.build("fruit", Component("apple", AppleConfig(sweetness=0.9)), size=3) == ("apple", 0.9, 3)
    assert registry.build("fruit", Component("apple")) == ("apple", 0.5, 1)


def test_a_component_without_options_is_called_without_them():
    registry.register("fruit", "fig")(lambda **dependencies: dependencies)
    assert registry.build("fruit", Component("fig"), size=2) == {"size": 2}


def test_dependencies_go_to_those_who_name_them():
    registry.register("fruit", "tea")(lambda *, size: {"size": size})
    registry.register("fruit", "cola")(lambda *, size, ice: {"size": size, "ice": ice})
    assert registry.build("fruit", Component("tea"), size=2, ice=True) == {"size": 2}
    assert registry.build("fruit", Component("cola"), size=2, ice=True) == {"size": 2, "ice": True}


def test_a_dataclass_is_its_own_options():
    @registry.register("fruit", "cherry")
    @dataclass(frozen=True, kw_only=True)
    class Cherry(Options):
        stones: int = option(1, "How many.", minimum=0)

    assert registry.get("fruit", "cherry").config is Cherry
    assert registry.build("fruit", Component("cherry"), size=2) == Cherry(stones=1)
    spec = resolve("fruit", {"name": "cherry", "config": {"stones": 3}})
    assert registry.build("fruit", spec) is spec.config


def test_unknown_name_lists_what_is_known_and_the_nearest():
    register_apple()
    with pytest.raises(
        ConfigError, match=r"salad\.name: unknown fruit 'aple' \(did you mean 'apple'\?\); known: apple"
    ):
        registry.build("fruit", Component("aple"), at="salad")
    with pytest.raises(RegistryError, match=r"unknown kind 'friut' \(did you mean 'fruit'\?\); known: .*encoder"):
        registry.get("friut", "apple")


def test_a_rejected_option_names_its_place():
    register_apple()
    with pytest.raises(ConfigError, match=r"salad\[0\]\.config: size must not be negative, got -1"):
        registry.build("fruit", Component("apple"), at="salad[0]", size=-1)


def test_a_rejected_option_of_a_nested_component_names_the_whole_path():
    register_apple()

    @dataclass(frozen=True, kw_only=True)
    class BowlConfig:
        first: Component = component("fruit", "apple", "The first fruit.")

    @registry.register("fruit", "bowl", config=BowlConfig)
    def bowl(config, *, size):
        return registry.build("fruit", config.first, at="first", size=size)

    @registry.register("fruit", "table", config=BowlConfig)
    def table(config, *, size):
        return registry.build("fruit", config.first, at="first", size=size)

    spec = resolve("fruit", {"name": "table", "config": {"first": "bowl"}})
    with pytest.raises(ConfigError, match=r"meal\.config\.first\.config\.first\.config: size must not be negative"):
        registry.build("fruit", spec, at="meal", size=-1)


def test_missing_required_options_are_faults():
    @dataclass(frozen=True, kw_only=True)
    class PearConfig:
        tree: str = required("The tree.")
        branch: str = required("The branch.")

    registry.register("fruit", "pear", config=PearConfig)(lambda config: config)
    with pytest.raises(ConfigError, match=r"fruit\.config\.tree: is required\n.*fruit\.config\.branch: is required"):
        registry.build("fruit", Component("pear"))


def test_plain_options_are_a_programming_error():
    register_apple()
    with pytest.raises(TypeError, match=r"fruit\.config: expects AppleConfig, got \{'sweetness': 1\}"):
        registry.build("fruit", Component("apple", {"sweetness": 1}))


def test_a_taken_name_says_who_has_it():
    register_apple()

    def other(config):
        return config

    remedy = r"already registered by .*test_registry\.py:\d+ \(register_apple.*\); register .*other under another name"
    with pytest.raises(RegistryError, match=rf"'apple' is {remedy}"):
        registry.register("fruit", "apple")(other)


def test_registering_the_same_function_again_is_no_duplicate():
    register_apple()
    second = register_apple()
    assert registry.get("fruit", "apple").factory is second


def test_options_must_be_a_dataclass():
    for config in (dict, AppleConfig()):
        with pytest.raises(RegistryError, match="fruit 'plum': config must be a dataclass, got"):
            registry.register("fruit", "plum", config=config)


def test_nested_defaults_come_out_structured():
    register_apple()

    @dataclass(frozen=True, kw_only=True)
    class SaladConfig:
        first: Component = component("fruit", "apple", "The first fruit.")

    registry.register("fruit", "salad", config=SaladConfig)(lambda config: config)
    assert registry.build("fruit", Component("salad")).first.config == AppleConfig()


PLUGIN = """
from aista.registry import register

@register("fruit", "kiwi")
def kiwi():
    return "kiwi"
"""


def test_a_plugin_file_registers_its_components_once(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(PLUGIN + "\ncount = globals().get('count', 0) + 1\n")
    registry.load_plugins(["mine.py"], base=tmp_path)
    registry.load_plugins([tmp_path / "mine.py"])
    assert registry.build("fruit", Component("kiwi")) == "kiwi"
    module = sys.modules[registry.get("fruit", "kiwi").factory.__module__]
    assert module.count == 1
    assert module.__file__ == str(tmp_path / "mine.py")


def test_two_plugin_files_of_one_name_do_not_shadow_each_other(tmp_path):
    for folder, name in (("a", "kiwi"), ("b", "lime")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(PLUGIN.replace("kiwi", name))
    registry.load_plugins(["a/mine.py", "b/mine.py"], base=tmp_path)
    assert [entry.name for entry in registry.entries("fruit")] == ["kiwi", "lime"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no luck')", "1: RuntimeError: no luck"),
        ("import json\n\njson.loads('no luck')", "3: JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        ("import does_not_exist", "1: ModuleNotFoundError: No module named 'does_not_exist'"),
        ("x = 1\ndef broken(:", "2: SyntaxError: invalid syntax"),
        ("x = '\\x00'\n  y = 2", "2: IndentationError: unexpected indent"),
        ("raise SystemExit(3)", "1: SystemExit: 3"),
        ("from aista.registry import register\nregister('friut', 'x')", "2: unknown kind 'friut'"),
        ("from aista.registry import register\nregister('cost')", "2: TypeError: register() missing"),
    ],
)
def test_a_broken_plugin_is_fatal_and_its_line_named_every_time(tmp_path, monkeypatch, source, reason):
    (tmp_path / "broken.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with pytest.raises(PluginError) as caught:
            registry.load_plugins(["broken.py"])
        assert caught.value.reason.startswith(f"broken.py:{reason}")
        assert str(caught.value).startswith("plug-in broken.py:")
        assert str(caught.value).endswith("`aista check broken.py` tests it, PYTHONDEVMODE=1 shows the traceback")


def test_a_helper_with_bad_syntax_is_named_itself(tmp_path, monkeypatch):
    (tmp_path / "helper_of_mine.py").write_text("\n\ndef broken(:")
    (tmp_path / "mine.py").write_text("import helper_of_mine")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"plug-in .*helper_of_mine\.py:3: SyntaxError"):
        registry.load_plugins(["mine.py"], base=tmp_path)


def test_a_plugin_that_interrupts_is_not_called_broken(tmp_path):
    (tmp_path / "slow.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        registry.load_plugins(["slow.py"], base=tmp_path)


@pytest.mark.parametrize("name", ["missing.py", "notes.txt", "folder.py"])
def test_a_plugin_must_be_a_python_file(tmp_path, name):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(PluginError, match=rf"plug-in '{name}': must be a Python file \(.py\), found none at .*{name}"):
        registry.load_plugins([name], base=tmp_path)


def test_a_plugin_without_its_ending_is_guessed(tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN)
    with pytest.raises(PluginError, match=r"found none at .*mine; did you mean mine\.py\?"):
        registry.load_plugins(["mine"], base=tmp_path)


def test_a_copy_of_a_plugin_is_that_plugin(tmp_path):
    for name in ("one.py", "copy.py"):
        (tmp_path / name).write_text(PLUGIN)
    (entry,) = registry.load_plugins(["one.py"], base=tmp_path)
    assert registry.load_plugins(["copy.py"], base=tmp_path) == [entry]
    assert plugins.is_loaded(hash_file(tmp_path / "copy.py"))


def test_a_plugin_that_takes_a_name_says_who_has_it(tmp_path):
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(f"{PLUGIN}# {name}")
    taken = r"two\.py:\d: fruit 'kiwi' is already registered by .*one\.py:\d \(kiwi\); register kiwi under another name"
    with pytest.raises(PluginError, match=taken):
        registry.load_plugins(["one.py", "two.py"], base=tmp_path)


def fake_entry_point(monkeypatch, value):
    point = EntryPoint(name="mine", value=value, group=plugins.ENTRY_POINT_GROUP)
    vars(point)["dist"] = SimpleNamespace(name="my-package")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == plugins.ENTRY_POINT_GROUP else [])
    plugins._done.pop(plugins.ENTRY_POINT_GROUP, None)


def test_entry_points_are_loaded_and_called(tmp_path, monkeypatch):
    (tmp_path / "my_package.py").write_text(
        PLUGIN.replace("@reg", "def setup():\n  @reg").replace("\ndef ki", "\n  def ki")
    )
    monkeypatch.syspath_prepend(tmp_path)
    fake_entry_point(monkeypatch, "my_package:setup")
    assert [entry.name for entry in registry.entries("fruit")] == ["kiwi"]
    sys.modules.pop("my_package")


def test_a_broken_entry_point_is_fatal_and_named_every_time(monkeypatch):
    fake_entry_point(monkeypatch, "no_such_package:setup")
    for _ in range(2):
        with pytest.raises(
            PluginError, match=r"entry point 'mine' of my-package \(no_such_package:setup\) failed to load"
        ):
            registry.entries("fruit")


@pytest.fixture
def orchard(tmp_path, monkeypatch, define_kind):
    package = tmp_path / f"orchard_{tmp_path.name}"  # a name of its own, for what was read of a package is remembered
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "kiwi.py").write_text('"""A module."""\n' + PLUGIN.replace("fruit", "tree"))
    (package / "base.py").write_text("raise RuntimeError('this module declares no component')")
    monkeypatch.syspath_prepend(tmp_path)
    define_kind("tree", package.name)
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == package.name]:
        del sys.modules[name]


def test_a_component_is_imported_alone_when_it_is_asked_for(orchard):
    (orchard / "pear.py").write_text(PLUGIN.replace("fruit", "tree").replace("kiwi", "pear"))
    assert registry.names("tree") == ["kiwi", "pear"]
    assert not {f"{orchard.name}.kiwi", f"{orchard.name}.pear"} & set(sys.modules)
    assert registry.build("tree", Component("kiwi")) == "kiwi"
    assert f"{orchard.name}.pear" not in sys.modules
    assert [entry.name for entry in registry.entries("tree")] == ["kiwi", "pear"]


def test_summaries_are_read_from_the_source(orchard):
    (orchard / "pear.py").write_text(
        'from aista.registry import register\n@register("tree", "pear")\ndef grow():\n    """Grows pears.\n\n    x"""\n'
    )
    assert registry.summaries("tree") == {"kiwi": "(no description)", "pear": "Grows pears."}


def test_a_failing_import_of_a_component_fails_again_and_leaves_the_others_alone(orchard):
    (orchard / "pear.py").write_text(
        "import does_not_exist\n" + PLUGIN.replace("fruit", "tree").replace("kiwi", "pear")
    )
    for _ in range(2):
        with pytest.raises(
            RegistryError, match=r"tree 'pear' \(.*pear\) cannot be imported: No module named 'does_not_exist'"
        ):
            registry.get("tree", "pear")
    assert registry.get("tree", "kiwi").factory() == "kiwi"


def test_a_plugin_cannot_take_a_built_in_name_that_was_not_imported_yet(orchard, tmp_path):
    (tmp_path / "mine.py").write_text(PLUGIN.replace("fruit", "tree"))
    taken = rf"mine\.py:\d: tree 'kiwi' is a component of aista itself \({orchard.name}\.kiwi\.kiwi\); register kiwi"
    with pytest.raises(PluginError, match=taken):
        registry.load_plugins(["mine.py"], base=tmp_path)


def test_a_file_that_does_not_parse_is_named(orchard):
    (orchard / "pear.py").write_text("@register(\ndef broken(:")
    with pytest.raises(PluginError, match=rf"{orchard.name}\.pear: does not parse"):
        registry.names("tree")


def test_a_library_that_does_not_load_is_an_error_of_its_component(orchard):
    (orchard / "pear.py").write_text(
        PLUGIN.replace("fruit", "tree").replace("kiwi", "pear") + "\nraise ImportError('libpear.so')"
    )
    with pytest.raises(RegistryError, match=r"tree 'pear' \(.*pear\) cannot be imported: libpear\.so"):
        registry.get("tree", "pear")


def test_built_in_components_do_without_a_broken_entry_point(monkeypatch, orchard):
    fake_entry_point(monkeypatch, "no_such_package:setup")
    assert registry.build("tree", Component("kiwi")) == "kiwi"
    with pytest.raises(PluginError, match="no_such_package"):
        registry.names("tree")


@pytest.mark.parametrize("name", [None, 3, "", "../x", "x\ny", "two words"])
def test_a_name_must_be_an_identifier(name):
    with pytest.raises(RegistryError, match="a fruit must be registered under an identifier"):
        registry.register("fruit", name)(lambda: None)


def test_a_partial_is_no_component():
    with pytest.raises(RegistryError, match="fruit 'plum' must be a class or a function, got functools"):
        registry.register("fruit", "plum")(functools.partial(print))


def test_options_that_would_be_lost_are_refused():
    remedy = r"fruit 'plum': put @dataclass\(frozen=True, kw_only=True\) between @register and the class"
    with pytest.raises(RegistryError, match=remedy):

        @registry.register("fruit", "plum")
        class Forgotten(Options):
            stones: int = option(1, "How many.", minimum=0)

    with pytest.raises(RegistryError, match=remedy):

        @dataclass(frozen=True, kw_only=True)
        @registry.register("fruit", "plum")
        class Swapped(Options):
            stones: int = option(1, "How many.", minimum=0)

    with pytest.raises(RegistryError, match=remedy):

        @registry.register("fruit", "plum")
        class Inherited(AppleConfig):
            stones: int = 1


def test_one_file_by_two_routes_is_no_clash(tmp_path, monkeypatch):
    (tmp_path / "mine_too.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("mine_too")
    (entry,) = registry.load_plugins(["mine_too.py"], base=tmp_path)
    assert entry.name == "kiwi"
    sys.modules.pop("mine_too")


@pytest.mark.parametrize("kind", KINDS)
def test_every_built_in_component_imports_and_is_where_its_name_says(kind):
    assert registry.names(kind)
    for entry in registry.entries(kind):
        module = entry.factory.__module__
        assert module in (KINDS[kind].package, f"{KINDS[kind].package}.{entry.name}"), entry.origin


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_source_declares_is_what_imports_register(kind):
    for entry in registry.entries(kind):
        assert registry.summaries(kind)[entry.name] == (inspect.getdoc(entry.factory) or "").partition("\n")[0]
        expected = tuple(field.name for field in fields(entry.config) if field.init) if entry.config else ()
        assert registry.options(kind, entry.name) == expected, entry.origin


def test_the_options_of_a_plugin():
    register_apple()
    registry.register("fruit", "fig")(lambda: "fig")
    assert registry.options("fruit", "apple") == ("sweetness",)
    assert registry.options("fruit", "fig") == ()


def test_everything_that_registers_is_declared_where_it_is_found():
    for kind in KINDS.values():
        place = Path(aista.__file__).parent.joinpath(*kind.package.split(".")[1:])
        for file in place.glob("*.py"):
            if "kernels" not in file.parts and file.stem not in ("__init__", "__main__"):
                importlib.import_module(f"{kind.package}.{file.stem}")
    registered = [entry for entry in registry._entries.values() if entry.origin.startswith("aista.")]
    assert all(entry.name in registry.names(entry.kind) for entry in registered)
