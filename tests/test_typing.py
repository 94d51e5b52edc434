"""What type checkers know of tfmdn: mypy finds in a user's program the types that it names, and its mistakes."""

import inspect
import pathlib
import re
import subprocess
import sys

import pytest
from test_house import PUBLIC

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "typed_program.py"


def documented_functions(public):
    """What users call of a public name: itself, or its constructor and those of its own methods that are documented."""
    if not inspect.isclass(public):
        yield public
        return
    for name, value in vars(public).items():
        function = inspect.unwrap(getattr(value, "__func__", value))
        is_ours = inspect.isfunction(function) and function.__module__.startswith("tfmdn.")
        if is_ours and (name == "__init__" or (function.__doc__ and not name.startswith("_"))):
            yield function


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_documented_is_annotated(name):
    for function in documented_functions(PUBLIC[name]):
        signature = inspect.signature(function)
        arguments = list(signature.parameters.values())[inspect.isclass(PUBLIC[name]) :]
        bare = [argument.name for argument in arguments if argument.annotation is argument.empty]
        assert not bare, function.__qualname__
        assert function.__name__ == "__init__" or signature.return_annotation is not signature.empty


def test_a_users_program():
    """What is of no type that is checked would be Any, which `assert_type` refuses, as it does every other type."""
    marked = [re.search(r"  # E: ([\w-]+)$", line) for line in PROGRAM.read_text().splitlines()]
    mistakes = {(number, match[1]) for number, match in enumerate(marked, 1) if match}
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(PROGRAM)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = re.findall(r"typed_program\.py:(\d+): error: .*\[([\w-]+)\]$", output.stdout, re.MULTILINE)
    assert {(int(number), code) for number, code in found} == mistakes, output.stdout + output.stderr
