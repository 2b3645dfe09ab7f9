"""IAM's policy simulation, which the local Bedrock has not, as replies at the level of HTTP."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSRequest, AWSResponse, HeadersDict

_EVENT = "before-send.iam.SimulatePrincipalPolicy"
_REFUSED = (
    "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: "
    "iam:SimulatePrincipalPolicy</Message></Error></ErrorResponse>"
)


class SimulatedPolicies:
    """Answers SimulatePrincipalPolicy of a client.

    denied: actions, of whichever identity; by: whose policy denies them: "boundary",
        "organization", or "" for the identity's own
    is_refused: the caller may not simulate
    asked: the identities, in order
    """

    def __init__(
        self, denied: Collection[str] = (), by: str = "", *, is_refused: bool = False
    ) -> None:
        self.denied, self.by, self.is_refused = denied, by, is_refused
        self.asked: list[str] = []

    @contextmanager
    def of(self, client: Any) -> Iterator[None]:
        """Answer the simulations of a client in the block."""
        client.meta.events.register_first(_EVENT, self._answer)
        try:
            yield
        finally:
            client.meta.events.unregister(_EVENT, self._answer)

    def _answer(self, request: AWSRequest, **_: Any) -> AWSResponse:
        body = request.body or b""
        form = parse_qs(body.decode() if isinstance(body, bytes) else str(body))
        self.asked.append(form["PolicySourceArn"][0])
        if self.is_refused:
            return _reply(request.url, 403, _REFUSED)
        actions = [form[k][0] for k in form if k.startswith("ActionNames.member")]
        resources = [form[k][0] for k in form if k.startswith("ResourceArns.member")]
        results = "".join(self._results(actions, resources))
        text = (
            "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult>"
            f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
            "</SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
        )
        return _reply(request.url, 200, text)

    def _results(self, actions: list[str], resources: list[str]) -> Iterator[str]:
        """Yield a result for each action, and inside of it one for each resource."""
        for action in actions:
            is_denied = action in self.denied
            decision = "implicitDeny" if is_denied else "allowed"
            own = "".join(
                f"<member><EvalResourceName>{escape(resource)}</EvalResourceName>"
                f"<EvalResourceDecision>{decision}</EvalResourceDecision>"
                f"{self._boundary(is_denied)}</member>"
                for resource in resources
            )
            organization = str(not (is_denied and self.by == "organization")).lower()
            yield (
                f"<member><EvalActionName>{action}</EvalActionName>"
                f"<EvalResourceName>{escape(resources[0])}</EvalResourceName>"
                f"<EvalDecision>{decision}</EvalDecision>"
                "<OrganizationsDecisionDetail><AllowedByOrganizations>"
                f"{organization}</AllowedByOrganizations></OrganizationsDecisionDetail>"
                f"<ResourceSpecificResults>{own}</ResourceSpecificResults></member>"
            )

    def _boundary(self, is_denied: bool) -> str:
        is_allowed = str(not (is_denied and self.by == "boundary")).lower()
        return (
            "<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>"
            f"{is_allowed}</AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail>"
        )


class _Body(io.BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def _reply(url: str, status: int, text: str) -> AWSResponse:
    headers = HeadersDict({"Content-Type": "text/xml"})
    return AWSResponse(url, status, headers, _Body(text.encode()))
