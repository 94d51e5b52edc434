"""What type checkers know of tfmdn: mypy finds in a user's program the types that it names, and its mistakes."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "typed_program.py"


def test_a_users_program():
    """What is of no type that is checked would be Any, which `assert_type` refuses, as it does every other type."""
    marked = [re.search(r"  # E: ([\w-]+)$", line) for line in PROGRAM.read_text().splitlines()]
    mistakes = {(number, match[1]) for number, match in enumerate(marked, 1) if match}
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(PROGRAM)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = re.findall(r"typed_program\.py:(\d+): error: .*\[([\w-]+)\]$", output.stdout, re.MULTILINE)
    assert {(int(number), code) for number, code in found} == mistakes, output.stdout + output.stderr
