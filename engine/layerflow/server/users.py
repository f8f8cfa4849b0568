"""Who may ask besides the machine's own user: people with a token, a space for files and a share of the queue."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass

from layerflow.errors import RequestError
from layerflow.server.database import Database
from layerflow.server.roots import DEVICES

_NAME = re.compile("[a-z][a-z0-9_-]{0,31}")  # also that of a folder, on every system
_COLUMNS = "name, space_bytes, jobs"


@dataclass(frozen=True, kw_only=True)
class User:
    """One user, and how much of the machine is theirs."""

    name: str
    space_bytes: int
    jobs: int  # that may wait


class Users:
    """All users in a queue's file. Any process may use it at the same time. Raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, user: User) -> str:
        """The token of the new `user`, which nothing keeps. Raises RequestError."""
        if not _NAME.fullmatch(user.name) or user.name in DEVICES:
            raise RequestError(
                f"{user.name[:40]!r} is no name for a user; begin with a letter and go on with a-z, 0-9, - and _"
            )
        token, digest = _new_token()
        with self._database.write() as connection:
            added = connection.execute(
                f"INSERT INTO user ({_COLUMNS}, digest, added_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (user.name, user.space_bytes, user.jobs, digest, time.time()),
            )
        if not added.rowcount:
            raise RequestError(f"there is a user {user.name} already; layerflow users renew makes a new token")
        return token

    def renew(self, name: str) -> str:
        """A new token of that user; the one before is good for nothing now. Raises RequestError."""
        token, digest = _new_token()
        self._change("UPDATE user SET digest = :digest WHERE name = :name", name, digest=digest)
        return token

    def remove(self, name: str) -> None:
        """Takes away that user's token. Jobs and files stay. Raises RequestError."""
        self._change("DELETE FROM user WHERE name = :name", name)

    def all(self) -> tuple[User, ...]:
        """Every user by name."""
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM user ORDER BY name").fetchall()
        return tuple(User(**row) for row in rows)

    def of_token(self, token: str) -> User | None:
        """Whose token that is. Every one is compared, each in the same time however much of it is right."""
        digest, found = _digest(token), None
        with self._database.read() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS}, digest FROM user").fetchall()
        for *values, known in rows:
            if hmac.compare_digest(digest, known):
                found = User(**dict(zip(_COLUMNS.split(", "), values, strict=True)))
        return found

    def _change(self, statement: str, name: str, **values: str) -> None:
        with self._database.write() as connection:
            changed = connection.execute(statement, {"name": name, **values}).rowcount
        if not changed:
            raise RequestError(f"there is no user {name[:40]!r}; layerflow users list shows those there are")


def _new_token() -> tuple[str, str]:
    token = secrets.token_urlsafe(32)
    return token, _digest(token)


def _digest(token: str) -> str:
    """What is kept of a token. It is random enough that nobody finds it by trying."""
    return hashlib.sha256(token.encode()).hexdigest()
