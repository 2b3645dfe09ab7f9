"""Publish a message to an SNS topic.

https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

from __future__ import annotations

from dataclasses import replace

from bedrock_spark.aws.clients import AwsSettings, topic_client
from bedrock_spark.aws.errors import AWS_FAILURES, error_code

# Of a subject; it must be ASCII without line breaks.
_SUBJECT = 100


def publish(
    aws: AwsSettings, topic_arn: str, subject: str, message: str, group: str, message_id: str
) -> str | None:
    """Publish a message in the Region of the topic; return what went wrong, or None.

    group, message_id: for FIFO topics, which deliver a message with the same id once in 5 minutes
    """
    client = topic_client(replace(aws, region=topic_arn.split(":")[3]))
    subject = subject.encode("ascii", "replace").decode()[:_SUBJECT]
    request = {"TopicArn": topic_arn, "Subject": subject, "Message": message}
    if topic_arn.endswith(".fifo"):
        request |= {"MessageGroupId": group, "MessageDeduplicationId": message_id}
    try:
        client.publish(**request)
    except AWS_FAILURES as exc:
        return f"{topic_arn}: SNS took no message ({error_code(exc)})"
    return None
