"""One target under libFuzzer, in the environment of requirements/fuzz.txt.

    python harness/fuzz/under_atheris.py TARGET [libFuzzer's flags and folders]

The code of the project and of its readers' libraries is instrumented, the targets' own is not.
"""

import shlex
import sys

import atheris  # type: ignore[import-untyped]  # lives in an environment of its own

_INSTRUMENTED = ("contracts", "llmgw", "qs", "markdown_it", "email.utils", "email._parseaddr")
# Tables that are built at import, and the tests' own code.
_AS_THEY_ARE = ("llmgw.tests", "contracts.reasons", "llmgw.html_elements")


def main() -> None:
    with atheris.instrument_imports(include=list(_INSTRUMENTED), exclude=list(_AS_THEY_ARE)):
        from harness.fuzz.targets import TARGETS
    _, name, *flags = sys.argv
    # What libFuzzer has a shell run where it starts itself anew, as it does to merge.
    again = shlex.join([sys.executable, *sys.argv[:2]])
    atheris.Setup([again, *flags], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
