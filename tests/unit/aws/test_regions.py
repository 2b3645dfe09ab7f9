"""Names of Regions: those that botocore knows, those that may come, and the rest."""

from __future__ import annotations

import boto3
import pytest

from bedrock_spark.aws.regions import region_fault, region_names


def test_every_region_of_botocore_is_one() -> None:
    """Of all partitions."""
    session = boto3.Session()
    for partition in session.get_available_partitions():
        for name in session.get_available_regions("s3", partition):
            assert region_fault(name) is None
    assert not any(name.endswith("global") for name in region_names())


@pytest.mark.parametrize("name", ["ap-southeast-9", "eu-central-3", "us-gov-north-1", "sa-west-2"])
def test_a_region_that_is_not_known_yet_is_no_fault(name: str) -> None:
    """The installed botocore may be older than the Region."""
    assert region_fault(name) is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("us-eest-1", "us-east-1"),
        ("eu-centrl-1", "did you mean eu-central-1"),
        ("us_east_1", "did you mean us-east-1"),
        ("US-EAST-1", "did you mean us-east-1"),
        ("useast1", "did you mean us-"),
        ("us-east-1a", "did you mean us-east-1"),
        ("Frankfurt", "a Region is named like us-east-1"),
        ("", "a Region is named like us-east-1"),
    ],
)
def test_another_text_is_told_with_the_nearest_region(name: str, hint: str) -> None:
    """A misspelt Region would show up only as an endpoint that cannot be found."""
    assert hint in str(region_fault(name))
