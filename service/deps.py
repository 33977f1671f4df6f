"""Named dependency types: what a handler may ask for."""

from typing import Annotated

from fastapi import Depends, Request

from service.engine import EngineLike, EngineSlot
from service.gate import SearchGate
from service.settings import Settings


def get_settings(request: Request) -> Settings:
    """Return the settings of this app."""
    settings: Settings = request.app.state.settings
    return settings


def get_engine(request: Request) -> EngineLike:
    """Return the engine, or refuse with 503 while there is none."""
    slot: EngineSlot = request.app.state.slot
    return slot.get()


def get_gate(request: Request) -> SearchGate:
    """Return the gate in front of the engine."""
    gate: SearchGate = request.app.state.gate
    return gate


SettingsDep = Annotated[Settings, Depends(get_settings)]
EngineDep = Annotated[EngineLike, Depends(get_engine)]
GateDep = Annotated[SearchGate, Depends(get_gate)]
