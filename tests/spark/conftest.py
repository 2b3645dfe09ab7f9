from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from tests.spark_sessions import shared_session


@pytest.fixture(scope="session")
def spark() -> SparkSession:
    return shared_session()
