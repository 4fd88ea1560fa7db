"""Whether an image may be used under a name: the node's signature policy, asked without a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from criserver.model.reference import Reference


@dataclass(frozen=True, slots=True)
class Demand:
    """What is demanded of an image under a name: "" nothing, else marks of the signatures that it must have.

    They change with the demand, keys included. `mark` is of what is demanded of that very name; `origin` is of the
    words of the policy, which may be the same for many names: an image with a `mark` of the same origin was signed for
    one of them.
    """

    mark: str = ""
    origin: str = ""


class Admission(Protocol):
    """The policy as it is now."""

    async def demand(self, reference: Reference) -> Demand:
        """What is demanded of an image of that name. PermissionDenied when the policy refuses the name, whatever
        signatures there are; FailedPrecondition when the policy cannot be read.
        """
        ...
