"""Who may reach the web page."""

from __future__ import annotations

from typing import ClassVar

from tasks.settings import RoomSettings


class WebSettings(RoomSettings):
    """Table `[web]`."""

    section: ClassVar[str] = "web"

    allow_remote: bool = False
    """Listen on addresses beyond loopback. There is no login: whoever reaches the page runs code on this machine."""
    allowed_hosts: tuple[str, ...] = ()
    """Further names that a browser may use for this server, for instance the machine's own (JSON list)."""
