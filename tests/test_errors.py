import pytest

from aista.errors import AistaError, ConfigError, DataError, Fault, PluginError, RegistryError, RunError, shown


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


def test_of_very_many_faults_the_first_are_listed_and_the_others_counted():
    error = ConfigError([Fault(f"a[{number}]", "is wrong") for number in range(1250)], "base.yaml")
    assert str(error).splitlines()[100:] == ["  a[99]: is wrong", "  base.yaml: 1,150 more faults"]


def test_values_in_messages_are_cut():
    assert shown("a\n") == r"'a\n'"
    assert shown([1] * 1000) == f"[{'1, ' * 66}1... (3,000 characters)"
    assert shown(10**5000) == "a int too long to write"


def test_exit_codes_tell_a_users_mistake_from_a_failed_run():
    assert {cls.exit_code for cls in (AistaError, ConfigError, DataError, PluginError, RegistryError)} == {2}
    assert RunError.exit_code == 1
    assert all(issubclass(cls, AistaError) for cls in (ConfigError, DataError, PluginError, RegistryError, RunError))
