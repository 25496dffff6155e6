from aista.shipped import find_config, shipped_configs


def test_all_are_listed_with_what_they_are_and_their_command(aista):
    code, out, err = aista("configs")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["ablations:", "experiments:", "paper:"]
    at = lines.index("  quickstart: Speech translation on the embedded synthetic corpus")
    assert lines[at + 1] == "    aista quickstart runs/quickstart --config quickstart"
    assert sum(line.startswith("  ") and not line.startswith("   ") for line in lines) == len(shipped_configs())


def test_one_is_printed_as_it_is(aista):
    assert aista("configs", "quick") == (0, find_config("quick").read_text(), "")


def test_an_unknown_one(aista):
    code, out, err = aista("configs", "quik")
    assert (code, out) == (2, "")
    assert err.startswith("quik: is not a shipped config (did you mean 'quick'?); `aista configs` lists them")


def test_a_command_takes_a_name(aista, tmp_path):
    code, out, _ = aista("train", tmp_path / "run", "--config", "quickstart", "--dump-config", "seed=7")
    assert code == 0
    assert "seed: 7" in out
