"""Write bedrock_spark/prices/bedrock.json from the newest litellm. Run by `make prices`."""

from __future__ import annotations

import argparse
import datetime as dt
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bedrock_spark.prices import table
from bedrock_spark.prices.litellm_table import FILE_NAME

TARGET = Path(table.__file__).parent / table.TABLE_FILE


def main() -> None:
    """Download the wheel without its dependencies, and take the prices of Bedrock from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="a wheel of litellm that is here already")
    wheel = parser.parse_args().wheel
    with tempfile.TemporaryDirectory() as folder:
        if wheel is None:
            command = ["download", "--quiet", "--no-deps", "--dest", folder, table.PACKAGE]
            subprocess.run([sys.executable, "-m", "pip", *command], check=True)
            wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as files:
            text = files.read(f"{table.PACKAGE}/{FILE_NAME}").decode()
    rows = table.read_litellm(text)
    version, today = wheel.name.split("-")[1], dt.datetime.now(dt.UTC).date().isoformat()
    TARGET.write_text(table.table_text(version, today, rows), encoding="utf-8")
    sys.stdout.write(f"{TARGET}: {len(rows)} rows of litellm {version}\n")


if __name__ == "__main__":
    main()
