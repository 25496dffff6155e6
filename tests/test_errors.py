import pytest

from aista.errors import AistaError, ConfigError, DataError, Fault, PluginError, RegistryError, RunError


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (Fault("a.b", "must be at least 1, got 0"), "a.b: must be at least 1, got 0"),
        (Fault("a.b", "is required", "give a folder"), "a.b: is required; give a folder"),
        (Fault("", "unknown option"), "(top level): unknown option"),
    ],
)
def test_a_fault_is_one_line_with_place_problem_and_remedy(fault, line):
    assert str(fault) == line


def test_config_error_counts_and_lists_its_faults():
    error = ConfigError([Fault("a", "one"), Fault("b", "two")], "base.yaml")
    assert str(error) == "base.yaml: 2 faults\n  a: one\n  b: two"
    assert str(ConfigError([Fault("a", "one")])).startswith("config: 1 fault\n")


def test_exit_codes_tell_a_users_mistake_from_a_failed_run():
    assert {cls.exit_code for cls in (AistaError, ConfigError, DataError, PluginError, RegistryError)} == {2}
    assert RunError.exit_code == 1
    assert all(issubclass(cls, AistaError) for cls in (ConfigError, DataError, PluginError, RegistryError, RunError))
