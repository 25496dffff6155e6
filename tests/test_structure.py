"""The rules of the house hold for the package; tests/tools/test_structure.py shows that each can be broken."""

from pathlib import Path

import pytest

import aista
from tools.structure import circles, long_functions, private_imports, read_package, same_names

LONGEST_FILE = 320  # lines; "about 300"
THICKEST_COMMAND = 180  # lines: arguments in, one call, messages out


@pytest.fixture(scope="module")
def modules():
    return read_package(Path(aista.__file__).parent)


def test_no_files_import_each_other(modules):
    assert circles(modules) == []


def test_nobody_uses_a_neighbours_private_module_or_name(modules):
    assert private_imports(modules) == []


def test_files_that_share_a_name_play_the_same_part(modules):
    assert same_names(modules) == []


def test_few_functions_are_long(modules):
    assert len(long_functions(modules)) <= 10


def test_a_file_has_one_idea(modules):
    assert {name for name, module in modules.items() if module.source.count("\n") > LONGEST_FILE} == set()


def test_the_command_line_stays_thin(modules):
    commands = {name: module.source.count("\n") for name, module in modules.items() if module.room == "cli"}
    assert {name for name, lines in commands.items() if lines > THICKEST_COMMAND} == set()
