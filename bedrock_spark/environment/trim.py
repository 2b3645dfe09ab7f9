"""What is left out of the packages of an archive, because nothing in a run uses it.

Every entry is safe by test: tests/spark/test_environment.py imports and uses, from an archive,
what a run needs. Not left out: licences, which must go with the code, and metadata of packages.
"""

from __future__ import annotations

import shutil
from pathlib import Path

# The services of which `bedrock_spark` or boto3's chain of credentials makes a client. The service
# models of all others are three quarters of botocore.
AWS_SERVICES = (
    *("bedrock", "bedrock-runtime", "iam", "kms", "s3", "service-quotas", "sns", "sqs", "sts"),
    *("signin", "sso", "sso-oidc"),  # credentials of `aws login` and `aws sso login`
)
# Paths below site-packages, as patterns.
_UNUSED = (
    # Sources, headers and stubs for compilers and type checkers
    *("**/*.pyx", "**/*.pxd", "**/*.pxi", "**/*.pyi", "**/*.a", "**/__pycache__"),
    *("numpy/**/include", "pyarrow/include", "pyarrow/src", "pyarrow/*.h"),
    # Tests and the tools of those who develop these packages
    *("numpy/**/tests", "pandas/tests", "pyarrow/tests", "pyarrow/_pyarrow_cpp_tests*"),
    *("numpy/f2py", "numpy/distutils", "numpy/random/_examples"),
    # Arrow's RPC, its query plans, its formats and its file systems: Spark and this package hand
    # batches over in memory, and read and write Parquet. pyarrow imports them on demand.
    *("pyarrow/*flight*", "pyarrow/*substrait*", "pyarrow/*gandiva*", "pyarrow/*orc*"),
    *("pyarrow/libarrow_s3.so*", "pyarrow/_s3fs*", "pyarrow/_gcsfs*", "pyarrow/_azurefs*"),
    # The same library under two more names: a wheel cannot hold links.
    *("pyarrow/libarrow_python.so", "pyarrow/libarrow_python.so.*.*"),
    *("pyarrow/libarrow_python_*.so", "pyarrow/libarrow_python_*.so.*.*"),
    # Lexers of all languages: rich imports them to show source code, which no command does.
    *("pygments/lexers/[!_]*", "pygments/styles/[!_]*", "pygments/formatters/[!_]*"),
    "boto3/examples",
    "bin",
)


def trim(site_packages: Path) -> None:
    """Delete what a run does not use from a folder of installed packages."""
    unused = {path for pattern in _UNUSED for path in site_packages.glob(pattern)}
    for path in unused - _needed_libraries(site_packages, unused):
        _delete(path)
    for data in (site_packages / "botocore" / "data", site_packages / "boto3" / "data"):
        for service in data.iterdir() if data.is_dir() else ():
            if service.is_dir() and service.name not in AWS_SERVICES:
                _delete(service)


def _needed_libraries(site_packages: Path, unused: set[Path]) -> set[Path]:
    """Return the unused shared libraries without which one that is used does not load.

    A library holds the file names of those that it needs, each with a zero byte at its end. Which
    these are changes with the version of pyarrow.
    """
    needed: set[Path] = set()
    unread = [path for path in site_packages.glob("pyarrow/*.so*") if path not in unused]
    while unread:
        content = unread.pop().read_bytes()
        found = {
            path
            for path in unused - needed
            if ".so" in path.name and path.name.encode() + b"\0" in content
        }
        needed |= found
        unread += found
    return needed


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)  # a folder around it may be gone already
