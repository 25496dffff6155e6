"""``aista schema``: the JSON Schema of configs, for editors."""

from __future__ import annotations

import argparse
import json

from aista import registry
from aista.cli.arguments import add_plugin_argument
from aista.console import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        default="experiment",
        choices=("experiment", "ablation"),
        help="which schema: of the configs of `aista train` (default) or of `aista ablate`; refer to it in a file's "
        "first lines: # yaml-language-server: $schema=aista.schema.json",
    )
    add_plugin_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    from aista.json_schema import options_schema
    from aista.runs.ablation.variants import AblationConfig
    from aista.tasks.config_schema import experiment_schema

    registry.load_plugins(args.plugin)
    is_ablation = args.file == "ablation"
    schema = options_schema("aista ablation", AblationConfig) if is_ablation else experiment_schema()
    say(json.dumps(schema, indent=1))
    return 0
