"""Whether an image may be used under a name: the node's signature policy, asked without a network."""

from __future__ import annotations

from typing import Protocol

from criserver.model.reference import Reference


class Admission(Protocol):
    """The policy as it is now."""

    async def demand(self, reference: Reference) -> str:
        """What is demanded of an image of that name: "" nothing, else a mark of the signatures that it must have.

        The mark changes with the demand, keys included. PermissionDenied when the policy refuses the name, whatever
        signatures there are; FailedPrecondition when the policy cannot be read.
        """
        ...
