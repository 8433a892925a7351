"""Look every pinned package up among the known vulnerabilities: `python .ci/audit.py [FILE]`, by default constraints.txt.

Exit status 1 when one is affected. Where no advisory service can be reached, it says so in one line and passes. OSV_URL names another
service than pip-audit's own, such as a mirror of one's own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

UNREACHABLE = ("requests.exceptions.", "ServiceError", "Could not connect")
"""What pip-audit writes when its service does not answer, or answers something else."""


def main(pins: Path) -> int:
    """Audit the file of pins; gives the exit status."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(pins), "--no-deps", "--disable-pip", "--progress-spinner", "off"]
    command += ["--vulnerability-service", "osv", *(["--osv-url", url] if (url := os.environ.get("OSV_URL")) else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        print(f"Audit: no known vulnerability among the packages of {pins.name}.")
        return 0
    if not done.stdout.strip() and any(word in done.stderr for word in UNREACHABLE):
        print("Audit skipped: no advisory service answers.")
        return 0
    print(f"Audit: pin other versions in {pins.name}, or say there why not.\n{done.stdout}{done.stderr}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "constraints.txt")))
