"""The request that is answered: who sends it, and what it may do. Every scope goes through `require`.

The guard makes a Visit of each request. Code below it asks `visit()` or calls `require`; what manages is named there,
for the audit line of the log.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from ..access import SCOPES, Caller, Scope
from .errors import ApiError

LONGEST = 300   # characters of an audit line's act


@dataclass
class Visit:
    """One request.

    Attributes:
        caller: who sends it
        why_not: why it may not manage, whatever the caller's scopes are; "": it may
        acts: what it manages, for the log
        result: what became of that, where the status does not say it
    """

    caller: Caller
    why_not: str = ""
    acts: list[str] = field(default_factory=list)
    result: str = ""

    def may(self, scope: Scope) -> bool:
        """Tell whether it has a scope."""
        return scope in self.caller.scopes and not (scope == "manage" and self.why_not)

    def require(self, scope: Scope, act: str = "") -> None:
        """Raise the API's 403 if it lacks a scope. act: what it is about to do; the log names it."""
        if act:
            short = act if len(act) <= LONGEST else f"{act[:LONGEST]}..."
            self.acts.append(short.encode("unicode_escape").decode())
        if scope == "manage" and self.why_not and scope in self.caller.scopes:
            raise ApiError(403, self.why_not, code="not_from_here")
        if scope not in self.caller.scopes:
            has = ", ".join(one for one in SCOPES if one in self.caller.scopes) or "none"
            words = f"this needs a key with the scope {scope}; the key {self.caller.name!r} has {has}"
            raise ApiError(403, words, code="missing_scope")


VISIT: ContextVar[Visit] = ContextVar("gemel_web_visit")


def visit() -> Visit:
    """Return the request that the running task answers."""
    return VISIT.get()


def require(scope: Scope, act: str = "") -> None:
    """Raise the API's 403 if the request that is answered lacks a scope. act: see Visit.require."""
    VISIT.get().require(scope, act)
