"""The flags that several commands share, and the configuration that they lead to."""

from __future__ import annotations

import argparse

from criserver.config.load import load
from criserver.config.schema import Config, LogLevel

_KEYS = ("root", "state", "listen", "log_level")


def arguments(parser: argparse.ArgumentParser) -> None:
    """--config and a flag for each key that a second server on the same host needs otherwise."""
    parser.add_argument("--config", metavar="FILE", help="configuration (default: /etc/criserver/config.yaml if there)")
    parser.add_argument("--root", metavar="DIR", help="images, layers and the database (key: root)")
    parser.add_argument("--state", metavar="DIR", help="monitors, namespaces and sockets (key: state)")
    parser.add_argument("--listen", metavar="URI", help="unix:// and the path of the CRI socket (key: listen)")
    parser.add_argument("--log-level", choices=[*LogLevel], help="how much is logged (key: log_level)")


def configuration(args: argparse.Namespace) -> Config:
    """The configuration of the files with the flags on top; ConfigError says what is wrong with it."""
    given = {key: getattr(args, key) for key in _KEYS}
    return load(args.config, {key: value for key, value in given.items() if value is not None})
