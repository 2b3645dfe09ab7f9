"""Secrets in a config: it names the environment variables that hold them.

The config of a run is written into the run folder, so no secret may be in it. A value `{env: NAME}`
is written as it is; the variable is read only when Spark reads the source. A literal value that
looks like a secret is refused. No rule finds every secret: docs/config.md says what this one finds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from bedrock_spark.config.base import option_text
from bedrock_spark.errors import ConfigError

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Parts of option names, without case and without the characters between words.
_SECRET_NAMES = (
    *("password", "passwd", "passphrase", "pwd", "secret", "token", "credential", "jaasconfig"),
    *("apikey", "accesskey", "accountkey", "privatekey", "sharedkey", "connectionstring"),
)
_SECRET_VALUE = re.compile(
    r"[a-z][a-z0-9+.-]*:/*[^/@\s:]*:[^/@\s]+@"  # scheme://user:password@host, jdbc:x:user/password@
    r"|[a-z]:[^/@\s:]+/[^/@\s]+@"
    r"|(^|[?&;,\s])(password|passwd|pwd|secret|token|accountkey|sharedaccesskey"
    r"|sharedaccesssignature|sig)\s*=\s*[^\s;&,]"
    r"|(^|[^A-Z0-9])(AKIA|ASIA)[A-Z0-9]{16}([^A-Z0-9]|$)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY",
    re.IGNORECASE,
)
_ADVICE = (
    "the run folder would hold it in clear. Write {env: NAME} with the name of an environment "
    "variable of the Spark driver, or set it in Spark's own config"
)


class FromEnvironment(BaseModel):
    """A value that the environment variable `env` has when it is needed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str


def option_value(value: object) -> object:
    """Return an option of a Spark reader as text, or as the variable that it names."""
    if isinstance(value, FromEnvironment):
        return value
    if isinstance(value, Mapping):
        name = value.get("env")
        if list(value) == ["env"] and isinstance(name, str) and _VARIABLE.fullmatch(name):
            return FromEnvironment(env=name)
        raise ValueError("must be a value or {env: NAME}, with the name of an environment variable")
    if not isinstance(value, (str, int, float)):
        raise ValueError("must be a text, a number, true, false or {env: NAME}")  # noqa: TRY004
    return option_text(value)


def refuse_secrets(options: Mapping[str, str | FromEnvironment]) -> None:
    """Raise ValueError for an option with a literal value that looks like a secret."""
    for name, value in options.items():
        if isinstance(value, str) and (_names_secret(name) or holds_secret(value)):
            raise ValueError(f"{name} looks like a secret: {_ADVICE}")


def holds_secret(text: str) -> bool:
    """Tell whether a text holds a credential: a URL with a password, a connection string, a key."""
    return _SECRET_VALUE.search(text) is not None


def _names_secret(option: str) -> bool:
    name = re.sub(r"[^a-z0-9]", "", option.lower())
    return any(part in name for part in _SECRET_NAMES)


def resolve_options(
    options: Mapping[str, str | FromEnvironment], environment: Mapping[str, str]
) -> dict[str, str]:
    """Return the options with the values of their variables. Raises ConfigError if one is not set.

    environment: the environment variables
    """
    resolved = {}
    for name, value in options.items():
        if isinstance(value, str):
            resolved[name] = value
        elif value.env in environment:
            resolved[name] = environment[value.env]
        else:
            raise ConfigError(
                f"source.options.{name}: the environment variable {value.env} is not set; set it "
                "where the Spark driver runs"
            )
    return resolved


def without_secrets(
    text: str, options: Mapping[str, str | FromEnvironment], environment: Mapping[str, str]
) -> str:
    """Return a text in which `{env: NAME}` stands for each value that an option has from there."""
    named = [value.env for value in options.values() if isinstance(value, FromEnvironment)]
    # The longest first: a value may be a part of another.
    for name in sorted(named, key=lambda name: -len(environment.get(name, ""))):
        if environment.get(name):
            text = text.replace(environment[name], f"{{env: {name}}}")
    return text
