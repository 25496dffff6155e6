"""Methods say what they do, unless they override one that a base class describes.

Ruff checks that classes and functions have a docstring.
"""

import importlib
import inspect
import pkgutil

import aista


def modules():
    for info in pkgutil.walk_packages(aista.__path__, "aista."):
        if info.name.rpartition(".")[2] != "__main__":
            try:
                yield importlib.import_module(info.name)
            except ModuleNotFoundError as error:  # GPU kernels, where torch came without triton
                if error.name != "triton":
                    raise


def undocumented(cls):
    """Public methods and properties of the class that lack a docstring and override nothing."""
    inherited = {name for base in cls.__mro__[1:] for name in vars(base)}
    for name, member in vars(cls).items():
        function = inspect.unwrap(getattr(member, "__func__", None) or getattr(member, "fget", None) or member)
        method = inspect.isfunction(function) and function.__name__ == name and not name.startswith("_")
        if method and name not in inherited and not function.__doc__:
            yield f"{cls.__module__}.{cls.__qualname__}.{name}"


def test_methods_that_override_nothing_are_documented():
    classes = [
        cls
        for module in modules()
        for name, cls in vars(module).items()
        if inspect.isclass(cls) and cls.__module__ == module.__name__ and not name.startswith("_")
        if not getattr(cls, "_is_protocol", False)  # its docstring says what it asks for
    ]
    assert len(classes) > 300
    assert [method for cls in classes for method in undocumented(cls)] == []


def test_a_silent_method_is_named():
    class Base:
        def described(self):
            """What overriding methods need not repeat."""

    class Silent(Base):
        def described(self):
            pass

        def unexplained(self):
            pass

        @property
        def unexplained_property(self):
            return None

    names = [method.rpartition(".")[2] for method in undocumented(Silent)]
    assert names == ["unexplained", "unexplained_property"]
